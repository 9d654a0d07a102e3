package capture

import "testing"

// Two threads are created before either runs, and the second runs first: its
// first access to data is at the top of the stack that clone was given.
func TestThreadNamesByStack(t *testing.T) {
	var n threadNames
	n.reset(100)
	if got := n.id(1); got != 100 {
		t.Fatalf("the first thread is %d, want the process's id, 100", got)
	}
	n.cloned(101, 0x50000)
	n.cloned(102, 0x60000)
	if got := n.id(3); got != 0 {
		t.Fatalf("thread number 3 is %d before it has touched its stack, want 0: it cannot be told", got)
	}
	if got := n.byStack(0x60000); got != 102 {
		t.Errorf("the thread with the stack at 0x60000 is %d, want 102", got)
	}
	if got := n.id(2); got != 101 { // the only one left
		t.Errorf("the other is %d, want 101", got)
	}
	if n.id(3) != 102 || n.living() != 3 {
		t.Errorf("number 3 is %d of %d, want 102 of 3", n.id(3), n.living())
	}
}

// Valgrind gives the number of a thread that has ended to the next one.
func TestThreadNamesReuse(t *testing.T) {
	var n threadNames
	n.reset(100)
	n.cloned(101, 0x50000)
	n.id(2)
	n.end(2)
	if n.lives(101) || !n.lives(100) {
		t.Errorf("lives: 101 %v, 100 %v, want false and true", n.lives(101), n.lives(100))
	}
	n.cloned(102, 0x50000)
	if got := n.id(2); got != 102 {
		t.Errorf("number 2 is %d, want 102", got)
	}
	n.end(1)
	if got := n.any(); got != 102 {
		t.Errorf("the thread that lives is %d, want 102", got)
	}
}

// A stack that is given by its lower end (as some runtimes do) is not found
// from below; the one that has waited longest then is as good a guess as any.
func TestThreadNamesByOrder(t *testing.T) {
	var n threadNames
	n.reset(100)
	n.cloned(101, 0x50000)
	n.cloned(102, 0x60000)
	n.id(2)
	if got := n.byStack(0x70000); got != 101 {
		t.Errorf("got %d, want 101", got)
	}
}
