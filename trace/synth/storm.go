package synth

// mmapStorm makes Rounds small mappings in Live places, drawn at random: each
// has from 2 to Pages pages, of which the last becomes a guard page (mprotect),
// the first is written, and the others are never touched. One that stands in
// the place is unmapped before, and all are at the end.
func mmapStorm(p Params) program {
	return program{body: func(t *thread) {
		slots(t, p, func(at uint64) uint64 {
			pages := t.rng.between(min(2, p.Pages), p.Pages)
			t.mapAnon(at, pages)
			if pages > 1 {
				t.mprotect(at+(pages-1)<<pageShift, 1, protNone)
			}
			t.write(at)
			return pages
		})
	}}
}
