package paging

// frameStack is a stack of frame numbers in blocks, so that it grows and shrinks
// without being copied: of a process that ends with gigabytes of memory all frames
// come at once. The zero value is empty.
type frameStack struct {
	below [][]uint32 // full blocks
	top   []uint32   // of capacity stackBlock, or nil
	spare []uint32   // an empty block, so that one page up and down allocates nothing
}

const stackBlock = 1 << 14

func (s *frameStack) len() int { return len(s.below)*stackBlock + len(s.top) }

// push puts frames on the stack.
func (s *frameStack) push(frames ...uint32) {
	for len(frames) > 0 {
		if len(s.top) == cap(s.top) {
			if s.top != nil {
				s.below = append(s.below, s.top)
			}
			if s.top, s.spare = s.spare, nil; s.top == nil {
				s.top = make([]uint32, 0, stackBlock)
			}
		}
		n := min(len(frames), cap(s.top)-len(s.top))
		s.top = append(s.top, frames[:n]...)
		frames = frames[n:]
	}
}

// pop appends up to n frames to dst, those that came last, in the order they came.
// It gives fewer at the end of a block.
func (s *frameStack) pop(dst []uint32, n int) []uint32 {
	if len(s.top) == 0 && len(s.below) > 0 {
		s.spare, s.top = s.top, s.below[len(s.below)-1]
		s.below = s.below[:len(s.below)-1]
	}
	rest := len(s.top) - min(n, len(s.top))
	dst = append(dst, s.top[rest:]...)
	s.top = s.top[:rest]
	return dst
}

// all lists the frames, first come first.
func (s *frameStack) all() (list []uint32) {
	for _, b := range s.below {
		list = append(list, b...)
	}
	return append(list, s.top...)
}
