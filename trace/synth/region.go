package synth

import "fmt"

// A pattern is a way to walk over the pages of one region, which the threads of
// a process share.
type (
	// pattern makes, once, what all threads use, and returns what makes the
	// walk of one of them.
	pattern func(p Params) func(t *thread) walk
	// walk returns the page (0 to Pages-1) of the next reference.
	walk func() uint64
)

// region makes a generator of a pattern: each process maps Pages of private
// anonymous memory, and each of its threads makes Refs accesses to it.
func region(pat pattern) func(Params) program {
	return func(p Params) program {
		start := pat(p)
		return program{
			image: func(t *thread) { t.mapAnon(base, p.Pages) },
			body: func(t *thread) {
				const size = 8 // bytes of an access
				next := start(t)
				for i := range p.Refs {
					t.mixed(base+next()<<pageShift+i*size%pageSize, p.Writes)
				}
			},
		}
	}
}

// needPages refuses regions that are too small for a pattern.
func needPages(least uint64) func(Params) error {
	return func(p Params) error {
		if p.Pages < least {
			return fmt.Errorf("--pages: %d pages: must be %d at least", p.Pages, least)
		}
		return nil
	}
}
