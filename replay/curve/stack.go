package curve

import (
	"math/bits"

	"github.com/vmtrace/vmtrace/paging"
)

// stack is the order of the last uses of pages. Every use gets the next slot in a
// row of bits, and the page's old one is given up, so that the distance of a page
// is the number of bits set from its slot on (B. T. Bennett, V. J. Kruskal: LRU Stack
// Processing, IBM Journal of Research and Development 1975). Sums of the bits of
// blocks make counting short.
//
// A page that is no more leaves a hole: memories that held it have room for one
// page more, and do not take back what they had evicted. So its bit stays. The next
// page that comes from below the topmost hole fills it, and leaves a hole where it
// was: memories that did not hold it have filled their free frame, those that held
// it still have theirs.
//
// When the slots are used up the bits that are set move together; there are at
// least as many slots again then, so that this costs little for each use.
type stack struct {
	bits    []uint64
	blocks  sums     // of the bits set in blocks of blockBits, up to the open one
	open    uint32   // bits set in the block of the next use
	next    uint32   // slot of the next use
	pages   []uint32 // by slot
	known   paging.StackPages
	holes   []uint32 // slots of holes: a heap, the topmost first
	alive   int      // bits set
	deepest int      // the most there were
	times   times

	counts paging.StackCounts
	loaded uint64 // of no meaning: has UseAll load
}

const (
	blockShift = 9
	blockBits  = 1 << blockShift
	blockWords = blockBits / 64
	firstSlots = 1 << 16
)

func newStack() *stack {
	s := &stack{}
	s.resize(firstSlots)
	return s
}

func (s *stack) resize(slots int) {
	s.bits = make([]uint64, slots/64)
	s.pages = make([]uint32, slots)
	s.blocks = newSums(slots / blockBits)
	s.next, s.open = 0, 0
}

// Pages implements paging.UseStack.
func (s *stack) Pages() *paging.StackPages { return &s.known }

// Counts implements paging.UseStack.
func (s *stack) Counts() *paging.StackCounts { return &s.counts }

// Insert implements paging.UseStack.
func (s *stack) Insert(page uint32) {
	if len(s.holes) > 0 {
		s.clear(s.popHole())
	}
	p := s.known.At(page)
	s.push(page, p)
	s.times.first(&p.Last)
}

// Use implements paging.UseStack.
func (s *stack) Use(page uint32, p *paging.StackPage) uint32 {
	if p.Slot == 0 {
		return 0
	}
	s.times.again(&p.Last)
	if slot := p.Slot - 1; slot != s.next-1 {
		return s.raise(page, p, slot)
	}
	return 1
}

// UseAll implements paging.UseStack.
func (s *stack) UseAll(pages []uint32, known []*paging.StackPage, distances []uint32) {
	loaded := uint64(0)
	for _, p := range known { // none of these loads waits for another
		loaded |= s.bits[p.Slot/64&uint32(len(s.bits)-1)] // the slot is one more: hardly ever in another word
	}
	s.loaded = loaded
	for i, p := range known {
		distances[i] = s.Use(pages[i], p)
	}
}

// raise moves a page that is not there already to the top and returns its place
// before that.
func (s *stack) raise(page uint32, p *paging.StackPage, slot uint32) uint32 {
	hole := len(s.holes) > 0 && s.holes[0] > slot
	if next := s.next; !hole && slot>>blockShift == next>>blockShift && int(next) < len(s.pages) {
		// from one slot to another of the same block: no sum changes
		d := s.within(slot, next)
		s.bits[slot/64] &^= 1 << (slot % 64)
		s.bits[next/64] |= 1 << (next % 64)
		s.pages[next], p.Slot = page, next+1
		s.next++
		return d
	}
	d := s.above(slot)
	if hole {
		s.clear(s.popHole())
		s.pushHole(slot)
	} else {
		s.clear(slot)
	}
	s.push(page, p)
	return d
}

// within is how many bits are set from the slot on, when none is from next on.
func (s *stack) within(slot, next uint32) uint32 {
	n := bits.OnesCount64(s.bits[slot/64] >> (slot % 64))
	for w := slot/64 + 1; w <= (next-1)/64; w++ {
		n += bits.OnesCount64(s.bits[w])
	}
	return uint32(n)
}

// Place implements paging.UseStack.
func (s *stack) Place(page uint32) uint32 {
	if slot := s.known.At(page).Slot; slot != 0 {
		return s.above(slot - 1)
	}
	return 0
}

// Remove implements paging.UseStack.
func (s *stack) Remove(page uint32) {
	if p := s.known.At(page); p.Slot != 0 {
		s.pushHole(p.Slot - 1)
		p.Slot = 0
	}
}

// push gives a page the next slot.
func (s *stack) push(page uint32, p *paging.StackPage) {
	if int(s.next) == len(s.pages) {
		s.compact()
	}
	slot := s.next
	if s.next++; slot%blockBits == 0 {
		if slot > 0 {
			s.blocks.add((slot-1)>>blockShift, int(s.open))
		}
		s.open = 0
	}
	s.pages[slot], p.Slot = page, slot+1
	s.bits[slot/64] |= 1 << (slot % 64)
	s.open++
	s.alive++
	s.deepest = max(s.deepest, s.alive)
}

func (s *stack) clear(slot uint32) {
	s.bits[slot/64] &^= 1 << (slot % 64)
	if slot>>blockShift == (s.next-1)>>blockShift {
		s.open--
	} else {
		s.blocks.add(slot>>blockShift, -1)
	}
	s.alive--
}

// above is how many bits are set from the slot on.
func (s *stack) above(slot uint32) uint32 {
	block := slot >> blockShift
	before := s.blocks.before(block)
	words := (*[blockWords]uint64)(s.bits[block*blockWords:])
	last := slot / 64 % blockWords
	whole := (*[blockWords]uint64)(wholeWords[blockWords-last:])
	for w := range words { // of those from the slot's on nothing: how many that is cannot be guessed
		before += uint32(bits.OnesCount64(words[w] & whole[w]))
	}
	before += uint32(bits.OnesCount64(words[last] & (1<<(slot%64) - 1)))
	return uint32(s.alive) - before
}

// wholeWords are masks of words before one, and from it on.
var wholeWords = func() (masks [2 * blockWords]uint64) {
	for w := range blockWords {
		masks[w] = ^uint64(0)
	}
	return masks
}()

// compact moves what is there to the first slots, in order.
func (s *stack) compact() {
	pages, row := s.pages, s.bits
	slots := firstSlots
	for slots < 4*s.alive {
		slots *= 2
	}
	holes := make(map[uint32]bool, len(s.holes))
	for _, h := range s.holes {
		holes[h] = true
	}
	if slots > len(pages) || 4*slots < len(pages) {
		s.resize(slots)
	} else { // in place: nothing moves up
		s.blocks.clear()
		s.next, s.open = 0, 0
	}
	s.holes = s.holes[:0]
	s.alive = 0
	var nobody paging.StackPage
	for w, word := range row {
		row[w] = 0
		if w+1 < len(row) {
			for next := row[w+1]; next != 0; next &= next - 1 {
				s.known.Expect(pages[(w+1)*64+bits.TrailingZeros64(next)])
			}
		}
		for ; word != 0; word &= word - 1 {
			slot := uint32(w*64 + bits.TrailingZeros64(word))
			if page := pages[slot]; len(holes) > 0 && holes[slot] {
				s.pushHole(s.next)
				s.push(0, &nobody)
			} else {
				s.push(page, s.known.At(page))
			}
		}
	}
}

func (s *stack) pushHole(slot uint32) {
	s.holes = append(s.holes, slot)
	for i := len(s.holes) - 1; i > 0; {
		up := (i - 1) / 2
		if s.holes[up] >= s.holes[i] {
			break
		}
		s.holes[up], s.holes[i] = s.holes[i], s.holes[up]
		i = up
	}
}

func (s *stack) popHole() uint32 {
	top := s.holes[0]
	n := len(s.holes) - 1
	s.holes[0] = s.holes[n]
	s.holes = s.holes[:n]
	for i := 0; ; {
		child := 2*i + 1
		if child >= n {
			return top
		}
		if child+1 < n && s.holes[child+1] > s.holes[child] {
			child++
		}
		if s.holes[i] >= s.holes[child] {
			return top
		}
		s.holes[i], s.holes[child] = s.holes[child], s.holes[i]
		i = child
	}
}
