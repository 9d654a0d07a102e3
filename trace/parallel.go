package trace

import (
	"sync"

	"github.com/klauspost/compress/zstd"
)

// pipeline unpacks blocks ahead: one goroutine reads frames, the workers
// decompress and decode them, take hands them out in the order of the file.
//
//	free -> reader -> todo  -> worker --ready--+
//	  ^          \--> order ----------------> take
//	  +---------------------------------------/
//
// A fixed number of blocks goes round. The channel of free ones is both the
// pool and the back-pressure: when the user of the batches is slow, nothing is
// free and reading stops.
type pipeline struct {
	free  chan *block
	todo  chan *block
	order chan *block
	quit  chan struct{}
	last  *block // handed out
	group sync.WaitGroup
}

// newPipeline starts workers+1 goroutines, which end with close.
func newPipeline(f feed, workers int, word func(*Ref) uint64) (*pipeline, error) {
	decompressors := make([]*zstd.Decoder, workers)
	for i := range decompressors {
		var err error
		if decompressors[i], err = newDecompressor(); err != nil {
			return nil, err
		}
	}
	blocks := workers + 2 // one being read, one handed out
	p := &pipeline{free: make(chan *block, blocks), todo: make(chan *block, blocks), order: make(chan *block, blocks), quit: make(chan struct{})}
	for range blocks {
		p.free <- &block{ready: make(chan struct{}, 1), dec: blockDecoder{word: word}}
	}
	p.group.Go(func() { p.read(f) })
	for _, zr := range decompressors {
		p.group.Go(func() { p.work(zr) })
	}
	return p, nil
}

// read fills free blocks until the feed ends. The sends never wait: there is
// room for every block.
func (p *pipeline) read(f feed) {
	defer close(p.todo)
	for {
		var b *block
		select {
		case b = <-p.free:
		case <-p.quit:
			return
		}
		b.index, b.err = nil, nil
		f.next(b)
		end := b.err != nil
		p.order <- b
		p.todo <- b
		if end {
			return
		}
	}
}

func (p *pipeline) work(zr *zstd.Decoder) {
	defer zr.Close()
	for b := range p.todo {
		b.unpack(zr, true)
		b.ready <- struct{}{}
	}
}

// take waits for the next block of the file. It is not called again after one
// that carries an error.
func (p *pipeline) take() *block {
	if p.last != nil {
		p.free <- p.last
	}
	p.last = <-p.order
	<-p.last.ready
	return p.last
}

func (p *pipeline) close() {
	close(p.quit)
	p.group.Wait()
}
