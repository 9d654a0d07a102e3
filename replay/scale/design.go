package scale

// what is a kind of operation of a step.
type what uint8

const (
	compute what = iota // in user space: as long as the step says
	work                // in the kernel, but for what is done with a page table locked
	held                // with the page table locked
	word                // change the word of the object
	read                // take the object for reading
	peek                // go on with Design.retry if somebody has it alone, or the fault is not to have it
	try                 // take it for reading; if that means to wait go on with Design.retry
	write               // take it alone; whoever waits sleeps
	spin                // take it alone; whoever waits keeps its CPU
	free                // give it back
	ease                // go on with it for reading if there are pages to drop (calls.go:eases)
	drop                // those pages
)

// object is what an operation is about.
type object uint8

const (
	none  object = iota
	mm           // the address space: mmap_lock
	vma          // the mapping of a fault: its own lock
	table        // the leaf table: its spinlock
	every        // each mapping that a call changes; operations side by side are done for one after the other
)

// names are what threads wait for, in the words of a result.
var names = [every + 1]string{mm: "the address space's lock", vma: "a mapping's lock", table: "a page table's lock", every: "a mapping's lock"}

type op struct {
	what   what
	object object
}

// Design is a way to lock an address space: what a fault does, and what calls do.
type Design struct {
	Name    string
	Meaning string
	fault   []op
	retry   []op // of a fault whose peek or try fails, from there on
	change  []op // a call that changes mappings
	look    []op // a call that only must not see them change
}

var tableWork = []op{{spin, table}, {held, none}, {free, table}}

func seq(parts ...[]op) (all []op) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

var (
	begin = []op{{compute, none}}
	// readMM and lookMM are a fault and a call with the mmap lock held for reading.
	readMM = seq([]op{{word, mm}, {read, mm}, {work, none}}, tableWork, []op{{word, mm}, {free, mm}})
	lookMM = seq(begin, []op{{word, mm}, {read, mm}, {work, none}, {word, mm}, {free, mm}})
	// changeMM is a call with the mmap lock held for writing.
	changeMM = seq(begin, []op{{word, mm}, {write, mm}, {work, none}, {ease, mm}, {drop, none}, {free, mm}})
	mutex    = seq(begin, []op{{spin, mm}, {work, none}, {drop, none}, {free, mm}})
)

// Designs are the locks that are compared. To add one, add a row.
//
// In vma a fault looks whether its mapping is locked for writing before it changes the
// word, and again then (vma_start_read). A call locks every mapping that it changes
// once it has the mmap lock (vma_start_write), and gives all back with it, or when it
// goes on with it for reading (vma_end_write_all).
var Designs = []Design{
	{Name: "global", Meaning: "one mutex around each fault and call (simple simulators)",
		fault:  seq(begin, []op{{spin, mm}, {work, none}, {held, none}, {free, mm}}),
		change: mutex, look: mutex},
	{Name: "mm", Meaning: "the mmap lock, for reading by faults (Linux until 6.3)",
		fault: seq(begin, readMM), change: changeMM, look: lookMM},
	{Name: "vma", Meaning: "a lock for each mapping, else the mmap lock (Linux 6.4 and later)",
		fault: seq(begin, []op{{peek, vma}, {word, vma}, {try, vma}, {work, none}}, tableWork, []op{{word, vma}, {free, vma}}),
		retry: readMM,
		change: seq(begin, []op{{word, mm}, {write, mm}, {word, every}, {write, every}, {work, none},
			{ease, mm}, {free, every}, {drop, none}, {free, mm}}),
		look: lookMM},
	{Name: "table", Meaning: "only the locks of page tables (package paging)",
		fault: seq(begin, []op{{work, none}}, tableWork), change: changeMM, look: lookMM},
}
