package synth

// fileSync maps a file of Pages shared, for each thread one, and Rounds times
// writes to every page and waits until the file is written back (msync with
// MS_SYNC).
func fileSync(p Params) program {
	return program{body: func(t *thread) {
		at := base + t.index*p.Pages<<pageShift
		t.mapFile(at, p.Pages, mapShared, t.newFile(p.Pages))
		for range p.Rounds {
			t.writePages(at, p.Pages)
			t.msync(at, p.Pages)
		}
	}}
}
