package scale

// what is a kind of operation of a step.
type what uint8

const (
	compute what = iota // in user space: as long as the step says
	work                // in the kernel, but for what is done with a page table locked
	held                // with the page table locked
	word                // change the word of the object
	read                // take the object for reading
	write               // take it alone; whoever waits sleeps
	spin                // take it alone; whoever waits keeps its CPU
	free                // give it back
)

// object is what an operation is about.
type object uint8

const (
	none  object = iota
	mm           // the address space: mmap_lock
	vma          // the mapping: its own lock
	table        // the leaf table: its spinlock
)

type op struct {
	what   what
	object object
}

// Design is a way to lock an address space: what a fault does, and what a call that
// changes mappings does.
type Design struct {
	Name    string
	Meaning string
	fault   []op
	call    []op
}

var tableWork = []op{{spin, table}, {held, none}, {free, table}}

func seq(parts ...[]op) (all []op) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// reading is a step inside a reader/writer lock, whose counter changes twice.
func reading(o object, inside ...op) []op {
	return seq([]op{{word, o}, {read, o}}, inside, tableWork, []op{{word, o}, {free, o}})
}

// Designs are the locks that are compared. To add one, add a row.
var Designs = []Design{
	{"global", "one mutex around each fault and call (simple simulators)",
		seq([]op{{compute, none}, {spin, mm}, {work, none}, {held, none}, {free, mm}}),
		seq([]op{{compute, none}, {spin, mm}, {work, none}, {free, mm}})},
	{"mm", "the mmap lock, for reading by faults (Linux until 6.3)",
		seq([]op{{compute, none}}, reading(mm, op{work, none})),
		seq([]op{{compute, none}, {word, mm}, {write, mm}, {work, none}, {free, mm}})},
	{"vma", "a lock for each mapping (Linux 6.4 and later)",
		seq([]op{{compute, none}}, reading(vma, op{work, none})),
		seq([]op{{compute, none}, {word, mm}, {write, mm}, {word, vma}, {write, vma}, {work, none}, {free, vma}, {free, mm}})},
	{"table", "only the locks of page tables (package paging)",
		seq([]op{{compute, none}, {work, none}}, tableWork),
		seq([]op{{compute, none}, {word, mm}, {write, mm}, {work, none}, {free, mm}})},
}
