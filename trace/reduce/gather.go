package reduce

import (
	"math"

	"github.com/vmtrace/vmtrace/trace"
)

// numSlots is how many pages a gatherer follows at a time.
const numSlots = 1 << 12

// gatherer moves counts of references that are passed on together to the last
// of them to the same page, and leaves 1 on the others. Counts that differ from
// one reference to the next are what a compressor cannot predict: in a reduced
// trace of gzip they were 40 % of the file. No count becomes 0 that was not, so
// the model does the same at every reference.
type gatherer struct {
	round uint32 // a slot of another round is empty
	slots [numSlots]slot
}

// slot holds where the counts of a page are: 1 + position of the reference that
// has its reads, writes and fetches, 0 for none.
type slot struct {
	vpn   uint64
	round uint32
	at    [3]int32
}

// reset forgets all pages.
func (g *gatherer) reset() {
	if g.round++; g.round == 0 { // after 2^32 rounds slots would look alive again
		clear(g.slots[:])
		g.round = 1
	}
}

// add gathers on the last of refs what earlier ones to its page hold. A page
// whose slot another one took keeps what it has.
func (g *gatherer) add(refs []trace.Ref) {
	n := int32(len(refs))
	r := &refs[n-1]
	s := &g.slots[r.VPN*0x9e3779b97f4a7c15>>52]
	if s.round != g.round || s.vpn != r.VPN {
		*s = slot{vpn: r.VPN, round: g.round}
	}
	if r.Reads > 0 {
		if s.at[0] > 0 {
			move(&r.Reads, &refs[s.at[0]-1].Reads)
		}
		s.at[0] = n
	}
	if r.Writes > 0 {
		if s.at[1] > 0 {
			move(&r.Writes, &refs[s.at[1]-1].Writes)
		}
		s.at[1] = n
	}
	if r.Execs > 0 {
		if s.at[2] > 0 {
			move(&r.Execs, &refs[s.at[2]-1].Execs)
		}
		s.at[2] = n
	}
}

// move moves all but 1, where there is room.
func move(to, from *uint32) {
	if uint64(*to)+uint64(*from)-1 <= math.MaxUint32 {
		*to, *from = *to+*from-1, 1
	}
}
