package rivals

import (
	"container/list"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// Model is a simulator of paging as they are written in an afternoon: it knows pages
// by number and nothing else. Touch says whether the page was new; Drop forgets all.
type Model interface {
	Touch(page uint64, write bool) (fault bool)
	Drop()
}

// Models are the rivals by name; each has room for so many pages.
var Models = []struct {
	Name string
	New  func(pages int) Model
}{
	{"simplelru", func(pages int) Model {
		l, err := simplelru.NewLRU[uint64, bool](pages, nil)
		if err != nil {
			panic(err) // a size below 1
		}
		return lru{l}
	}},
	{"map-list", func(pages int) Model { return &mapList{size: pages, at: map[uint64]*list.Element{}, order: list.New()} }},
	{"global-lock", func(int) Model { return &globalLock{entries: map[uint64]*entry{}} }},
}

// lru is simplelru.
type lru struct{ *simplelru.LRU[uint64, bool] }

func (l lru) Touch(page uint64, write bool) bool {
	if _, ok := l.Get(page); ok {
		return false
	}
	l.Add(page, write)
	return true
}

func (l lru) Drop() { l.Purge() }

// mapList is a map of the pages and a list in the order of their last use.
type mapList struct {
	size  int
	at    map[uint64]*list.Element
	order *list.List
}

func (m *mapList) Touch(page uint64, write bool) bool {
	if e := m.at[page]; e != nil {
		m.order.MoveToFront(e)
		return false
	}
	if len(m.at) == m.size {
		last := m.order.Back()
		delete(m.at, last.Value.(uint64))
		m.order.Remove(last)
	}
	m.at[page] = m.order.PushFront(page)
	return true
}

func (m *mapList) Drop() {
	clear(m.at)
	m.order.Init()
}

// globalLock is a page table in a map behind one mutex, with present, accessed and
// dirty bits: what makes most teaching simulators safe for threads.
type globalLock struct {
	mu      sync.Mutex
	entries map[uint64]*entry
	next    uint64
}

type entry struct {
	frame           uint64
	accessed, dirty bool
}

func (g *globalLock) Touch(page uint64, write bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	e := g.entries[page]
	fault := e == nil
	if fault {
		g.next++
		e = &entry{frame: g.next}
		g.entries[page] = e
	}
	e.accessed = true
	e.dirty = e.dirty || write
	return fault
}

func (g *globalLock) Drop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.entries)
}
