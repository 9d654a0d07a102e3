package replay

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/replay/result"
	"github.com/vmtrace/vmtrace/trace"
)

// Options configure a replay. The zero value of every field but Model is
// useful.
type Options struct {
	Model   paging.Config // Levels 0: those of the trace's ABI, see doc.go
	Costs   Costs         // for estimates of time; zero value = DefaultCosts
	Path    string        // of the trace, for the result
	Workers int           // goroutines that may perform what CPUs do side by side, and the number for the result; 0 = 1
	// RecycleEvery drops the clean pages of files from the page cache, mapped or not,
	// after every so many accesses; 0 = never.
	RecycleEvery uint64
	Buckets      int               // most buckets of the time line; 0 = 1000
	Check        bool              // recount the whole model while replaying and at the end
	Sample       *Sample           // replay only a share of the pages, which stands for all; nil = all of them. Memory and swap are taken as given: scale them
	Pace         func(out, in int) // called before each batch of a sample: so many of its references are left out, so many are not; nil = nobody
	Explain      func(Step)        // called for every fault, in order; slows the replay down; nil = none
	Work         func(Work)        // called for every fault and every call of the model, in order; slows the replay down; nil = none
	Frames       *Frames           // watches what stands in the frames, for textbook tables; slows the replay down; nil = nobody
	Progress     func(Progress)    // called now and then from the goroutine of Run; nil = none
}

// Progress tells how far a replay is.
type Progress struct {
	Records  uint64 // of the trace
	Accesses uint64
	Faults   uint64
}

// ErrCheck is returned when the model's own recount found a contradiction: a
// bug of the model, never of the trace.
var ErrCheck = errors.New("the model contradicts itself")

const (
	chunkRefs      = 4096    // references handed to the model at a time
	checkEvents    = 4096    // events between two recounts with Options.Check
	checkRefs      = 1 << 20 // or references
	progressEvery  = 1 << 20 // records between two calls of Progress
	defaultBuckets = 1000
)

// engine is the state of one replay. It is used by one goroutine.
type engine struct {
	opts    Options
	number  int // for whoever runs several
	limits  limits
	header  *trace.Header
	imposed bool // captured: recorded addresses hold, a refused access does not kill
	machine *paging.Machine

	threads map[uint32]*thread  // living, by thread id
	procs   map[uint32]*process // living, by process id
	rows    []*process          // the first limits.rows of all, in order of appearance
	others  processSum          // the rest
	started int                 // threads ever
	current *thread             // the one switched in last, nil for none

	early    bool // the batch at hand comes before the part that was asked for
	inKernel bool // a call or a copy is being done

	files       map[uint64]*knownFile   // by id
	unknown     map[uint64]*unknownFile // by process id<<32 | descriptor
	memfds      uint64                  // made by memfd_create
	descriptors int                     // in the tables of all living processes

	records  uint64 // of the trace, done: the number of the one at hand
	refs     uint64 // performed
	accesses uint64 // performed
	unpicked tally  // not in the sample
	passed   tally  // of threads that never started or are dead
	lost     lost
	chunk    []paging.Ref

	timeline *timeline
	clock    clock
	daemons  daemons

	nextRecycle, recycled uint64 // accesses; pages
	mappings              *mappings
	agree                 agreement
	marks                 []result.Mark
	names                 names
	warnings              warnings
	finalRSS              uint64
	oomKills              uint64
	costs                 Costs

	sinceCheck struct{ events, refs int }
	nextTell   uint64
}

// tally counts records, references and their accesses.
type tally struct{ records, refs, accesses uint64 }

func newEngine(h *trace.Header, opts Options, lim limits) (*engine, error) {
	imposed := h.Origin == "captured" || h.Origin == "converted"
	if err := opts.mayRecycle(); err != nil {
		return nil, err
	}
	if opts.Sample != nil {
		opts.Model.Only, opts.Model.TLB = opts.Sample.chooses, opts.Model.TLB.Scaled(opts.Sample.Rate)
	}
	opts.Costs = opts.Costs.OrDefault()
	daemons := newDaemons(&opts.Model, &opts.Costs)
	m, err := paging.New(addressSpace(opts.Model, h.ABI, imposed))
	if err != nil {
		return nil, err
	}
	if opts.Buckets <= 0 {
		opts.Buckets = defaultBuckets
	}
	e := &engine{
		opts:     opts,
		costs:    opts.Costs,
		limits:   lim,
		header:   h,
		imposed:  imposed,
		machine:  m,
		threads:  map[uint32]*thread{},
		procs:    map[uint32]*process{},
		files:    map[uint64]*knownFile{},
		unknown:  map[uint64]*unknownFile{},
		chunk:    make([]paging.Ref, chunkRefs),
		timeline: newTimeline(opts.Buckets),
		clock:    newClock(opts.Model),
		daemons:  daemons,

		nextRecycle: opts.RecycleEvery,
		mappings:    newMappings(lim.rows),
		agree:       newAgreement(lim.ignored),
		names:       names{limit: lim.names},
		warnings:    warnings{limit: lim.warnings},
		nextTell:    progressEvery,
	}
	if opts.Model.Memory > 0 && opts.Sample == nil {
		e.timeline.working = &working{}
	}
	m.OnFault(e.onFault)
	if opts.Explain != nil {
		m.TellEntries()
	}
	return e, nil
}

// addressSpace fits the address space of the model to the programs of the trace:
// with no number of levels given, i386 programs get 2 and others 4. An i386
// program on 4 or 5 levels is one of a 64-bit kernel, and so is a recorded one:
// what was recorded on such a kernel lies above the 3 GiB of a 32-bit one.
func addressSpace(c paging.Config, abi trace.ABI, imposed bool) paging.Config {
	if abi == trace.ABII386 {
		if c.Levels == 0 {
			c.Levels = 2
		}
		c.Compat = c.Compat || c.Levels > 3 || imposed
	} else if c.Levels == 0 {
		c.Levels = 4
	}
	return c
}

// loop takes the whole source through this engine alone.
func (e *engine) loop(ctx context.Context, src trace.Source) error {
	return newLane(e).loop(ctx, src)
}

// take applies a batch; of its references those that are given.
func (e *engine) take(b *trace.Batch, refs []trace.Ref) (err error) {
	e.early = b.Early
	if b.Event != nil {
		err = e.event(b.Event)
		e.background()
	} else {
		err = e.batch(b, refs)
	}
	return e.taken(b, len(refs), err)
}

// taken ends a batch of which so many references were to be applied.
func (e *engine) taken(b *trace.Batch, refs int, err error) error {
	e.sinceCheck.refs += refs
	if b.Event != nil && err == nil {
		e.records++
		e.sinceCheck.events++
	}
	if err == nil && e.opts.Check {
		err = e.check()
	}
	if err != nil {
		return fmt.Errorf("%s: record %d: %w", cmp.Or(e.opts.Path, "trace"), e.records, err)
	}
	if e.records >= e.nextTell {
		e.tell()
	}
	return nil
}

// leave is told before each batch how many references of it are not in the sample,
// what they stand for, and how many are.
func (e *engine) leave(out, in int, accesses trace.Sum) {
	e.records += uint64(out)
	e.unpicked.refs += uint64(out)
	e.unpicked.accesses += accesses.Accesses()
	if e.opts.Pace != nil {
		e.opts.Pace(out, in)
	}
}

func (e *engine) check() error {
	if e.sinceCheck.events < checkEvents && e.sinceCheck.refs < checkRefs {
		return nil
	}
	e.sinceCheck.events, e.sinceCheck.refs = 0, 0
	if err := e.machine.Check(); err != nil {
		return fmt.Errorf("%w: %w", ErrCheck, err)
	}
	return nil
}

func (e *engine) tell() {
	e.nextTell = e.records + progressEvery
	if e.opts.Progress != nil {
		s := e.machine.Stats()
		e.opts.Progress(Progress{Records: e.records, Accesses: e.accesses, Faults: s.Minor + s.Major})
	}
}

// batch replays references of one thread, those of the batch or some of them: it
// converts them in chunks that end where a bucket of the time line ends. What a
// thread does that never started or is dead is passed over. It returns an error for
// a reference that does not count its own first access.
func (e *engine) batch(b *trace.Batch, refs []trace.Ref) error {
	th := e.runnable(b.Thread)
	for len(refs) > 0 && th != nil && !th.proc.dead {
		chunk, accesses, bad := e.chunkOf(b, refs)
		if w := e.timeline.working; w != nil {
			w.use(th.proc.pid, e.accesses, refs[:len(chunk)])
		}
		done := e.runChunk(th, chunk, refs, accesses)
		if e.opts.Frames != nil && done > 0 {
			e.opts.Frames.after(th.task, &refs[0])
		}
		refs = refs[done:]
		if bad && done == len(chunk) && !th.proc.dead {
			return fmt.Errorf("%w: the reference to page %#x does not count its first access", trace.ErrCorrupt, refs[0].VPN)
		}
		e.tick()
		e.background()
		e.recycle()
		if e.accesses >= e.timeline.boundary {
			e.timeline.snapshot(e.accesses, e.machine.Stats(), len(e.threads))
		}
	}
	for i := range refs {
		e.passed.accesses += refs[i].Accesses()
	}
	e.passed.refs += uint64(len(refs))
	e.passed.records += uint64(len(refs))
	e.records += uint64(len(refs))
	return nil
}

// Word is what package paging wants of a reference, for trace.WithWords: a source
// that makes words saves the engine making them, and lets the goroutines that
// decode ahead do it.
func Word(r *trace.Ref) uint64 {
	ref, _ := paging.MakeRef(r.VPN, paging.Access(r.First), r.Reads, r.Writes, r.Execs)
	return uint64(ref)
}

// chunkOf is what the first of refs, which are the batch or the rest of it, or some
// of it, are to the model: as many as there is room for, and how many accesses they
// stand for. bad says that the reference after them is not a valid one.
func (e *engine) chunkOf(b *trace.Batch, refs []trace.Ref) (chunk []paging.Ref, s trace.Sum, bad bool) {
	room := e.room()
	if len(b.Words) == len(refs) && b.Sum.Accesses() < room && !e.single() {
		return paging.Refs(b.Words), b.Sum, false
	}
	return e.fill(refs, room)
}

// room is how many accesses there are to the end of the bucket of the time line, or
// to what else happens at a number of them.
func (e *engine) room() uint64 {
	room := e.timeline.boundary - e.accesses
	if e.clock.step != 0 {
		room = min(room, e.clock.next-e.accesses)
	}
	if e.daemons.on {
		room = min(room, e.daemons.next-e.accesses)
	}
	if e.opts.RecycleEvery != 0 {
		room = min(room, e.nextRecycle-e.accesses)
	}
	return room
}

// single says that references are performed one by one, so that a fault can be told
// by the number of its record.
func (e *engine) single() bool {
	return e.opts.Explain != nil || e.opts.Frames != nil || e.opts.Work != nil
}

// fill packs references into the chunk until it is full or there is no more room.
func (e *engine) fill(refs []trace.Ref, room uint64) (chunk []paging.Ref, s trace.Sum, bad bool) {
	n := min(len(refs), chunkRefs)
	if e.single() {
		n = 1
	}
	chunk = e.chunk[:n]
	data, fetches := uint64(0), uint64(0) // in registers: this is where the time goes
	for i := range chunk {
		r := &refs[i]
		ref, ok := paging.MakeRef(r.VPN, paging.Access(r.First), r.Reads, r.Writes, r.Execs)
		if !ok {
			n, bad = i, true
			break
		}
		chunk[i] = ref
		data += uint64(r.Reads) + uint64(r.Writes)
		fetches += uint64(r.Execs)
		if data+fetches >= room {
			n = i + 1
			break
		}
	}
	return chunk[:n], trace.Sum{Data: data, Fetches: fetches}, bad
}

// runChunk performs the chunk, which is the beginning of refs and stands for so
// many accesses, and deals with every refused access in it. It returns how many
// references were performed: fewer than the chunk holds when one of them ended
// the process.
func (e *engine) runChunk(th *thread, chunk []paging.Ref, refs []trace.Ref, all trace.Sum) int {
	done := 0
	for done < len(chunk) {
		n, out := th.task.Run(chunk[done:])
		whole := n // performed to the end
		if out.Fatal() {
			whole--
		}
		if n < len(chunk) || out.Fatal() {
			all = trace.Sum{}
			for i := range whole {
				all.Add(&refs[done+i])
			}
		}
		th.task.Count(all.Data, all.Fetches)
		if out == paging.OOM && e.makeVictim(th) {
			n, out = whole, paging.OK // there may be room now: once more
		}
		done += n
		e.performed(th, n, all)
		if e.daemons.due && !out.Fatal() {
			e.background()
		}
		if out.Fatal() {
			r := &refs[done-1]
			e.accesses += r.Accesses()
			if th.proc.dead { // it was the victim
				break
			}
			e.refused(th, r.VPN<<12|uint64(r.Offset), out)
			if th.proc.dead {
				break
			}
		}
	}
	return done
}

// performed counts so many references of a thread, and their accesses.
func (e *engine) performed(th *thread, refs int, all trace.Sum) {
	th.refs += uint64(refs)
	e.refs += uint64(refs)
	e.records += uint64(refs)
	e.accesses += all.Accesses()
	th.accesses += all.Accesses()
}
