package synth

// strided takes pages 0, s, 2s, ... to the end of the region, then 1, 1+s, ...,
// up to s-1, and begins again: each page once in a pass, in the order of a
// matrix of s pages a row that is read by columns.
func strided(p Params) func(*thread) walk {
	columns := min(p.Stride, p.Pages)
	return func(*thread) walk {
		column, at := uint64(0), uint64(0)
		return func() uint64 {
			page := at
			if at += columns; at >= p.Pages {
				column = (column + 1) % columns
				at = column
			}
			return page
		}
	}
}
