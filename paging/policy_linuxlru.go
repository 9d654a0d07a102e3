package paging

import (
	"math"
	"slices"
)

// linuxPolicy is the reclaim of Linux 6.1 without generations (mm/vmscan.c,
// mm/workingset.c, mm/swap.c), as a memory cgroup drives it: an active and an
// inactive list each for memory that goes to swap and for pages of files.
//
// A new page starts at the head of an inactive list. The scanner takes pages from
// its tail: one that was not used since is reclaimed; one that was stays for
// another round, and the next time, or if two entries used it or it is code, it
// becomes active. Active pages go back to the inactive list, from the tail, while
// that is low. A page that comes back becomes active at once if fewer pages left
// memory since than the group's other pages number: had memory been larger by as
// much as it could be taken from them, the page would not have left (refault
// distance). Pressure on the two kinds is shared out by swappiness, and by what
// the last refaults of each cost.
//
// Differs from Linux: dirty pages of files are written by whoever needs room, also with
// a flusher; there is one group, and nothing is reclaimed but for it; that a mapping which
// goes has used a page is not noted (mm/memory.c:zap_pte_range: folio_mark_accessed).
type linuxPolicy struct {
	pageLists
	g       *memory
	age     uint64  // nonresident_age: pages that left or became active
	cost    [2]uint // of anon, file (lruvec.anon_cost, file_cost)
	written uint64  // pages written so far

	priority int       // of the round at hand: what part of the lists is scanned
	todo     [5]int    // pages of each list still to be scanned in this round
	freed    int       // since the round began with the default priority
	ready    []uint32  // isolated to be reclaimed
	mayAge   [2]bool   // of anon, file: active pages may become inactive (may_deactivate)
	seen     [2]uint64 // refaults of each kind that became active, up to the last reclaim
	active   [2]uint64 // and up to now (WORKINGSET_ACTIVATE)
}

// linuxPage is what is known of a page, in its pageInfo.mark.
type linuxPage uint8

const (
	linuxReferenced linuxPage = 1 << iota // PG_referenced
	linuxWorkingset                       // PG_workingset: it has been active, before it left or since
	linuxGone                             // pageInfo.gone is its age when it left, of which the kernel keeps some bits as well
)

const (
	linuxAnon = 0
	linuxFile = 1
)

// linuxKind is the kind of a page, in memory or out of it (folio_is_file_lru).
func (g *memory) linuxKind(p uint32) uint8 {
	if g.m.frames.at(p).kind == frameFile {
		return linuxFile
	}
	return linuxAnon
}

// The lists; an active one follows its inactive one.
const (
	linuxInactiveAnon = 1 + iota
	linuxActiveAnon
	linuxInactiveFile
	linuxActiveFile
)

const (
	linuxSwappiness = 60 // vm_swappiness
	linuxPriority   = 12 // DEF_PRIORITY
)

func newLinux(g *memory) policy {
	return &linuxPolicy{pageLists: newPageLists(4, &g.pages), g: g, priority: linuxPriority}
}

func inactiveOf(kind uint8) int { return linuxInactiveAnon + 2*int(kind) }

func (l *linuxPolicy) page(p uint32) *linuxPage { return (*linuxPage)(l.mark(p)) }

func (l *linuxPolicy) insert(p uint32) {
	i, kind := l.page(p), l.g.linuxKind(p)
	list := inactiveOf(kind)
	if *i&linuxGone != 0 && l.refault(kind, *i&linuxWorkingset != 0, l.rows.known(p).gone) {
		list++
	}
	*i &^= linuxGone | linuxReferenced
	l.put(list, p)
}

// refault says whether a page that comes back, and left at some age, becomes active
// (mm/workingset.c:workingset_refault).
func (l *linuxPolicy) refault(kind uint8, workingset bool, left uint32) bool {
	size := l.len(linuxActiveFile)
	if kind != linuxFile {
		size += l.len(linuxInactiveFile)
	}
	if l.g.used < l.g.slots {
		size += l.len(linuxActiveAnon)
		if kind == linuxFile {
			size += l.len(linuxInactiveAnon)
		}
	}
	if uint32(l.age)-left > uint32(size) {
		return false
	}
	l.age++
	l.active[kind]++
	if workingset {
		l.noteCost(kind, 1)
	}
	return true
}

// noteCost is lru_note_cost: what reclaim of a kind has cost, of late.
func (l *linuxPolicy) noteCost(kind uint8, n uint) {
	l.cost[kind] += n
	all := l.len(linuxInactiveAnon) + l.len(linuxActiveAnon) + l.len(linuxInactiveFile) + l.len(linuxActiveFile)
	if l.cost[0]+l.cost[1] > uint(all)/4 {
		l.cost[0] /= 2
		l.cost[1] /= 2
	}
}

func (l *linuxPolicy) hit(uint32) {} // it looks at bits

func (l *linuxPolicy) left(p uint32) {
	*l.page(p) |= linuxGone
	l.rows.known(p).gone = uint32(l.age)
	l.age++
	if out := l.g.stats.SwapOut + l.g.stats.FileOut; out != l.written { // nr_pageout
		l.noteCost(l.g.linuxKind(p), uint(out-l.written))
		l.written = out
	}
}

func (l *linuxPolicy) forget(p uint32) {
	l.drop(p)
	*l.page(p) = 0
	l.ready = slices.DeleteFunc(l.ready, func(r uint32) bool { return r == p })
}

// victim is do_try_to_free_pages: rounds of growing thoroughness until something
// can be reclaimed, the second time also of active pages, and all that as often as
// try_charge_memcg tries again where nothing was.
func (l *linuxPolicy) victim(uint32) uint32 {
	for times := 0; len(l.ready) == 0; {
		if l.scanRound() {
			continue
		}
		if l.priority--; l.priority < 0 {
			l.priority = linuxPriority
			times++
			if times > 2*maxReclaimRetries || l.len(linuxInactiveAnon)+l.len(linuxActiveAnon)+l.len(linuxInactiveFile)+l.len(linuxActiveFile) == 0 {
				return 0
			}
		}
		l.plan(times%2 == 1)
	}
	p := l.ready[0]
	l.ready = l.ready[1:]
	if l.freed++; l.freed >= reclaimBatch {
		l.freed, l.priority, l.todo = 0, linuxPriority, [5]int{}
		l.seen = l.active // snapshot_refaults
	}
	return p
}

// plan is get_scan_count: how many pages of each list a round of this priority
// looks at.
func (l *linuxPolicy) plan(forced bool) {
	for kind := range l.mayAge {
		l.mayAge[kind] = forced || l.active[kind] != l.seen[kind] || l.inactiveIsLow(uint8(kind))
	}
	cost := l.cost[0] + l.cost[1]
	anon := linuxSwappiness * (3*cost + 1) / (cost + l.cost[0] + 1)
	file := (200 - linuxSwappiness) * (3*cost + 1) / (cost + l.cost[1] + 1)
	share := [2]uint{anon, file}
	sum := anon + file
	switch trim := l.len(linuxInactiveFile)>>l.priority > 0 && !l.mayAge[linuxFile]; {
	case l.g.used >= l.g.slots, l.priority > 0 && trim:
		share, sum = [2]uint{0, 1}, 1
	case l.priority == 0:
		share, sum = [2]uint{1, 1}, 1
	}
	for list := linuxInactiveAnon; list <= linuxActiveFile; list++ {
		l.todo[list] = int(uint(l.len(list)>>l.priority) * share[(list-1)/2] / sum)
	}
}

// scanRound is one turn of shrink_lruvec: up to a batch of each list. false says
// that the round is over.
func (l *linuxPolicy) scanRound() bool {
	more := false
	for list := linuxInactiveAnon; list <= linuxActiveFile; list++ {
		n := min(l.todo[list], reclaimBatch)
		if n == 0 {
			continue
		}
		more = true
		l.todo[list] -= n
		kind := uint8(list-1) / 2
		switch {
		case list == inactiveOf(kind):
			l.shrinkInactive(kind, n)
		case l.mayAge[kind]:
			l.shrinkActive(kind, n)
		}
	}
	if !more && l.g.used < l.g.slots && l.inactiveIsLow(linuxAnon) {
		l.shrinkActive(linuxAnon, reclaimBatch)
	}
	return more
}

// inactiveIsLow says whether the inactive list is too short beside the active
// one (inactive_is_low): by 1:1 below 1 GiB, by the square root of ten times the
// gigabytes above.
func (l *linuxPolicy) inactiveIsLow(kind uint8) bool {
	inactive, active := l.len(inactiveOf(kind)), l.len(inactiveOf(kind)+1)
	ratio := 1
	if gb := (inactive + active) >> (30 - pageShift); gb > 0 {
		ratio = int(math.Sqrt(float64(10 * gb)))
	}
	return inactive*ratio < active
}

// shrinkActive makes pages at the end of an active list inactive, but for code in
// use (shrink_active_list).
func (l *linuxPolicy) shrinkActive(kind uint8, n int) {
	active := inactiveOf(kind) + 1
	for range min(n, l.len(active)) {
		p := l.last(active)
		if l.g.young(p) > 0 && kind == linuxFile && l.g.executable(p) {
			l.put(active, p)
			continue
		}
		*l.page(p) |= linuxWorkingset
		l.put(active-1, p)
	}
}

// shrinkInactive decides on pages at the end of an inactive list
// (shrink_inactive_list, folio_check_references).
func (l *linuxPolicy) shrinkInactive(kind uint8, n int) {
	list := inactiveOf(kind)
	n = min(n, l.len(list))
	l.g.scanned += uint64(n)
	for range n {
		p := l.last(list)
		i := l.page(p)
		switch refs := l.g.young(p); {
		case refs == 0:
			l.drop(p)
			l.ready = append(l.ready, p)
		case *i&linuxReferenced != 0 || refs > 1 || kind == linuxFile && l.g.executable(p):
			*i |= linuxReferenced
			l.age++
			l.put(list+1, p)
		default:
			*i |= linuxReferenced
			l.put(list, p)
		}
	}
}

// executable says whether a page is mapped as code (VM_EXEC). Precondition: g.mu.
func (g *memory) executable(pfn uint32) bool {
	for _, at := range g.mappings(nil, pfn) {
		if v := at.space().list().at(at.vpn << pageShift); v != nil && v.flags&vmExec != 0 {
			return true
		}
	}
	return false
}
