package paging

import "slices"

// mglruPolicy is the multi-generational LRU of Linux 6.1 (mm/vmscan.c with
// CONFIG_LRU_GEN, mm/workingset.c:lru_gen_refault), as a memory cgroup drives it.
//
// Pages of each kind, of swap and of files, are in up to four generations. A page
// that is faulted in begins in the youngest. The aging looks at all accessed bits,
// moves what was used to the youngest generation, and then opens a new one; the
// eviction takes from the oldest, and looks at the accessed bits once more: a page
// that was used meanwhile becomes young, and so do those around it. Which kind is
// evicted is settled by a controller that compares how much of what was evicted
// of each came back.
//
// Differs from Linux: the aging goes through the resident pages, not through page
// tables with filters of where it pays to look; a page that is found young moves
// to its new generation at once, not when the eviction meets it; batches of the
// eviction are of 32 pages, not 64, and no more pages leave than are wanted; dirty
// pages of files are written by whoever needs room; thrashing prevention
// (min_ttl_ms), which wants time, is off, as it is by default; kswapd ages
// generations where programs would, and not at every priority (lru_gen_age_node). Tiers:
// see policy_mglru_tiers.go.
//
// As in Linux no page goes to swap where fewer than 64 slots are left (get_swappiness),
// so memory may be out before swap is.
type mglruPolicy struct {
	pageLists
	g     *memory
	max   uint64    // max_seq: the youngest generation
	min   [2]uint64 // min_seq: the oldest of each kind
	ctrl  [2]mglruControl
	ready []uint32 // isolated to be reclaimed
}

const (
	mglruMinGens = 2       // MIN_NR_GENS
	mglruMaxGens = 4       // MAX_NR_GENS
	mglruBatch   = 64      // MIN_LRU_BATCH
	mglruScan    = 64 * 64 // MAX_LRU_BATCH
	mglruRetries = 16      // MAX_RECLAIM_RETRIES
)

func newMGLRU(g *memory) policy {
	return &mglruPolicy{pageLists: newPageLists(2*mglruMaxGens, &g.pages), g: g, max: mglruMinGens + 1}
}

// generation is the list of a generation of a kind.
func generation(kind uint8, seq uint64) int {
	return 1 + int(kind)*mglruMaxGens + int(seq%mglruMaxGens)
}

func (l *mglruPolicy) gens(kind uint8) uint64 { return l.max - l.min[kind] + 1 }

func (l *mglruPolicy) page(p uint32) *mglruPage { return (*mglruPage)(l.mark(p)) }

// when is the oldest generation when a page left, plus 1, or 0.
func (l *mglruPolicy) when(p uint32) *uint32 { return &l.rows.known(p).gone }

// insert is lru_gen_add_folio of a page that is faulted in, and lru_gen_refault.
func (l *mglruPolicy) insert(p uint32) {
	i, kind := l.page(p), l.g.linuxKind(p)
	if left := l.when(p); *left != 0 {
		tier := tierOf(i.count())
		if *i = 0; *left == uint32(l.min[kind]+1) {
			l.ctrl[kind].refaulted[tier]++
			*i = mglruWorkingset | mglruRefs
		}
		*left = 0
	}
	l.put(generation(kind, l.max), p)
}

func (l *mglruPolicy) hit(uint32) {} // it looks at bits

// left is lru_gen_eviction.
func (l *mglruPolicy) left(p uint32) {
	kind := l.g.linuxKind(p)
	*l.when(p) = uint32(l.min[kind] + 1)
	l.ctrl[kind].evicted[tierOf(l.page(p).count())]++
}

func (l *mglruPolicy) forget(p uint32) {
	l.drop(p)
	*l.page(p), *l.when(p) = 0, 0
	l.ready = slices.DeleteFunc(l.ready, func(r uint32) bool { return r == p })
}

// victim is try_to_free_mem_cgroup_pages, again as long as try_charge_memcg would.
func (l *mglruPolicy) victim(uint32) uint32 {
	for range mglruRetries {
		for priority := linuxPriority; priority >= 0 && len(l.ready) == 0; priority-- {
			l.shrink(priority)
		}
		if len(l.ready) > 0 {
			p := l.ready[0]
			l.ready = l.ready[1:]
			return p
		}
	}
	return 0
}

// shrink is lru_gen_shrink_lruvec with get_nr_to_scan: it isolates pages to be
// reclaimed, if the priority lets it look at enough.
func (l *mglruPolicy) shrink(priority int) {
	for scanned := 0; len(l.ready) == 0; {
		oldest := uint8(linuxFile)
		if l.g.slots-l.g.used >= mglruBatch { // get_swappiness
			oldest = linuxAnon
		}
		aging, n := l.shouldAge(oldest, priority)
		if aging && priority < linuxPriority {
			l.age()
		}
		if n == 0 || l.min[oldest]+mglruMinGens > l.max {
			return
		}
		d := l.evict(oldest)
		if scanned += d; d == 0 || scanned >= n {
			return
		}
	}
}

// shouldAge is should_run_aging; n is how many pages a round of this priority
// looks at. Kinds before oldest do not count.
func (l *mglruPolicy) shouldAge(oldest uint8, priority int) (aging bool, n int) {
	total, young, old := 0, 0, 0
	for kind := oldest; kind <= linuxFile; kind++ {
		for seq := l.min[kind]; seq <= l.max; seq++ {
			size := l.len(generation(kind, seq))
			total += size
			switch {
			case seq == l.max:
				young += size
			case seq+mglruMinGens == l.max:
				old += size
			}
		}
	}
	n = total >> priority
	if least := l.min[oldest] + mglruMinGens; least != l.max {
		return least > l.max, n
	}
	return young*mglruMinGens > total || old*(mglruMinGens+2) < total, n
}

// age is try_to_inc_max_seq.
func (l *mglruPolicy) age() {
	for kind := range uint8(2) {
		for seq := l.min[kind]; seq <= l.max; seq++ {
			l.walk(generation(kind, seq), func(p uint32) {
				if l.g.young(p) > 0 {
					l.promote(p, seq)
				}
			})
		}
	}
	for kind := range uint8(2) {
		if l.gens(kind) < mglruMaxGens {
			continue
		}
		from := generation(kind, l.min[kind]) // inc_min_seq
		for p := l.last(from); p != 0; p = l.last(from) {
			l.spare(p)
		}
		l.advance(kind, l.min[kind]+1)
	}
	l.max++
}

// promote puts a page of a generation that was used into the youngest
// (folio_update_gen).
func (l *mglruPolicy) promote(p uint32, seq uint64) {
	*l.page(p) = 0
	if seq != l.max {
		l.put(generation(l.g.linuxKind(p), l.max), p)
	}
}

// spare puts a page of the oldest generation into the next, where it is the first to be
// looked at (folio_inc_gen).
func (l *mglruPolicy) spare(p uint32) {
	*l.page(p) = 0
	kind := l.g.linuxKind(p)
	l.putLast(generation(kind, l.min[kind]+1), p)
}

// advance makes another generation the oldest of a kind.
func (l *mglruPolicy) advance(kind uint8, seq uint64) {
	l.min[kind] = seq
	l.ctrl[kind].advance()
}

// evict is evict_folios: it returns how many pages it has looked at, 0 also when
// there are too few generations to go on.
func (l *mglruPolicy) evict(oldest uint8) (scanned int) {
	kind, tier := l.kindToScan(oldest)
	scanned = l.scan(kind, tier)
	if scanned == 0 && oldest == linuxAnon {
		scanned = l.scan(1-kind, l.ctrl[1-kind].alone())
	}
	if l.skipEmpty(oldest) {
		scanned++
	}
	if l.gens(oldest) == mglruMinGens {
		return 0
	}
	return scanned
}

// skipEmpty is try_to_inc_min_seq.
func (l *mglruPolicy) skipEmpty(oldest uint8) (advanced bool) {
	seqs := l.min
	for kind := oldest; kind <= linuxFile; kind++ {
		for seqs[kind]+mglruMinGens <= l.max && l.len(generation(kind, seqs[kind])) == 0 {
			seqs[kind]++
		}
	}
	if oldest == linuxAnon { // files are never behind anonymous memory
		seqs[linuxAnon] = min(seqs[linuxAnon], seqs[linuxFile])
		seqs[linuxFile] = max(seqs[linuxAnon], l.min[linuxFile])
	}
	for kind := oldest; kind <= linuxFile; kind++ {
		if seqs[kind] != l.min[kind] {
			l.advance(kind, seqs[kind])
			advanced = true
		}
	}
	return advanced
}

// kindToScan is isolate_folios with get_type_to_scan: files, unless what came back of
// them, weighed by swappiness, is more than of anonymous memory; and the highest tier
// whose pages may leave.
func (l *mglruPolicy) kindToScan(oldest uint8) (kind uint8, tier int) {
	anon, file := &l.ctrl[linuxAnon], &l.ctrl[linuxFile]
	const anonGain, fileGain = linuxSwappiness, 200 - linuxSwappiness
	switch {
	case oldest == linuxFile:
		return linuxFile, file.alone()
	case l.min[linuxAnon] < l.min[linuxFile]:
		return linuxAnon, anon.alone()
	case lower(file, 0, fileGain, anon, anonGain):
		return linuxFile, file.highest(fileGain, anon, anonGain)
	}
	return linuxAnon, anon.highest(anonGain, file, fileGain)
}

// scan is scan_folios, and what shrink_folio_list does with its pages. It returns how
// many it has looked at, 0 if it could take none of them.
func (l *mglruPolicy) scan(kind uint8, tier int) (scanned int) {
	if l.gens(kind) == mglruMinGens {
		return 0
	}
	from, taken := generation(kind, l.min[kind]), 0
	for ; scanned < mglruScan && len(l.ready) < reclaimBatch && l.len(from) > 0; scanned++ {
		p := l.last(from)
		i := l.page(p)
		if t := tierOf(i.count()); t > tier || i.count() == mglruRefs+1 { // sort_folio
			l.ctrl[kind].protected[t]++
			l.spare(p)
			continue
		}
		taken++
		l.g.scanned++
		i.isolate()
		if l.g.young(p) > 0 {
			l.promote(p, l.min[kind])
			l.lookAround(p)
			continue
		}
		l.drop(p)
		l.ready = append(l.ready, p)
	}
	if taken == 0 && scanned < mglruScan {
		return 0
	}
	return scanned
}

// lookAround makes those of the 64 pages around one young that were used, within
// the mapping and the leaf table (lru_gen_look_around).
func (l *mglruPolicy) lookAround(p uint32) {
	for _, at := range l.g.mappings(nil, p) {
		v, tab := at.space().list().at(at.vpn<<pageShift), at.tab
		if v == nil {
			continue
		}
		base := at.vpn &^ (tab.pages() - 1)
		start, end := max(base, v.first()), min(base+tab.pages(), v.last())
		if end-start > mglruBatch {
			start = min(max(at.vpn, start+mglruBatch/2)-mglruBatch/2, end-mglruBatch)
			end = start + mglruBatch
		}
		for vpn := start; vpn < end; vpn++ {
			e := tab.load(vpn)
			q := ptePFN(e)
			if e&(pteP|pteNone) != 0 && l.of(q) != 0 && l.g.clearYoung(mapping{tab, vpn}, q) {
				l.promote(q, l.min[l.g.linuxKind(q)])
			}
		}
	}
}
