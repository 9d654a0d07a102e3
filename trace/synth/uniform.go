package synth

// uniform draws pages, each as likely as any other.
func uniform(p Params) func(*thread) walk {
	return func(t *thread) walk {
		return func() uint64 { return t.rng.below(p.Pages) }
	}
}
