package paging

import "fmt"

// A policy orders the resident pages of a group and says which one leaves next.
// It is told of pages by their numbers, which are dense, and which a page keeps
// while it is out of memory, so that it is known again when it comes back. All
// is called with memory.mu held.
type policy interface {
	// insert: the page is in memory now, for the first time, back, or because
	// it could not leave.
	insert(p uint32)
	// hit: the page was used.
	hit(p uint32)
	// victim takes out the page that leaves, 0 if it has none. coming is the
	// page that room is made for, 0 for a new one.
	victim(coming uint32) uint32
	// left: the victim has left memory; it may be remembered.
	left(p uint32)
	// forget: the page is no more, in memory or out of it.
	forget(p uint32)
}

// hitsPolicy is a policy that can be told of many hits together.
type hitsPolicy interface {
	// hits is hit for pages, mostUses at most, one after the other. A page that is hit
	// twice in a row is told of once or twice, and one that is not in the order of the
	// policy is to be passed over.
	hits(pages []uint32)
	// expect: the page will come soon, and what is asked of it then may be loaded.
	expect(p uint32)
}

// policyRow is one row of the table of policies.
type policyRow struct {
	name    string
	what    string // one line for people
	exact   bool   // it is told of every reference; the others look at accessed bits
	future  bool   // it needs Config.Future
	batched bool   // it works in batches of 32 as the kernel does (SWAP_CLUSTER_MAX), with read-ahead
	make    func(g *memory) policy
}

// policies is the table.
var policies = []policyRow{
	{name: "linux", what: "Linux 6.1: active and inactive lists, accessed bits, refault distance", batched: true, make: newLinux},
	{name: "mglru", what: "Linux 6.1 with CONFIG_LRU_GEN: generations, aged by accessed bits", batched: true, make: newMGLRU},
	{name: "lru", what: "the page that was not used for the longest time; every reference counts", exact: true, make: newLRU},
	{name: "opt", what: "Belady: the page whose next use is farthest away; no policy can do better", exact: true, future: true, make: newOpt},
	{name: "fifo", what: "the page that came first", make: newFIFO},
	{name: "clock", what: "the page that came first, with a second chance for those used since", make: newClock},
	{name: "random", what: "any page, all alike", make: newRandom},
	{name: "2q", what: "2Q: a FIFO for new pages, LRU for those that came back", make: new2Q},
	{name: "arc", what: "ARC: LRU lists of pages seen once and seen again, their shares learned", make: newARC},
	{name: "lirs", what: "LIRS: pages whose last two uses were close together stay, the others pass through", make: newLIRS},
	{name: "s3fifo", what: "S3-FIFO: a small queue for new pages, a main one, a memory of what left", make: newS3FIFO},
	{name: "sieve", what: "SIEVE: a hand over a FIFO that takes what was not used since it passed", make: newSieve},
}

func findPolicy(name string) (*policyRow, error) {
	names := make([]string, len(policies))
	for i := range policies {
		if policies[i].name == name || name == "" && i == 0 {
			return &policies[i], nil
		}
		names[i] = policies[i].name
	}
	return nil, fmt.Errorf("reclaim policy %q: there are %v", name, names)
}

// policyBatched says whether a policy works as one of the kernel's does.
func policyBatched(name string) bool {
	how, err := findPolicy(name)
	return err == nil && how.batched
}

// PolicyName is the policy that the configuration asks for.
func (c Config) PolicyName() string {
	if how, err := findPolicy(c.Reclaim); err == nil {
		return how.name
	}
	return c.Reclaim
}

// NeedsFuture says whether the policy of the configuration asks Config.Future.
func (c Config) NeedsFuture() bool {
	how, err := findPolicy(c.Reclaim)
	return err == nil && how.future && c.Memory > 0
}

// Policy is the name of the policy of reclaim, "" without a limit and swap, and
// whether it is told of every reference.
func (m *Machine) Policy() (name string, exact bool) {
	if m.memory == nil {
		return "", false
	}
	how, _ := findPolicy(m.cfg.Reclaim)
	return how.name, m.memory.exact
}

// Policies lists names and descriptions of the reclaim policies.
func Policies() [][2]string {
	out := make([][2]string, len(policies))
	for i, p := range policies {
		out[i] = [2]string{p.name, p.what}
	}
	return out
}
