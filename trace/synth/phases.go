package synth

import "fmt"

// phases divides the region and the run into as many parts: in each part of the
// run references are uniform in one part of the region (Denning and Kahn, A
// Study of Program Locality and Lifetime Functions, SOSP 1975). The first thread
// of each process marks where they begin. What does not divide evenly belongs to
// the last part.
func phases(p Params) func(*thread) walk {
	pages, refs := p.Pages/p.Phases, p.Refs/p.Phases
	return func(t *thread) walk {
		phase, left, size := uint64(0), uint64(0), uint64(0)
		return func() uint64 {
			if left == 0 {
				phase++
				left, size = refs, pages
				if phase == p.Phases {
					left, size = p.Refs-(phase-1)*refs, p.Pages-(phase-1)*pages
				}
				if t.index == 0 {
					t.mark(fmt.Sprintf("phase %d", phase))
				}
			}
			left--
			return (phase-1)*pages + t.rng.below(size)
		}
	}
}

func phasesFit(p Params) error {
	if p.Phases > p.Pages || p.Phases > p.Refs {
		return fmt.Errorf("--phases: %d phases: must be at most one for each of --pages %d and --refs %d", p.Phases, p.Pages, p.Refs)
	}
	return nil
}
