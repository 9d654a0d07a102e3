package convert

import (
	"encoding/binary"

	"github.com/vmtrace/vmtrace/trace"
)

// The traces of ChampSim (inc/trace_instruction.h, input_instr; that of the 2nd
// and 3rd Data Prefetching Championship and of all public trace sets): one
// record of 64 bytes for each instruction,
//
//	0 8 instruction pointer    8 1 branch    9 1 taken
//	10 2 output registers      12 4 input registers
//	16 2x8 addresses written   32 4x8 addresses read     (0: none)
//
// without any header. The sizes of accesses are not in it: each is taken for one
// byte.
var champSimFormat = Format{
	Name:   "champsim",
	Help:   "instruction trace of ChampSim (.xz, .gz or plain)",
	Detect: detectChampSim,
	open: func(in *input) (decoder, error) {
		return &champSim{records: recordReader{r: in.body, size: champSize}}, nil
	},
}

const (
	champSize   = 64
	champWrites = 16
	champReads  = 32
)

type champSim struct {
	records recordReader
	th      *thread
}

// plausible says whether a record can be an instruction: flags are 0 or 1,
// addresses those of a program or of the kernel.
func champPlausible(rec []byte) bool {
	ip := binary.LittleEndian.Uint64(rec)
	if ip == 0 || !canonical(ip) || rec[8] > 1 || rec[9] > rec[8] {
		return false
	}
	for ; len(rec) > champWrites; rec = rec[:len(rec)-8] {
		if !canonical(binary.LittleEndian.Uint64(rec[len(rec)-8:])) {
			return false
		}
	}
	return true
}

// canonical says whether an address is one of x86-64 with 48 bits: the upper ones
// are all equal. The sum wraps around for those of the kernel.
func canonical(addr uint64) bool { return addr+userEnd < 2*userEnd }

// detectChampSim wants every record of the head to be plausible, and most
// instructions to stand shortly after the one before.
func detectChampSim(head []byte) bool {
	var last uint64
	n, near := 0, 0
	for ; len(head) >= champSize; head = head[champSize:] {
		if !champPlausible(head[:champSize]) {
			return false
		}
		ip := binary.LittleEndian.Uint64(head)
		if n > 0 && ip-last <= 1<<12 {
			near++
		}
		last = ip
		n++
	}
	return n >= 2 && 2*near >= n-1
}

func (c *champSim) step(b *builder) error {
	rec, err := c.records.next()
	if err != nil {
		return err
	}
	if !champPlausible(rec) {
		return c.records.badf("this cannot be an instruction of ChampSim")
	}
	if c.th == nil {
		if c.th, err = b.start(1, 1, ""); err != nil {
			return err
		}
	}
	if err := c.one(b, rec, 0, trace.Exec); err != nil {
		return err
	}
	for at := champReads; at < champSize; at += 8 {
		if err := c.one(b, rec, at, trace.Read); err != nil {
			return err
		}
	}
	for at := champWrites; at < champReads; at += 8 {
		if err := c.one(b, rec, at, trace.Write); err != nil {
			return err
		}
	}
	return nil
}

func (c *champSim) one(b *builder, rec []byte, at int, a trace.Access) error {
	addr := binary.LittleEndian.Uint64(rec[at:])
	if addr == 0 {
		return nil
	}
	return c.records.at(b.access(c.th, addr, 1, a))
}
