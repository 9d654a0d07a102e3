package paging

import "strings"

// VMFault is what the kernel's own fault handler would have returned for a fault: bits
// of vm_fault_t (Linux 6.1 include/linux/mm_types.h:enum vm_fault_reason). 0 is a minor
// fault that was not a write to a present page.
type VMFault uint32

// The bits.
const (
	VMFaultOOM     VMFault = 0x0001
	VMFaultSIGBUS  VMFault = 0x0002
	VMFaultMajor   VMFault = 0x0004
	VMFaultWrite   VMFault = 0x0008 // a write found the entry read-only, and may go on (do_wp_page)
	VMFaultSIGSEGV VMFault = 0x0040
	VMFaultRetry   VMFault = 0x0400 // the fault began anew: something changed, or had to be waited for
)

var vmFaultNames = []struct {
	bit  VMFault
	name string
}{{VMFaultOOM, "OOM"}, {VMFaultSIGBUS, "SIGBUS"}, {VMFaultMajor, "MAJOR"}, {VMFaultWrite, "WRITE"}, {VMFaultSIGSEGV, "SIGSEGV"}, {VMFaultRetry, "RETRY"}}

// String is "VM_FAULT_MAJOR|VM_FAULT_RETRY"; "0" without a bit.
func (v VMFault) String() string {
	var names []string
	for _, n := range vmFaultNames {
		if v&n.bit != 0 {
			names = append(names, "VM_FAULT_"+n.name)
		}
	}
	if names == nil {
		return "0"
	}
	return strings.Join(names, "|")
}

// Result is what the kernel would have returned. RETRY is set where the fault was tried
// more than once; the kernel returns it for the attempts before the last.
func (f *FaultInfo) Result() VMFault {
	v := map[Outcome]VMFault{Major: VMFaultMajor, SIGSEGV: VMFaultSIGSEGV, SIGBUS: VMFaultSIGBUS, OOM: VMFaultOOM}[f.Outcome]
	switch f.Kind {
	case CowCopy, CowZero, CowReuse, MkWrite, HugeReuse:
		if !f.Outcome.Fatal() {
			v |= VMFaultWrite
		}
	}
	if f.Retries > 0 {
		v |= VMFaultRetry
	}
	return v
}
