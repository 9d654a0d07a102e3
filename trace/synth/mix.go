package synth

// mix draws for every reference, with equal chances, one of four quarters of the
// region, each with a pattern of its own: a scan, a loop over a sixteenth of its
// quarter, popular pages, and uniform ones. These are the classes that LIRS
// (Jiang and Zhang, SIGMETRICS 2002) and ARC (Megiddo and Modha, FAST 2003) were
// made to tell apart: a scan is best not kept at all, a loop is best kept in
// part, popularity wants frequency and not recency. What does not divide evenly
// belongs to the last quarter.
func mix(p Params) func(*thread) walk {
	quarter := p.Pages / 4
	popular := newZipfTable(quarter, p.Theta)
	return func(t *thread) walk {
		scanned := sweep(0, quarter)
		looped := sweep(quarter, max(quarter/16, 1))
		return func() uint64 {
			switch t.rng.below(4) {
			case 0:
				return scanned()
			case 1:
				return looped()
			case 2:
				return 2*quarter + popular.draw(t.rng)
			}
			return 3*quarter + t.rng.below(p.Pages-3*quarter)
		}
	}
}
