package synth

import "fmt"

// forkServer is a server that forks a child for each request. The parent writes
// all its Pages first. In each round it forks Children; a child writes Writes
// percent of the pages, beginning at a random one, reads the others, and ends.
// When all have ended the parent writes one page, another in each round.
//
// Every page a child writes is copied, since the parent has it too; the page the
// parent writes is its own again by then, and is reused.
func forkServer(p Params) program {
	request := func(t *thread) {
		first, dirty := t.rng.below(p.Pages), p.Pages*p.Writes/100
		for i := range p.Pages {
			addr := base + (first+i)%p.Pages<<pageShift
			if i < dirty {
				t.write(addr)
			} else {
				t.read(addr)
			}
		}
	}
	return program{body: func(t *thread) {
		t.mapAnon(base, p.Pages)
		t.writePages(base, p.Pages)
		children := make([]*thread, p.Children)
		for round := range p.Rounds {
			for i := range children {
				children[i] = t.fork(request)
			}
			for _, c := range children {
				t.wait(c)
			}
			t.write(base + round%p.Pages<<pageShift)
		}
	}}
}

// idsSuffice refuses more forks than there are ids.
func idsSuffice(p Params) error {
	const maxForks = 1<<32 - 2
	if p.Rounds > maxForks/p.Children {
		return fmt.Errorf("--rounds %d of --children %d: must be at most %d processes in all", p.Rounds, p.Children, uint64(maxForks))
	}
	return nil
}
