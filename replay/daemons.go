package replay

import (
	"time"

	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/replay/result"
)

// What the kernel does beside the programs wants time to pass: background reclaim
// (paging.Config.Kswapd) and write-back (paging.Config.Flusher). Time is what the counts
// stand for by the table of costs - accesses, faults, and waiting for pages that are
// read - and never less than the Time records of the trace say has gone by. It is looked
// at when a reference has taken a fault, after an event, and every so many accesses: at
// places that do not depend on how the references are cut into batches.

// How many accesses there are between two looks at the time: short against a batch of
// kswapd, or only against the seconds of the flusher.
const (
	kswapdStep  = 1 << 14
	flusherStep = 1 << 20
)

// daemons is that time, in ns.
type daemons struct {
	on    bool
	due   bool    // a fault was taken
	step  uint64  // accesses between two looks
	next  uint64  // accesses at the next look
	spent float64 // on faults
	ahead uint64  // what Time records have added
	first uint64  // the first Time record says 0 when that much was over
	told  bool    // there was one

	access, diskRead, swapIn float64
	kinds                    [paging.NumFaultKinds]float64
}

// newDaemons prices what takes time. c is the configuration of the model, which it
// completes.
func newDaemons(c *paging.Config, costs *Costs) daemons {
	if !c.Kswapd && !c.Flusher {
		return daemons{}
	}
	ns := func(what string) time.Duration { return time.Duration(wholeNS(costs.NS(what))) }
	c.BackgroundCosts = paging.BackgroundCosts{Wake: ns("lock.wake"), Page: ns("reclaim_page"), Write: ns("swap_out_page")}
	d := daemons{on: true, step: kswapdStep, access: costs.NS("access"), diskRead: costs.NS("disk_read"), swapIn: costs.NS("swap_in_page")}
	if !c.Kswapd {
		d.step = flusherStep
	}
	d.next = d.step
	for k := range d.kinds {
		d.kinds[k] = costs.NS("fault." + paging.FaultKind(k).String())
	}
	return d
}

// fault adds the time that a fault takes.
func (d *daemons) fault(i *paging.FaultInfo) {
	if !d.on {
		return
	}
	d.due = true
	d.spent += d.kinds[i.Kind]
	switch {
	case i.Outcome != paging.Major:
	case i.Kind == paging.SwapIn:
		d.spent += d.swapIn
	default:
		d.spent += d.diskRead
	}
}

// now is the time after so many accesses.
func (d *daemons) now(accesses uint64) uint64 {
	return d.ahead + wholeNS(float64(accesses)*d.access+d.spent)
}

// tell takes notice of a Time record: where it is later than it seemed, it is.
func (d *daemons) tell(ns, accesses uint64) {
	now := d.now(accesses)
	if !d.told {
		d.told, d.first = true, ns-now
	}
	if told := ns - d.first; told > now && ns >= d.first {
		d.ahead += told - now
	}
	d.due = true
}

// background lets the threads of the kernel work, if it is time to look.
func (e *engine) background() {
	d := &e.daemons
	if !d.on || !d.due && e.accesses < d.next {
		return
	}
	d.due = false
	d.next = e.accesses - e.accesses%d.step + d.step
	e.machine.Background(d.now(e.accesses))
}

// writeBack fills in what the flusher has written, nil without one.
func writeBack(c *paging.Config, s *paging.Stats) *result.WriteBack {
	if !c.Flusher {
		return nil
	}
	return &result.WriteBack{OldBytes: s.Flusher.Old * paging.PageSize, BackgroundBytes: s.Flusher.Background * paging.PageSize}
}

// watermarks are those of a whole machine, nil for a group.
func (e *engine) watermarks() *result.Watermarks {
	least, low, high := e.machine.Marks()
	if high == 0 {
		return nil
	}
	return &result.Watermarks{MinBytes: least, LowBytes: low, HighBytes: high}
}
