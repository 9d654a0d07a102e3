package trace

import "net/http"

// ReaderOption configures how a trace is read.
type ReaderOption func(*readerOptions)

type readerOptions struct {
	workers   int
	selection Selection
	verify    bool
	client    *http.Client
	word      func(*Ref) uint64
}

func newReaderOptions(opts []ReaderOption) readerOptions {
	o := readerOptions{workers: 1}
	for _, f := range opts {
		f(&o)
	}
	return o
}

// WithWorkers decodes blocks ahead with n goroutines and one more that reads.
// Batches and errors are the same for every n; 1 (the default) or less starts no
// goroutine. Each worker and two blocks more take up to 64 MiB for a block that
// is as large as the limits allow, which one of packed tokens may be, about 8 MiB for
// another one of this package; WithWords adds up to 36 MiB, or 3.
func WithWorkers(n int) ReaderOption {
	return func(o *readerOptions) { o.workers = n }
}

// WithVerify counts every block again and holds all of its index entry against
// it, not only lengths and record counts.
func WithVerify() ReaderOption {
	return func(o *readerOptions) { o.verify = true }
}

// WithSelection reads a part of the trace.
func WithSelection(s Selection) ReaderOption {
	return func(o *readerOptions) { o.selection = s }
}

// WithWords hands out a word for each reference beside it, and how many accesses a
// batch stands for. Only the page, the first access and which counts are not 0 may
// decide on the word: it is made once for all references of a symbol, and for one
// whose counts are not part of the symbol from counts of 1. word must be safe for
// concurrent use. Who looks at words only never waits for the references.
func WithWords(word func(*Ref) uint64) ReaderOption {
	return func(o *readerOptions) { o.word = word }
}

// WithHTTPClient sets the client that fetches http and https addresses.
func WithHTTPClient(c *http.Client) ReaderOption {
	return func(o *readerOptions) { o.client = c }
}
