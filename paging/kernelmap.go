package paging

import "sync"

// Kernel mappings that come and go with what programs do, after Linux 6.1
// mm/highmem.c, mm/vmalloc.c and kernel/fork.c.
//
// High memory (Config.HighMem, 32-bit kernels): the kernel has no lasting mapping
// of the frames of programs.
//
//	kmap_local  to zero or copy a frame: a fixed place of the CPU, whose entry
//	            this CPU flushes when it is done
//	kmap        where the kernel may sleep meanwhile: a place of a pool. Places
//	            given up stay mapped until the pool comes round, which flushes every
//	            CPU
//
// Thread stacks (64-bit kernels, CONFIG_VMAP_STACK): a virtual area with its
// frames and page tables at once, and a guard page. Each CPU keeps two that were
// given up. The areas of others are not used again before a flush of every CPU,
// which comes when many have gathered.

const (
	threadPages   = 4 // THREAD_SIZE, 16 KiB
	areaPages     = threadPages + 1
	cachedStacks  = 2               // NR_CACHED_STACKS, of a CPU
	areaStride    = 2 * threadPages // areas begin at multiples of THREAD_SIZE (THREAD_ALIGN)
	lazyUnit      = 32 << 20 / PageSize
	pkmapEntries  = 1024 // LAST_PKMAP
	pkmapPAE      = 512
	stacksInTable = tableSize / areaStride
)

// kernelMaps is the state of the kernel's mappings.
type kernelMaps struct {
	mu    sync.Mutex // innermost but for cpu.queueMu
	stats KernelStats

	pkmap     map[uint32]uint32 // place of a frame in the pool, in use or not
	nextPkmap uint32

	nextArea uint64     // first that was never used
	free     areaHeap   // places of areas to be used again
	lazy     []uint64   // given up, and not flushed yet
	cache    [][]uint64 // of each CPU: stacks kept
}

// KernelStats counts kernel mappings.
type KernelStats struct {
	Kmaps          uint64 // pages mapped by kmap, those that were mapped still not counted
	KmapWraps      uint64 // the pool came round and was flushed
	KmapLocals     uint64
	StacksMade     uint64 // thread stacks made by vmalloc
	StacksReused   uint64 // taken from a CPU's cache
	StacksFreed    uint64 // unmapped
	VmallocBytes   uint64 // in use now, guard pages not counted
	PeakBytes      uint64 // the most that was
	Purges         uint64 // flushes of areas given up
	PageTableBytes uint64 // of the areas; they are never freed
}

// areaHeap is a heap of places: the lowest is used first.
type areaHeap []uint64

func (h *areaHeap) push(n uint64) {
	*h = append(*h, n)
	for i := len(*h) - 1; i > 0; {
		up := (i - 1) / 2
		if (*h)[up] <= (*h)[i] {
			return
		}
		(*h)[up], (*h)[i] = (*h)[i], (*h)[up]
		i = up
	}
}

func (h *areaHeap) pop() uint64 {
	old := *h
	least, last := old[0], len(old)-1
	old[0] = old[last]
	*h = old[:last]
	for i := 0; ; {
		child := 2*i + 1
		if child >= last {
			return least
		}
		if child+1 < last && old[child+1] < old[child] {
			child++
		}
		if old[i] <= old[child] {
			return least
		}
		old[i], old[child] = old[child], old[i]
		i = child
	}
}

// mapsHigh is what a fault of a kind does with high memory: it zeroes a frame, or
// copies one into another (include/linux/highmem.h: clear_user_highpage,
// copy_user_highpage). pages is how many entries became present.
func (t *Task) mapsHigh(kind FaultKind, pages int) {
	if pages <= 0 {
		return
	}
	switch kind {
	case DemandZero, CowZero:
		t.kmapLocal(1)
	case FileCOW, CowCopy, Unshare:
		t.kmapLocal(2)
	}
}

// kmapLocal maps n frames of high memory in places of the CPU and unmaps them
// (__kmap_local_pfn_prot, kunmap_local_indexed): each is one page flushed on this
// CPU (arch_kmap_local_post_unmap).
func (t *Task) kmapLocal(n uint64) {
	if !t.machine.cfg.HighMem {
		return
	}
	t.stats.kmapLocals += n
	st := &t.stats.flushes[FlushKmapLocal]
	st.Requests += n
	st.Ranged += n
	st.Pages += n
	st.Local += n
}

// kmap maps a frame of high memory in the pool and gives it up again (kmap_high,
// kunmap_high). Its place is kept until the pool comes round.
func (t *Task) kmap(pfn uint32) {
	m := t.machine
	if !m.cfg.HighMem || pfn < firstPFN { // the zero page is not in high memory
		return
	}
	k := &m.kernel
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.pkmap[pfn]; ok {
		return
	}
	k.stats.Kmaps++
	size := uint32(pkmapEntries)
	if m.layout.levels == 3 {
		size = pkmapPAE
	}
	k.nextPkmap = (k.nextPkmap + 1) % size
	if k.nextPkmap == 0 { // flush_all_zero_pkmaps; nothing is in use
		clear(k.pkmap)
		k.stats.KmapWraps++
		m.flushKernel(t, FlushKmap, uint64(size))
	}
	if k.pkmap == nil {
		k.pkmap = map[uint32]uint32{}
	}
	k.pkmap[pfn] = k.nextPkmap
}

// flushKernel flushes pages of the kernel's half on every CPU
// (flush_tlb_kernel_range): above the ceiling all of the TLB, the entries of
// programs with it.
func (m *Machine) flushKernel(t *Task, cause FlushCause, pages uint64) {
	st := &t.stats.flushes[cause]
	st.Requests++
	everything := pages > m.profile.ceiling
	if everything {
		st.Full++
	} else {
		st.Ranged++
		st.Pages += pages
	}
	for i, c := range m.cpus {
		if t.onCPU == i {
			st.Local++
		} else {
			st.IPIs++
		}
		if everything {
			c.enqueue(flushRequest{everything: true})
		}
	}
}

// takeStack gives a new thread its stack, on the CPU of the task that makes it
// (alloc_thread_stack_node).
func (m *Machine) takeStack(by *Task) (area uint64) {
	if m.layout.levels < 4 {
		return 0 // 32-bit kernels take two pages that are mapped anyway
	}
	k := &m.kernel
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.cache == nil {
		k.cache = make([][]uint64, len(m.cpus))
	}
	if c := k.cache[by.onCPU]; len(c) > 0 {
		k.cache[by.onCPU] = c[1:]
		k.stats.StacksReused++
		return c[0]
	}
	if len(k.free) > 0 {
		area = k.free.pop()
	} else {
		area = k.nextArea
		k.nextArea++
		for span := uint64(stacksInTable); span <= stacksInTable*tableSize && area%span == 0; span *= tableSize {
			k.stats.PageTableBytes += PageSize // the leaf table, and the directory of a gigabyte
		}
	}
	k.stats.StacksMade++
	k.stats.VmallocBytes += threadPages * PageSize
	k.stats.PeakBytes = max(k.stats.PeakBytes, k.stats.VmallocBytes)
	return area
}

// giveStack takes back the stack of a thread that ends on the CPU of by
// (free_thread_stack): the CPU keeps it, or it is unmapped, and flushed with many
// others (free_vmap_area_noflush, __purge_vmap_area_lazy).
func (m *Machine) giveStack(by *Task, area uint64) {
	if m.layout.levels < 4 {
		return
	}
	k := &m.kernel
	k.mu.Lock()
	defer k.mu.Unlock()
	if c := k.cache[by.onCPU]; len(c) < cachedStacks {
		k.cache[by.onCPU] = append(c, area)
		return
	}
	k.stats.StacksFreed++
	k.stats.VmallocBytes -= threadPages * PageSize
	k.lazy = append(k.lazy, area)
	if uint64(len(k.lazy)*areaPages) <= m.lazyMax() {
		return
	}
	first, last := k.lazy[0], k.lazy[0]
	for _, a := range k.lazy {
		first, last = min(first, a), max(last, a)
		k.free.push(a)
	}
	k.lazy = k.lazy[:0]
	k.stats.Purges++
	m.flushKernel(by, FlushVunmap, (last-first)*areaStride+areaPages)
}

// lazyMax is how many pages of areas may wait for a flush (lazy_max_pages).
func (m *Machine) lazyMax() uint64 {
	n := uint64(0)
	for c := len(m.cpus); c > 0; c >>= 1 { // fls
		n += lazyUnit
	}
	return n
}
