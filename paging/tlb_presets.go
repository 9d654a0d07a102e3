package paging

import (
	"fmt"
	"strconv"
	"strings"
)

// tlbPresets is the table of named geometries (4 KiB pages). The figures are
// those of the vendors' optimization manuals: Intel 64 and IA-32 Architectures
// Optimization Reference Manual, tables of TLB parameters of Skylake and
// Haswell; AMD Software Optimization Guide for family 17h models 30h, section
// 2.8.
var tlbPresets = []struct {
	name string
	TLBConfig
}{
	{"default", TLBConfig{L1I: TLBGeometry{64, 4}, L1D: TLBGeometry{64, 4}, L2: TLBGeometry{1536, 12}}},
	{"skylake", TLBConfig{L1I: TLBGeometry{128, 8}, L1D: TLBGeometry{64, 4}, L2: TLBGeometry{1536, 12}}},
	{"haswell", TLBConfig{L1I: TLBGeometry{128, 4}, L1D: TLBGeometry{64, 4}, L2: TLBGeometry{1024, 8}}},
	{"zen2", TLBConfig{L1I: TLBGeometry{64, 64}, L1D: TLBGeometry{64, 64}, L2: TLBGeometry{2048, 16}}},
}

// DefaultTLB is 64 entries of 4 ways for instructions and data each, and 1536
// entries of 12 ways for both.
func DefaultTLB() TLBConfig { return tlbPresets[0].TLBConfig }

// large is the geometry for large pages.
func (c TLBConfig) large() LargeTLB {
	if c.Large == (LargeTLB{}) {
		return defaultLargeTLB
	}
	return c.Large
}

// String is the geometry as ParseTLB reads it; of large pages where it is not the
// default's.
func (c TLBConfig) String() string {
	s := fmt.Sprintf("l1i=%dx%d,l1d=%dx%d,l2=%dx%d", c.L1I.Entries, c.L1I.Ways, c.L1D.Entries, c.L1D.Ways, c.L2.Entries, c.L2.Ways)
	if l := c.large(); l != defaultLargeTLB {
		s += fmt.Sprintf(",l1i-2m=%dx%d,l1d-2m=%dx%d,l1-1g=%dx%d,l2-1g=%dx%d", l.L1I.Entries, l.L1I.Ways, l.L1D.Entries, l.L1D.Ways,
			l.L1Giant.Entries, l.L1Giant.Ways, l.L2Giant.Entries, l.L2Giant.Ways)
	}
	return s
}

// ParseTLB reads the name of a preset or a geometry such as
// "l1i=64x4,l1d=64x4,l2=1536x12" (entries x ways). Levels that are left out
// are the default's.
func ParseTLB(s string) (TLBConfig, error) {
	for _, p := range tlbPresets {
		if p.name == s {
			return p.TLBConfig, nil
		}
	}
	c := DefaultTLB()
	c.Large = defaultLargeTLB
	levels := map[string]*TLBGeometry{"l1i": &c.L1I, "l1d": &c.L1D, "l2": &c.L2,
		"l1i-2m": &c.Large.L1I, "l1d-2m": &c.Large.L1D, "l1-1g": &c.Large.L1Giant, "l2-1g": &c.Large.L2Giant}
	for part := range strings.SplitSeq(s, ",") {
		level, size, _ := strings.Cut(part, "=")
		entries, ways, ok := strings.Cut(size, "x")
		g := levels[level]
		if g == nil || !ok {
			return TLBConfig{}, fmt.Errorf("%q is neither a preset (%s) nor a level such as l1d=64x4", part, tlbPresetNames())
		}
		var err error
		if g.Entries, err = strconv.Atoi(entries); err == nil {
			g.Ways, err = strconv.Atoi(ways)
		}
		if err != nil {
			return TLBConfig{}, fmt.Errorf("%q: entries and ways must be numbers, as in l1d=64x4", part)
		}
	}
	if c.Large == defaultLargeTLB {
		c.Large = LargeTLB{}
	}
	return c, c.Validate()
}

func tlbPresetNames() string {
	names := make([]string, len(tlbPresets))
	for i, p := range tlbPresets {
		names[i] = p.name
	}
	return strings.Join(names, ", ")
}

// maxTLBEntries bounds a level.
const maxTLBEntries = 1 << 20

// Validate returns an error when a level has no entries, too many (2^20), or
// ways that do not divide them.
func (c TLBConfig) Validate() error {
	large := c.large()
	for _, l := range []struct {
		name string
		g    TLBGeometry
	}{{"l1i", c.L1I}, {"l1d", c.L1D}, {"l2", c.L2}, {"l1i-2m", large.L1I}, {"l1d-2m", large.L1D}, {"l1-1g", large.L1Giant}, {"l2-1g", large.L2Giant}} {
		switch {
		case l.g.Entries < 1 || l.g.Entries > maxTLBEntries:
			return fmt.Errorf("TLB %s: %d entries, must be 1 to %d", l.name, l.g.Entries, maxTLBEntries)
		case l.g.Ways < 1 || l.g.Entries%l.g.Ways != 0:
			return fmt.Errorf("TLB %s: %d ways do not divide %d entries", l.name, l.g.Ways, l.g.Entries)
		}
	}
	return nil
}
