package synth

// loop sweeps the first Window pages Rounds times, then the next Window pages,
// and so on to the end of the region (whose last window may be smaller), and
// begins again.
func loop(p Params) func(*thread) walk {
	return func(*thread) walk {
		start, at, round := uint64(0), uint64(0), uint64(0)
		return func() uint64 {
			page := at
			if at++; at < min(start+p.Window, p.Pages) {
				return page
			}
			if round++; round == p.Rounds {
				round = 0
				if start += p.Window; start >= p.Pages {
					start = 0
				}
			}
			at = start
			return page
		}
	}
}
