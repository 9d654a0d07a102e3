package scale

import (
	"math"
	"testing"
)

// Schedules by hand, of the design vma with the prices of the other tests: a word costs
// 10, and 90 more if another CPU changed it last; 100 of the 1000 of a fault are with the
// table locked. Objects: 1 the address space, 2, 4 and 6 mappings, 3, 5 and 7 a table in
// each.

// faultOf is a fault of the mapping.
func faultOf(mapping uint32, compute, work float32) step {
	return step{compute: compute, work: work, at: [table + 1]uint32{mm: 1, vma: mapping, table: mapping + 1}}
}

// changeOf is a call that changes mappings first to end of program.changed.
func changeOf(first, end uint32, compute, work float32) step {
	return step{kind: change, compute: compute, work: work, at: [table + 1]uint32{mm: 1}, first: first, end: end}
}

// simulated checks when the end is, and what is waited for longest.
func simulated(t *testing.T, what string, p *program, end float64, on string, wait, spent float64) {
	t.Helper()
	o := simulate(p, design(t, "vma"), len(p.threads), price)
	if o.now != end || o.spent != spent {
		t.Errorf("%s: the end is at %v ns, want %v; the threads spent %v, want %v", what, o.now, end, o.spent, spent)
	}
	if got, share := o.waits(); got != on || math.Abs(share-wait/spent) > 1e-12 {
		t.Errorf("%s: %.4f of the time is spent waiting for %q, want %.4f for %q", what, share, got, wait/spent, on)
	}
}

// A fault comes while a call waits for the mapping.
//
//	thread 0  0 word of 2 to 10, reads 2; 900 to 910, table to 1010
//	thread 1  500 word of mm to 510, has mm; word of 2 (0 changed it) to 610; waits for 0
//	thread 2  700 nobody has 2 alone; its word (1 changed it) to 800; 1 waits for it: no
//	          word of mm (1 changed it) to 900; waits for 1
//	thread 0  1010 word of 2 (2 changed it) to 1110, gives 2 back
//	thread 1  1110 has 2; 1000 to 2110, gives back both
//	thread 2  2110 reads mm; 900 to 3010, table to 3110; word of mm, its own, to 3120
//
// Spent: 1110, then 2110 - 0, then 3120. Thread 1 waits 610 to 1110 for 2, thread 2 waits
// 900 to 2110 for mm.
func TestTryFailsBehindWaiter(t *testing.T) {
	p := &program{objects: 3, changed: []uint32{2}, threads: [][]step{
		{faultOf(2, 0, 1000)}, {changeOf(0, 1, 500, 1000)}, {faultOf(2, 700, 1000)},
	}}
	simulated(t, "a waiting writer", p, 3120, "the address space's lock", 2110-900, 1110+2110+3120)
}

// A call changes two mappings while a fault holds one of them.
//
//	thread 0  0 word of 4 to 10, reads 4; to 910, table to 1010
//	thread 1  500 word of mm to 510, has mm; word of 2, new to all, to 520, has 2;
//	          word of 4 (0) to 620; waits for 0
//	thread 2  600 a fault of 2: 1 has it alone; word of mm (1) to 700; waits for 1
//	thread 3  600 a fault of 6: word to 610, reads 6; 2900 to 3510, table to 3610, word,
//	          its own, to 3620: waits for nobody
//	thread 0  1010 word of 4 (1) to 1110, gives it back
//	thread 1  1110 has 4; 1000 to 2110, gives back all three
//	thread 4  2200 a fault of 2: word (1) to 2300, reads 2; 900 to 3200, table: thread 2
//	          had it from 3010 to 3110; to 3300, word, its own, to 3310
//	thread 2  2110 reads mm; to 3010, table to 3110, word, its own, to 3120
//
// Spent: 1110, 2110, 3120, 3620, 3310. Thread 2 waits 700 to 2110 for mm.
func TestCallChangesTwo(t *testing.T) {
	p := &program{objects: 7, changed: []uint32{2, 4}, threads: [][]step{
		{faultOf(4, 0, 1000)}, {changeOf(0, 2, 500, 1000)}, {faultOf(2, 600, 1000)}, {faultOf(6, 600, 3000)}, {faultOf(2, 2200, 1000)},
	}}
	simulated(t, "two mappings", p, 3620, "the address space's lock", 2110-700, 1110+2110+3120+3620+3310)
}

// A fault of a mapping without an anon_vma has to have the mmap lock, which a call holds
// that changes another mapping; one with does not.
//
//	thread 0  0 word of mm to 10, has mm; word of 6 to 20, has 6; 1000 to 1020
//	thread 1  0 word of mm, when 0 has changed it: 10 to 110; waits for 0;
//	          1020 reads mm; to 1920, table to 2020, word, its own, to 2030
//
// With an anon_vma: word of 2 to 10, to 910, table to 1010, word to 1020. Thread 1 spends
// all its time; it waits 10 + 90 for the word and 110 to 1020 for the lock.
func TestNoAnonVMA(t *testing.T) {
	f := faultOf(2, 0, 1000)
	p := &program{objects: 7, changed: []uint32{6}, threads: [][]step{{changeOf(0, 1, 0, 1000)}, {f}}}
	simulated(t, "with an anon_vma", p, 1020, "", 0, 1020+1020)
	p.threads[1][0].kind = slowFault
	simulated(t, "without", p, 2030, "the address space's lock", 1020-110, 1020+2030)
}

// A call that only looks shares the mmap lock with such a fault, and none with others.
//
//	thread 0  0 word of mm to 10, reads mm; 1000 to 1010; word of mm (1) to 1110
//	thread 1  0 word of mm 10 to 110, reads mm; 900 to 1010, table to 1110; word of mm (0)
//	          to 1210
func TestLook(t *testing.T) {
	f := faultOf(2, 0, 1000)
	f.kind = slowFault
	p := &program{objects: 3, threads: [][]step{{{kind: look, work: 1000, at: f.at}}, {f}}}
	simulated(t, "a call that looks", p, 1210, "the word of the address space's lock", 90+100+90, 1110+1210)
}

// munmap goes on with the mmap lock for reading while it drops pages, and gives its
// mappings back before: faults go on, an mmap waits, and with the mmap lock alone the
// faults wait behind it.
//
//	thread 0  0 word of mm to 10, has mm; word of 6 to 20, has 6; 1000 to 1020; has mm for
//	          reading, gives 6 back; drops until 2020
//	thread 1  a fault that must have mm: 500 word (0) to 600; waits for 0; 1020 reads mm; 900
//	          to 1920, table to 2020, word, changed by 2, to 2120
//	thread 2  a call: 700 word of mm (1) to 800; waits for 0 and 1; 2120 has mm; word of 2
//	          to 2130, has 2; 1000 to 3130
//	thread 3  a fault of 6: 1100 word (0) to 1200, reads 6; 900 to 2100, table to 2200, word,
//	          its own, to 2210: waits for nobody
//
// For mm thread 1 waits 600 to 1020, and thread 2 800 to 2120.
func TestMunmapEases(t *testing.T) {
	slow := faultOf(2, 500, 1000)
	slow.kind = slowFault
	unmap := changeOf(0, 1, 0, 1000)
	unmap.drop = 1000
	p := &program{objects: 7, changed: []uint32{6, 2}, threads: [][]step{{unmap}, {slow}, {changeOf(1, 2, 700, 1000)}, {faultOf(6, 1100, 1000)}}}
	simulated(t, "munmap", p, 3130, "the address space's lock", 1020-600+2120-800, 2020+2120+3130+2210)
	// mmap over other mappings keeps all until 2020. Thread 3 finds 6 taken, at 1100: word
	// of mm (2) to 1200; waits behind the others. Thread 1 has mm from 2020 to 3120, thread
	// 2 to 4130, then thread 3: table to 5130, word (1) to 5230.
	p.threads[0][0].drop, p.threads[0][0].work = 0, 2000
	simulated(t, "mmap over others", p, 5230, "the address space's lock", 2020-600+3120-800+4130-1200, 2020+3120+4130+5230)
}
