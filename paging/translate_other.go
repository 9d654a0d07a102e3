//go:build !amd64

package paging

import "sync/atomic"

const wideWords = false

func translateWords(*tlb, uint64, []Ref, []*uint64, bool, *atomic.Bool) int { return 0 }

func holdsWords(*tlb, uint64) bool { return true }
