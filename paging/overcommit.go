package paging

import "sync/atomic"

// Overcommit: whether memory that a program asks for is promised to it, after
// Linux 6.1 mm/util.c:__vm_enough_memory. What counts are private writable
// mappings (VM_ACCOUNT) and the objects of shared memory that are not
// MAP_NORESERVE, by their size and not by the pages they have.

// Overcommit is the mode of vm.overcommit_memory.
type Overcommit uint8

// The modes.
const (
	OvercommitGuess  Overcommit = iota // one request may not exceed the memory of the machine
	OvercommitAlways                   // everything is promised
	OvercommitNever                    // all promises together stay below the commit limit
)

var overcommitNames = []string{"0", "1", "2"}

func (o Overcommit) String() string { return name(overcommitNames, int(o)) }

// ParseOvercommit reads "0", "1" or "2".
func ParseOvercommit(s string) (Overcommit, error) { return parse[Overcommit](overcommitNames, s) }

// What the limit leaves to others, in bytes: init_admin_reserve and
// init_user_reserve, where all memory is free at boot.
const (
	adminReserve = 8 << 20
	userReserve  = 128 << 20
)

// commitments is what has been promised.
type commitments struct {
	pages   atomic.Int64 // counted with OvercommitNever only
	high    atomic.Int64 // the most that was
	refused atomic.Uint64
}

// CommitLimit is the most that may be promised in bytes (vm_commit_limit), or
// NoLimit in another mode than OvercommitNever.
func (m *Machine) CommitLimit() uint64 {
	if m.cfg.Overcommit != OvercommitNever {
		return NoLimit
	}
	return m.cfg.RAM >> pageShift * m.cfg.OvercommitRatio / 100 << pageShift
}

// mayCommit says whether a process of the space may be promised so many more
// pages. Precondition: s.mu.
func (s *Space) mayCommit(pages uint64) bool { return s.mayCommitPart(pages, pages) }

// mayCommitPart is mayCommit for a request of so many pages that is the last of
// a series of sum pages. Precondition: s.mu.
func (s *Space) mayCommitPart(pages, sum uint64) bool {
	m := s.machine
	ok := true
	switch m.cfg.Overcommit {
	case OvercommitGuess:
		ok = m.cfg.RAM == NoLimit || pages <= m.cfg.RAM>>pageShift
	case OvercommitNever:
		reserved := min(m.cfg.RAM/32, adminReserve)>>pageShift + min(s.list().totalPages()/32, min(m.cfg.RAM/32, userReserve)>>pageShift)
		ok = uint64(m.commit.pages.Load())+sum+reserved < m.CommitLimit()>>pageShift
	}
	if !ok {
		m.commit.refused.Add(1)
	}
	return ok
}

// mayAccount is mayCommit for memory that counts if its flags say so.
func (s *Space) mayAccount(flags vmaFlags, pages uint64) bool {
	return flags&vmAccount == 0 || s.mayCommit(pages)
}

// countCommit counts what mappings promise when a list takes the place of
// another.
func (m *Machine) countCommit(old, now vmaList) {
	if m.cfg.Overcommit == OvercommitNever {
		m.addCommit(int64(now.accountedPages()) - int64(old.accountedPages()))
	}
}

func (m *Machine) addCommit(pages int64) {
	if m.cfg.Overcommit == OvercommitNever {
		raise(&m.commit.high, m.commit.pages.Add(pages))
	}
}

// accountedPages adds up the mappings that count.
func (l vmaList) accountedPages() uint64 {
	n := uint64(0)
	for _, v := range l {
		if v.flags&vmAccount != 0 {
			n += v.pages()
		}
	}
	return n
}

// promise counts a new object of shared memory, unless it is MAP_NORESERVE
// (shmem_acct_size), and says whether it may be. Precondition: s.mu.
func (f *File) promise(s *Space, flags vmaFlags, pages uint64) bool {
	if flags&vmNoReserve != 0 {
		return true
	}
	if !s.mayCommit(pages) {
		return false
	}
	f.promised = int64(pages)
	s.machine.addCommit(f.promised)
	return true
}

// MayFork says whether a fork of the process would be refused: ENOMEM where the
// child's mappings cannot be promised (kernel/fork.c:dup_mmap).
func (t *Task) MayFork() Errno {
	if t.machine.cfg.RAM == NoLimit {
		return 0
	}
	s := t.begin()
	defer s.unlock(t)
	n := uint64(0)
	for _, v := range s.list() {
		if v.flags&(vmDontCopy|vmAccount) == vmAccount {
			if n += v.pages(); !s.mayCommitPart(v.pages(), n) {
				return ENOMEM
			}
		}
	}
	return 0
}
