package result

// Schema is the version of the JSON document.
const Schema = 1

// Run is one finished replay.
type Run struct {
	Schema    int       `json:"schema"`
	Trace     Trace     `json:"trace"`
	Config    Config    `json:"config"`
	Totals    Totals    `json:"totals"`
	Agreement Agreement `json:"agreement"`
	Processes []Process `json:"processes"`
	Mappings  []Mapping `json:"mappings"` // most faults first
	Timeline  Timeline  `json:"timeline"`
	Series    []Series  `json:"series"`
	Marks     []Mark    `json:"marks,omitempty"`
	Timing    Timing    `json:"run"`
	Warnings  []string  `json:"warnings"`
}

// Trace says what was replayed.
type Trace struct {
	Path     string   `json:"path"`
	Origin   string   `json:"origin"` // captured, generated, converted, text
	Tool     string   `json:"tool"`
	Command  []string `json:"command"`
	Accesses uint64   `json:"accesses"` // original accesses, those folded into references included
	Refs     uint64   `json:"refs"`     // page references in the trace, whether performed or passed over
	Records  uint64   `json:"records"`  // all records, references included
	Reduce   int      `json:"reduce"`   // K of the exact reduction, 0 for none
	Lost     uint64   `json:"lost"`     // records the recorder says are missing
}

// Config is the configuration of the model.
type Config struct {
	Profile          string `json:"profile"`
	Levels           int    `json:"levels"`
	CPUs             int    `json:"cpus"`
	TLB              string `json:"tlb"` // geometry, e.g. "l1i=64x4,l1d=64x4,l2=1536x12"
	FaultAroundBytes uint64 `json:"fault_around_bytes"`
	PageCache        string `json:"page_cache"` // warm or cold
	Locking          string `json:"locking"`
	ZeroPage         bool   `json:"zero_page"`            // reads of fresh anonymous memory map the shared zero page
	HighMem          bool   `json:"highmem"`              // frames of programs are high memory
	Compat           bool   `json:"compat"`               // 32-bit processes of a 64-bit kernel
	BottomUp         bool   `json:"bottom_up"`            // mappings are placed upwards
	Vsyscall         string `json:"vsyscall"`             // xonly, emulate or none
	Overcommit       string `json:"overcommit"`           // mode: 0, 1 or 2
	OvercommitRatio  uint64 `json:"overcommit_ratio_pct"` // percentage of RAM that mode 2 promises
	RAMBytes         uint64 `json:"ram_bytes"`            // that overcommit goes by; 2^64-1 = endless
	MemoryBytes      uint64 `json:"memory_bytes"`         // limit of all processes together; 0 = none
	SwapBytes        uint64 `json:"swap_bytes"`           // 0 = no swap
	SwapDevice       string `json:"swap_device,omitempty"`
	Reclaim          string `json:"reclaim,omitempty"`       // policy, where there is a limit or swap
	ReclaimExact     bool   `json:"reclaim_exact,omitempty"` // it is told of every reference instead of looking at accessed bits

	Watermarks *Watermarks `json:"watermarks,omitempty"` // MemoryBytes are those of a whole machine; without them, of a group
	Flusher    bool        `json:"flusher,omitempty"`    // dirty pages of files are written back in the background

	RecycleEvery    uint64 `json:"recycle_every_accesses,omitempty"` // clean pages of files leave the page cache
	THP             string `json:"thp"`                              // transparent huge pages: never, madvise or always
	CollapseEveryNS uint64 `json:"collapse_every_ns,omitempty"`      // between two scans for small pages that become a huge one
	HugePages       uint64 `json:"hugepages,omitempty"`              // pages in the pool of hugetlb of 2 MiB (4 MiB with 2 levels)
	HugeOvercommit  uint64 `json:"hugepages_overcommit,omitempty"`   // pages that pool may grow by
	GiantPages      uint64 `json:"hugepages_1g,omitempty"`           // pages in the pool of 1 GiB

	// Limits of a process (setrlimit(2)) in bytes; 2^64-1 = no limit.
	AddressLimitBytes uint64 `json:"address_limit_bytes"` // RLIMIT_AS
	DataLimitBytes    uint64 `json:"data_limit_bytes"`    // RLIMIT_DATA
	StackLimitBytes   uint64 `json:"stack_limit_bytes"`   // RLIMIT_STACK
	LockedLimitBytes  uint64 `json:"locked_limit_bytes"`  // RLIMIT_MEMLOCK
}

// Totals are the counts of the whole run. Accesses and Refs are those that were
// performed; those of threads that were dead are only in Trace.
type Totals struct {
	Accesses       uint64  `json:"accesses"`
	Refs           uint64  `json:"refs"`
	Faults         Faults  `json:"faults"`
	RSS            RSS     `json:"rss"`
	PageTableBytes uint64  `json:"page_table_bytes"` // peak, all processes
	Commit         Commit  `json:"commit"`
	TLB            TLB     `json:"tlb"`
	Huge           Huge    `json:"huge"`
	Kernel         Kernel  `json:"kernel"`
	Reclaim        Reclaim `json:"reclaim"`
	Swap           Swap    `json:"swap"`

	WriteBack *WriteBack `json:"write_back,omitempty"` // with Config.Flusher

	Estimate Estimate `json:"estimate_ns"`
}

// Estimate is the time in ns that the counts stand for by a table of costs: an
// estimate, never a measurement. Events of one sort cost the same wherever they
// happen, and nothing overlaps.
type Estimate struct {
	Costs    string   `json:"costs"` // the table: "built in", or the file
	Total    uint64   `json:"total"`
	Walks    uint64   `json:"walks"`  // of page tables, after misses in the TLB
	Faults   uint64   `json:"faults"` // without reading
	Reads    uint64   `json:"reads"`  // from disk, for major faults
	Flushes  uint64   `json:"flushes"`
	Swap     uint64   `json:"swap"`
	Kernel   uint64   `json:"kernel"`   // mappings of the kernel's own
	Unpriced []string `json:"unpriced"` // what the table has no cost for
}

// Faults counts page faults. Foreign faults, taken on mappings that belong to
// the recorder, are contained in the others; compare Minor - Foreign and Major -
// ForeignMajor with the live kernel. Kinds counts refused accesses too.
type Faults struct {
	Minor        uint64            `json:"minor"`
	Major        uint64            `json:"major"`
	Foreign      uint64            `json:"foreign"`       // of Minor
	ForeignMajor uint64            `json:"foreign_major"` // of Major
	Kinds        map[string]uint64 `json:"kinds"`
}

// RSS is resident memory in bytes: the sum over all processes, where a page
// mapped by two processes counts twice (as in /proc/PID/statm).
type RSS struct {
	PeakBytes  uint64 `json:"peak_bytes"`
	FinalBytes uint64 `json:"final_bytes"` // just before the last process ended, or at the end of the trace
}

// Commit is what was promised to programs, and what was refused them.
type Commit struct {
	LimitBytes uint64 `json:"limit_bytes"` // of overcommit mode 2; 2^64-1 = none
	PeakBytes  uint64 `json:"peak_bytes"`  // in mode 2
	Refused    uint64 `json:"refused"`     // requests
}

// TLB counts lookups, misses and flushes over all CPUs.
type TLB struct {
	Lookups    uint64  `json:"lookups"`
	L1Misses   uint64  `json:"l1_misses"`
	Misses     uint64  `json:"misses"` // missed in all levels: a walk follows
	Walks      uint64  `json:"walks"`  // page-table walks, those that set a dirty bit included
	DataMisses uint64  `json:"data_misses"`
	ExecMisses uint64  `json:"exec_misses"`
	Flushes    Flushes `json:"flushes"`
}

// Huge counts what became of transparent huge pages, in huge pages, with the names
// of /proc/vmstat where it has any; and the pools of hugetlb that were used.
type Huge struct {
	PeakBytes     uint64     `json:"peak_bytes"` // most in huge pages that were mapped as such, all processes
	FaultAlloc    uint64     `json:"thp_fault_alloc"`
	FaultFallback uint64     `json:"thp_fault_fallback"`
	ZeroMapped    uint64     `json:"thp_zero_mapped"` // faults that got the huge zero page
	SplitPMD      uint64     `json:"thp_split_pmd"`
	SplitPage     uint64     `json:"thp_split_page"`
	Collapsed     uint64     `json:"thp_collapse_alloc"`
	Pools         []HugePool `json:"pools,omitempty"`
}

// HugePool is the state of a pool of hugetlb at the end of a run, in its pages.
type HugePool struct {
	PageBytes uint64 `json:"page_bytes"`
	Pages     uint64 `json:"pages"`
	PeakUsed  uint64 `json:"peak_used"`
	Reserved  uint64 `json:"reserved"`
	Denied    uint64 `json:"denied"` // faults that found none: SIGBUS
	Stolen    uint64 `json:"stolen"` // taken from children for a copy of their parent
	Grown     uint64 `json:"grown"`  // added because a recorded program got a mapping that the pool had no room for
}

// Kernel counts mappings in the kernel's own half of the address space: frames of
// high memory, and thread stacks.
type Kernel struct {
	Kmaps          uint64 `json:"kmaps"`       // frames mapped in the pool
	KmapWraps      uint64 `json:"kmap_wraps"`  // flushes of the pool, everywhere
	KmapLocals     uint64 `json:"kmap_locals"` // frames mapped on one processor, to zero or copy them
	StacksMade     uint64 `json:"stacks_made"`
	StacksReused   uint64 `json:"stacks_reused"` // kept by a processor
	StacksFreed    uint64 `json:"stacks_freed"`
	StackPeakBytes uint64 `json:"stack_peak_bytes"` // of stacks in vmalloc, those kept included
	Purges         uint64 `json:"vmalloc_purges"`   // flushes of areas that were given up, everywhere
	PageTableBytes uint64 `json:"page_table_bytes"` // of vmalloc areas
}

// Flushes counts TLB flushes by cause. One request may reach several CPUs.
type Flushes struct {
	Total  uint64            `json:"total"` // requests of any cause
	Full   uint64            `json:"full"`  // requests that emptied an address space or more
	Ranged uint64            `json:"ranged"`
	Pages  uint64            `json:"pages"` // pages named by ranged requests
	IPIs   uint64            `json:"ipis"`  // other CPUs interrupted
	Causes map[string]uint64 `json:"causes"`
}

// Reclaim counts what memory pressure did. A page that comes back to memory is a
// refault, whether a fault waited for it or it was read ahead.
type Reclaim struct {
	Outcome      Pressure `json:"outcome,omitempty"`
	Evictions    uint64   `json:"evictions"`
	Refaults     uint64   `json:"refaults"`
	Dropped      uint64   `json:"dropped"`        // of Evictions: freed after MADV_FREE
	PeakBytes    uint64   `json:"peak_bytes"`     // the most that was charged
	FileInBytes  uint64   `json:"file_in_bytes"`  // read from files
	FileOutBytes uint64   `json:"file_out_bytes"` // dirty pages of files written back
	OOMKills     uint64   `json:"oom_kills"`
	Recycled     uint64   `json:"recycled"` // pages of files dropped by Config.RecycleEvery

	// Of a whole machine (Config.Watermarks): what was done in the background, and by
	// those who wanted pages.
	Kswapd *ReclaimRuns `json:"kswapd,omitempty"`
	Direct *ReclaimRuns `json:"direct,omitempty"`
}

// ReclaimRuns counts one of the two ways to reclaim, in pages, with what /proc/vmstat
// calls it.
type ReclaimRuns struct {
	Runs    uint64 `json:"runs"`    // times that kswapd was woken (pageoutrun), or that a program had to make room (allocstall)
	Scanned uint64 `json:"scanned"` // pgscan_kswapd, pgscan_direct
	Stolen  uint64 `json:"stolen"`  // pgsteal_kswapd, pgsteal_direct
}

// WriteBack counts dirty pages of files that the flusher wrote, in bytes, those of a warm
// page cache included.
type WriteBack struct {
	OldBytes        uint64 `json:"old_bytes"`        // of files that had been dirty for 30 s
	BackgroundBytes uint64 `json:"background_bytes"` // because more than a tenth of memory was dirty
}

// Watermarks are free memory in bytes: below low kswapd is woken, which goes on until
// there is more than high; min is kept for the kernel.
type Watermarks struct {
	MinBytes  uint64 `json:"min_bytes"`
	LowBytes  uint64 `json:"low_bytes"`
	HighBytes uint64 `json:"high_bytes"`
}

// Pressure says in a word how a run under a limit went.
type Pressure string

// How a run can go.
const (
	PressureDone   Pressure = "done"   // it ran to its end
	PressureThrash Pressure = "thrash" // and spent it on bringing pages back: see Thrashes
	PressureOOM    Pressure = "oom"    // processes were killed for lack of memory
)

// thrashShare is how many of a hundred references bring a page back in a run that
// is said to thrash: at 100 us for one and 10 ns for an access, half of its time
// goes by in waiting from one in ten thousand on; this is a hundred times that.
const thrashShare = 1

// Thrashes says whether so many refaults in so many references are thrashing.
func Thrashes(refaults, refs uint64) bool { return refaults > refs/100*thrashShare && refaults > 0 }

// Swap counts swap traffic in bytes, and faults on pages in swap that were found
// in memory still.
type Swap struct {
	InBytes   uint64 `json:"in_bytes"`
	OutBytes  uint64 `json:"out_bytes"`
	CacheHits uint64 `json:"cache_hits"`
}

// Agreement compares the model with what was recorded.
type Agreement struct {
	// Segv counts accesses of a captured program, and copies of the kernel for
	// it, that the model refused (SIGSEGV, SIGBUS, or no frame was left) although
	// the program did not die there: faults of the model or of the capture.
	// FirstSegv describes the first.
	Segv      uint64   `json:"segv"`
	FirstSegv string   `json:"first_segv,omitempty"`
	Syscalls  Syscalls `json:"syscalls"`
}

// Syscalls compares results of memory system calls with the recorded ones.
type Syscalls struct {
	Compared   uint64            `json:"compared"`
	Mismatched uint64            `json:"mismatched"`
	Imposed    uint64            `json:"imposed"` // refusals to grow that the recorder's layout made: taken over, and compared as equal
	ByCall     map[string]Call   `json:"by_call"`
	First      string            `json:"first,omitempty"` // the first mismatch in words
	Ignored    map[string]uint64 `json:"ignored"`         // calls without effect on memory, or not modelled, by name
}

// Call is the agreement on one system call.
type Call struct {
	Compared   uint64 `json:"compared"`
	Mismatched uint64 `json:"mismatched"`
	Imposed    uint64 `json:"imposed"`
}

// Process is one process of the trace, or, as the last row, all processes that
// are too many for a row of their own (PID 0, a warning says so).
type Process struct {
	PID     uint32     `json:"pid"`
	Command string     `json:"command"`
	Threads int        `json:"threads"`
	Faults  Faults     `json:"faults"`
	RSS     ProcessRSS `json:"rss"`
	Exit    string     `json:"exit,omitempty"`  // "0", "1", "SIGSEGV", "" while it lived on
	Truth   *Truth     `json:"truth,omitempty"` // the last that the trace holds
}

// Truth is what the live kernel had counted for a process when it was recorded,
// and what the model had at the same point of the trace. Faults on mappings of
// the recorder are left out; what these hold is in the model's RSS.
type Truth struct {
	Accesses uint64 `json:"accesses"` // of the whole run, performed before
	Live     Point  `json:"live"`
	Model    Point  `json:"model"`
}

// Point is what a process has taken and holds at a point of the run.
type Point struct {
	Minor    uint64 `json:"minor"`
	Major    uint64 `json:"major"`
	RSSBytes uint64 `json:"rss_bytes"` // 0 where the recording does not tell
}

// ProcessRSS is the resident memory of one process in bytes.
type ProcessRSS struct {
	PeakBytes  uint64 `json:"peak_bytes"`
	AnonBytes  uint64 `json:"anon_bytes"`  // at its end
	FileBytes  uint64 `json:"file_bytes"`  // at its end
	ShmemBytes uint64 `json:"shmem_bytes"` // at its end
}

// Mapping is the faults on all mappings of one name and protection in the
// processes of one id, or, under the name "(other mappings)" and PID 0, on all
// that are too many for a row of their own (a warning says so).
type Mapping struct {
	PID     uint32            `json:"pid"`
	Name    string            `json:"name"`    // path, [heap], [stack], [anon], ...
	Prot    string            `json:"prot"`    // "r-x"
	Foreign bool              `json:"foreign"` // belongs to the recorder
	Minor   uint64            `json:"minor"`
	Major   uint64            `json:"major"`
	Kinds   map[string]uint64 `json:"kinds"`
}

// Timeline is the common x axis of all series: bucket i ends after
// EndsAccesses[i] original accesses (and begins where bucket i-1 ended).
type Timeline struct {
	EndsAccesses []uint64 `json:"ends_accesses"`

	// WorkingSetAccesses is the window of the series working_set: one window after
	// the other, of one bucket or several, each of which has the pages of the window.
	WorkingSetAccesses uint64 `json:"working_set_accesses,omitempty"`
}

// SeriesKind says how the values of a series are to be read.
type SeriesKind string

// The kinds of series.
const (
	Count SeriesKind = "count" // events within the bucket
	Gauge SeriesKind = "gauge" // state at the end of the bucket
)

// Series is one quantity over the time line; len(Values) equals the number of
// buckets. Names are dotted: "faults.demand_zero", "rss.anon",
// "tlb.flushes.munmap", "tlb.lookups", "tlb.misses", "page_tables".
type Series struct {
	Name   string     `json:"name"`
	Unit   string     `json:"unit"` // "faults", "bytes", "flushes", ...
	Kind   SeriesKind `json:"kind"`
	Values []uint64   `json:"values"`
}

// Mark is a labelled point in the trace.
type Mark struct {
	Accesses uint64 `json:"accesses"`
	Label    string `json:"label"`
}

// Timing is what was timed: it differs from run to run.
type Timing struct {
	Seconds       float64          `json:"seconds"`
	RefsPerSecond float64          `json:"refs_per_second"`
	Workers       int              `json:"workers"`
	Order         string           `json:"order"` // serial, ordered, parallel
	Locks         map[string]Locks `json:"locks"` // of the model by class, those that were taken
}

// Locks counts what happened at the locks of a class; see paging.LockStats.
type Locks struct {
	Acquired  uint64 `json:"acquired"`
	Contended uint64 `json:"contended"`
	LostRaces uint64 `json:"lost_races"`
	Retries   uint64 `json:"retries"`
}
