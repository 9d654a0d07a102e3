package synth

// scan sends Share percent of the references to the first Hot percent of the
// pages, drawn uniformly, and the others through the rest of the region from
// beginning to end: the scan that pushes what is hot out of an LRU memory.
func scan(p Params) func(*thread) walk {
	hot := max(p.Pages*p.Hot/100, 1)
	return func(t *thread) walk {
		cold := sweep(hot, p.Pages-hot)
		return func() uint64 {
			if t.rng.below(100) < p.Share {
				return t.rng.below(hot)
			}
			return cold()
		}
	}
}
