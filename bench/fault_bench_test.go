package bench

import (
	"runtime"
	"testing"
	"time"

	"github.com/vmtrace/vmtrace/paging"
)

// faultPages is how many pages an iteration of BenchmarkFault faults in.
const faultPages = 1 << 16

// faultKind is a leaf of the fault tree, and how to get there.
type faultKind struct {
	name   string
	kind   paging.FaultKind
	args   paging.MmapArgs
	file   bool          // the mapping is of a file, of faultPages
	before paging.Access // of every page before the faults that count, 0 for none
	access paging.Access
	faults int // pages for one fault, 0 = 1
	set    func(*paging.Config)
}

var faultKinds = []faultKind{
	{name: "anon-write", kind: paging.DemandZero, args: paging.MmapArgs{Flags: anonymous}, access: paging.Write},
	{name: "anon-read", kind: paging.ZeroPage, args: paging.MmapArgs{Flags: anonymous}, access: paging.Read},
	{name: "anon-read-write", kind: paging.CowZero, args: paging.MmapArgs{Flags: anonymous}, before: paging.Read, access: paging.Write},
	{name: "file-read", kind: paging.FileRead, args: paging.MmapArgs{Flags: private}, file: true, access: paging.Read, faults: 16},
	{name: "file-cow", kind: paging.FileCOW, args: paging.MmapArgs{Flags: private}, file: true, access: paging.Write},
	{name: "file-shared", kind: paging.FileShared, args: paging.MmapArgs{Flags: shared}, file: true, access: paging.Write},
	{name: "mkwrite", kind: paging.MkWrite, args: paging.MmapArgs{Flags: shared}, file: true, before: paging.Read, access: paging.Write},
	{name: "shmem", kind: paging.FileShared, args: paging.MmapArgs{Flags: sharedAnon}, access: paging.Write},
	{name: "huge", kind: paging.HugeDemand, args: paging.MmapArgs{Flags: anonymous}, access: paging.Write, faults: 512, set: func(c *paging.Config) { c.THP = paging.THPAlways }},
}

// BenchmarkFault measures page faults by kind, on one core: each iteration maps a
// region, faults in every page of it once, and unmaps it. ns/fault is all of that;
// ns/fault-alone the faults without the rest.
func BenchmarkFault(b *testing.B) {
	for _, k := range faultKinds {
		b.Run("kind="+k.name, func(b *testing.B) {
			c := paging.DefaultConfig()
			if k.set != nil {
				k.set(&c)
			}
			m, err := paging.New(c)
			if err != nil {
				b.Fatal(err)
			}
			t := m.NewProcess(1, 1, 0)
			k.args.Prot, k.args.Addr = protRW, 1<<32 // aligned: windows of fault-around and huge pages are whole
			if k.file {
				k.args.File = m.File(1, 1, faultPages<<pageShift, "data")
			}
			measureFaults(b, t, &k)
		})
	}
}

func measureFaults(b *testing.B, t *paging.Task, k *faultKind) {
	first := k.args.Addr >> pageShift
	order := sequence(faultPages)
	refs, before := touches(first, order, k.access), touches(first, order, k.before)
	want := faultPages / max(1, k.faults)
	round := func() time.Duration {
		region(b, t, faultPages, k.args)
		if k.before != 0 {
			run(b, t, before)
		}
		began := time.Now()
		run(b, t, refs)
		took := time.Since(began)
		t.Munmap(k.args.Addr, faultPages<<pageShift)
		return took
	}
	round()
	if got := t.Machine().Stats().Faults[k.kind]; got != uint64(want) {
		b.Fatalf("%d faults of kind %v, want %d", got, k.kind, want)
	}
	alone := time.Duration(0)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		alone += round()
	}
	b.StopTimer()
	perRef(b, want, "fault")
	perAlone(b, want, alone)
}

// perAlone reports the rate and the time of faults without what is around them.
func perAlone(b *testing.B, faults int, took time.Duration) {
	total := float64(faults) * float64(b.N)
	b.ReportMetric(total/took.Seconds(), "faults-alone/s")
	b.ReportMetric(float64(took.Nanoseconds())/total, "ns/fault-alone")
}

// BenchmarkCopyOnWrite forks and writes every page in the child.
func BenchmarkCopyOnWrite(b *testing.B) {
	const pages = 1 << 14
	t := newTask(b)
	first := region(b, t, pages, paging.MmapArgs{Prot: protRW, Flags: anonymous})
	refs := touches(first, sequence(pages), paging.Write)
	run(b, t, refs)
	alone := time.Duration(0)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		child := t.Fork(uint32(i+2), uint32(i+2), 1)
		began := time.Now()
		run(b, child, refs)
		alone += time.Since(began)
		if minor, _ := child.Faults(); minor != pages {
			b.Fatalf("%d faults in the child for %d pages", minor, pages)
		}
		child.ExitGroup()
	}
	b.StopTimer()
	perRef(b, pages, "fault")
	perAlone(b, pages, alone)
}

// BenchmarkFork forks a process with so many pages, and lets the child end: page
// tables are copied and made read-only, and freed.
func BenchmarkFork(b *testing.B) {
	const pages = 1 << 16
	t := newTask(b)
	first := region(b, t, pages, paging.MmapArgs{Prot: protRW, Flags: anonymous})
	run(b, t, touches(first, sequence(pages), paging.Write))
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		t.Fork(uint32(i+2), uint32(i+2), 1).ExitGroup()
	}
	b.StopTimer()
	perRef(b, pages, "page")
}

// BenchmarkTLB is references that find their translation in the first level of the
// TLB, in the second, and in neither, by pages in turn: the default TLB has 64 and
// 1,536 entries.
func BenchmarkTLB(b *testing.B) {
	for _, c := range []struct {
		name  string
		pages int
		miss  bool
	}{{"first", 32, false}, {"second", 1024, false}, {"walk", 1 << 14, true}} {
		b.Run("hit="+c.name, func(b *testing.B) {
			t := newTask(b)
			first := region(b, t, c.pages, paging.MmapArgs{Prot: protRW, Flags: anonymous})
			run(b, t, touches(first, sequence(c.pages), paging.Write))
			refs := make([]paging.Ref, 0, 1<<16)
			for len(refs) < cap(refs) {
				refs = append(refs, touches(first, sequence(c.pages), paging.Read)...)
			}
			run(b, t, refs)
			before := t.Machine().Stats().TLB.Misses()
			run(b, t, refs)
			if got := t.Machine().Stats().TLB.Misses() - before; got > uint64(len(refs)) || (got > 0) != c.miss {
				b.Fatalf("%d misses of %d references", got, len(refs))
			}
			runtime.GC()
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				run(b, t, refs)
			}
			b.StopTimer()
			perRef(b, len(refs), "ref")
		})
	}
}
