package synth

// sequential takes every page in turn and begins again after the last.
func sequential(p Params) func(*thread) walk {
	return func(*thread) walk { return sweep(0, p.Pages) }
}

// sweep takes the pages of [first, first+n) in turn, over and over.
func sweep(first, n uint64) walk {
	at := n - 1
	return func() uint64 {
		if at++; at == n {
			at = 0
		}
		return first + at
	}
}
