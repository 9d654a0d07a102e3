package paging

import (
	"sync"
	"sync/atomic"
)

// Machine is one simulated computer: CPUs, frames, files and the tasks that run
// on it. It is safe for concurrent use, except where a method says otherwise.
type Machine struct {
	cfg         Config
	layout      layout
	profile     profile
	cpus        []*cpu
	frames      *framePool
	memory      *memory  // nil without limit and swap
	flusher     *flusher // nil: nobody writes back by age
	onFault     func(*FaultInfo)
	tellEntries bool
	daemons     bool // immutable: there is somebody in the background (Machine.Background)
	nextSpace   atomic.Uint32

	filesMu sync.Mutex
	files   map[fileKey]*File

	anyShmem atomic.Bool
	shmemMu  sync.Mutex // guards what the files of shared memory count
	sysv     sysvShm    // shmemMu
	commit   commitments
	kernel   kernelMaps
	trial    trialMarks // of the last trial

	hugeNow, hugeHigh atomic.Int64 // huge pages that hold memory, and the most there were
	collapse          collapser
	hugetlb           hugePools

	tasksMu sync.Mutex
	tasks   map[*Task]struct{} // tasksMu
	dead    taskStats          // tasksMu: of tasks that have ended

	_          linePad
	rss        rssCounter // of all spaces
	tables     atomic.Int64
	tablesHigh atomic.Int64
}

// New returns a machine without tasks. It returns the error of c.Validate.
func New(c Config) (*Machine, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	p, _ := findProfile(c.Profile) // Validate has found it
	y := newLayout(c)
	m := &Machine{cfg: c, profile: p, layout: y, frames: newFramePool(&y), files: map[fileKey]*File{}, tasks: map[*Task]struct{}{}}
	g, err := newMemory(m)
	if err != nil {
		return nil, err
	}
	m.memory, m.frames.memory = g, g
	if c.Flusher {
		m.flusher = newFlusher()
	}
	m.daemons = c.Flusher || g != nil && g.kswapd != nil
	m.newPools()
	if c.THP != THPNever {
		m.frames.newHugeZero()
	}
	for range c.CPUs {
		m.cpus = append(m.cpus, &cpu{tlb: newTLB(c.TLB, y.bits), asids: p.asids})
	}
	return m, nil
}

// Config is the configuration the machine was made with.
func (m *Machine) Config() Config { return m.cfg }

// CPUs is the number of processors.
func (m *Machine) CPUs() int { return len(m.cpus) }

// Accounting says that pages are held against a limit, or a policy is told of them: then
// the order of all references is part of what the machine does.
func (m *Machine) Accounting() bool { return m.memory != nil }

// OnFault has f called for every fault, however it ended, from the goroutine of
// the task that faulted, with no lock held but that of its CPU: f must not make
// a task run on that CPU. Set it before the first task runs. The FaultInfo is
// valid during the call.
func (m *Machine) OnFault(f func(*FaultInfo)) { m.onFault = f }

// TellEntries has every FaultInfo carry the entry before and after, which Explain
// wants and which makes faults slower. Call it before the first task runs.
func (m *Machine) TellEntries() { m.tellEntries = true }

// liveSpaces lists the address spaces that tasks have.
func (m *Machine) liveSpaces() []*Space {
	m.tasksMu.Lock()
	defer m.tasksMu.Unlock()
	seen := map[*Space]bool{}
	var out []*Space
	for t := range m.tasks {
		if !seen[t.space] {
			seen[t.space] = true
			out = append(out, t.space)
		}
	}
	return out
}

// Stats are counts over all tasks that ever were, and the memory of those that
// are.
type Stats struct {
	Minor, Major       uint64
	Faults             [NumFaultKinds]uint64
	Flushes            [NumFlushCauses]FlushStats
	TLB                TLBStats
	Kernel             KernelStats
	Retries            uint64 // of faults, the waits for a file apart: see LockStats.Retries
	Locks              [NumLockClasses]LockStats
	Reclaim            ReclaimStats
	Flusher            FlusherStats
	Memory             uint64 // bytes the group is charged now
	PeakMemory         uint64 // bytes: the most the group has been charged, 0 without limit and swap
	RSS                RSS    // of all address spaces, added up
	PeakRSS            uint64 // bytes: the most that sum has been
	PageTableBytes     uint64 // of all address spaces, the root tables not counted
	PeakPageTableBytes uint64
	PeakCommitBytes    uint64 // the most that was promised, counted with OvercommitNever
	CommitRefused      uint64 // requests that were refused for Overcommit
	Huge               HugeStats
	HugeBytes          uint64 // in transparent huge pages that are mapped as such (AnonHugePages)
	PeakHugeBytes      uint64
	HugeTLB            []HugeTLBStats // by size of page
}

// Stats adds everything up. Call it while no task runs.
func (m *Machine) Stats() Stats {
	m.tasksMu.Lock()
	all := m.dead
	for t := range m.tasks {
		all.add(&t.stats)
	}
	m.tasksMu.Unlock()
	s := Stats{Minor: all.minor, Major: all.major, Faults: all.faults, Flushes: all.flushes, Retries: all.retries,
		RSS: m.rss.bytes(), PeakRSS: uint64(m.rss.high.Load()) << pageShift,
		PageTableBytes: uint64(m.tables.Load()) * PageSize, PeakPageTableBytes: uint64(m.tablesHigh.Load()) * PageSize,
		PeakCommitBytes: uint64(m.commit.high.Load()) << pageShift, CommitRefused: m.commit.refused.Load()}
	s.Huge, s.Locks = all.huge, m.lockStats(all.locks)
	s.HugeBytes, s.PeakHugeBytes = uint64(m.hugeNow.Load())<<(m.layout.bits+pageShift), uint64(m.hugeHigh.Load())<<(m.layout.bits+pageShift)
	s.HugeTLB = m.hugetlb.usage()
	m.kernel.mu.Lock()
	s.Kernel = m.kernel.stats
	m.kernel.mu.Unlock()
	s.Kernel.KmapLocals = all.kmapLocals
	if g := m.memory; g != nil {
		g.mu.Mutex.Lock()
		s.Reclaim, s.Memory, s.PeakMemory = g.stats, uint64(g.charged)<<pageShift, uint64(g.high)<<pageShift
		g.mu.Unlock()
	}
	if w := m.flusher; w != nil {
		s.Flusher = w.stats
	}
	s.TLB.lookups = all.lookups
	for _, c := range m.cpus {
		c.mu.Lock()
		s.TLB.add(&c.tlb.stats)
		c.mu.Unlock()
	}
	return s
}

// taskStats are the counts of one task; only its goroutine writes them.
type taskStats struct {
	minor, major uint64
	faults       [NumFaultKinds]uint64
	flushes      [NumFlushCauses]FlushStats
	retries      uint64
	locks        [NumLockClasses]LockStats
	lookups      [2]uint64 // of Task.Count; as those of TLBStats
	kmapLocals   uint64
	huge         HugeStats
}

func (s *taskStats) add(o *taskStats) {
	s.minor += o.minor
	s.major += o.major
	s.retries += o.retries
	for i := range s.lookups {
		s.lookups[i] += o.lookups[i]
	}
	s.kmapLocals += o.kmapLocals
	s.huge.add(&o.huge)
	for i := range s.locks {
		s.locks[i].add(&o.locks[i])
	}
	for i := range s.faults {
		s.faults[i] += o.faults[i]
	}
	for i := range s.flushes {
		s.flushes[i].add(&o.flushes[i])
	}
}
