package curve

// sums are counts of blocks of slots, of which those before a block are added up in
// the same steps whatever the block: how many steps a tree of them takes (P. Fenwick,
// 1994) cannot be guessed by a processor. Counts lie side by side in words, and are
// added up together.
type sums struct {
	blocks []uint64 // of each block, 4 in a word
	groups []uint64 // of sumGroup blocks, 4 in a word
	whole  []uint64 // of sumGroup groups, 2 in a word
}

const (
	sumGroup = 16
	// All of a group have to fit in 16 bits, and four words of groups side by side.
	_ = uint16(4 * sumGroup * blockBits)
)

func newSums(blocks int) sums {
	whole := (blocks + sumGroup*sumGroup - 1) / (sumGroup * sumGroup)
	return sums{
		blocks: make([]uint64, whole*sumGroup*sumGroup/4),
		groups: make([]uint64, whole*sumGroup/4),
		whole:  make([]uint64, (whole+1)/2),
	}
}

func (s *sums) clear() {
	clear(s.blocks)
	clear(s.groups)
	clear(s.whole)
}

// add adds to the count of a block; n may be negative.
func (s *sums) add(block uint32, n int) {
	group := block / sumGroup
	whole := group / sumGroup
	s.blocks[block/4] += uint64(n) << (block % 4 * 16)
	s.groups[group/4] += uint64(n) << (group % 4 * 16)
	s.whole[whole/2] += uint64(n) << (whole % 2 * 32)
}

// before is the sum of the blocks before one.
func (s *sums) before(block uint32) uint32 {
	group := block / sumGroup
	whole := group / sumGroup
	sum := pairs(lanesBefore(s.blocks, block)) + pairs(lanesBefore(s.groups, group))
	for i, w := range s.whole {
		sum += w & uint64(int64(i-int(whole/2))>>63)
	}
	sum += s.whole[whole/2] & (1<<(whole%2*32) - 1)
	return uint32(sum) + uint32(sum>>32)
}

// lanesBefore adds up the words of counts that lie in one group with count n, without
// those from it on.
func lanesBefore(words []uint64, n uint32) uint64 {
	group := (*[sumGroup / 4]uint64)(words[n/sumGroup*(sumGroup/4):])
	masks := &lanes[n%sumGroup]
	return group[0]&masks[0] + group[1]&masks[1] + group[2]&masks[2] + group[3]&masks[3]
}

// pairs makes two counts of 32 bits of four of 16.
func pairs(x uint64) uint64 {
	const even = 0x0000_ffff_0000_ffff
	return x&even + x>>16&even
}

// lanes are masks of the counts before one, in the words of a group.
var lanes = func() (masks [sumGroup][sumGroup / 4]uint64) {
	for n := range sumGroup {
		for before := range n {
			masks[n][before/4] |= 0xffff << (before % 4 * 16)
		}
	}
	return masks
}()
