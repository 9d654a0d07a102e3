package convert

import (
	"encoding/binary"
	"math"

	"github.com/vmtrace/vmtrace/trace"
)

// The oracleGeneral traces of libCacheSim (libCacheSim/traceReader/
// customizedReader/oracle/oracleGeneralBin.h): packed records of 24 bytes,
// little-endian,
//
//	0 4 time, in s    4 8 object    12 4 size, in bytes    16 8 number of the next request of the object
//
// without any header; the last field is -1 or the largest number where there is
// no next request. An object is a page here, whatever its size; every request is
// a read.
var oracleGeneralFormat = Format{
	Name:   "oracleGeneral",
	Help:   "cache trace of libCacheSim, an object is a page (.zst, .gz or plain)",
	Detect: detectOracleGeneral,
	labels: map[string]string{"pages": "objects of a cache trace"},
	open: func(in *input) (decoder, error) {
		return &oracleGeneral{records: recordReader{r: in.body, size: oracleSize}, objects: newObjects()}, nil
	},
}

const oracleSize = 24

type oracleGeneral struct {
	records recordReader
	objects objects
	time    uint32
	began   uint32
	n       int64 // requests
}

// plausible says whether a record can be request n (from 0): time does not run
// back, no object is as large as 2 GiB, and the next request of the object comes later. Whether libCacheSim
// counts from 0 or 1 depends on the tool.
func oraclePlausible(rec []byte, n int64, before uint32) bool {
	next := int64(binary.LittleEndian.Uint64(rec[16:]))
	size := binary.LittleEndian.Uint32(rec[12:])
	return binary.LittleEndian.Uint32(rec) >= before && size <= math.MaxInt32 && (next == -1 || next == math.MaxInt64 || next > n && next < 1<<48)
}

func detectOracleGeneral(head []byte) bool {
	if len(head) < oracleSize {
		return false
	}
	var before uint32
	for n := int64(0); len(head) >= oracleSize; n++ {
		if !oraclePlausible(head, n, before) {
			return false
		}
		before = binary.LittleEndian.Uint32(head)
		head = head[oracleSize:]
	}
	return true
}

func (o *oracleGeneral) step(b *builder) error {
	rec, err := o.records.next()
	if err != nil {
		return err
	}
	if !oraclePlausible(rec, o.n, 0) {
		return o.records.badf("this cannot be request %d of libCacheSim: time, size or next request is impossible", o.n)
	}
	now := binary.LittleEndian.Uint32(rec)
	if o.n == 0 {
		o.began = now
	}
	o.n++
	if o.objects.th != nil && now > o.time && now > o.began {
		b.at(o.objects.th, uint64(now-o.began)*1e9)
	}
	o.time = now
	return o.records.at(o.objects.number(b, binary.LittleEndian.Uint64(rec[4:]), trace.Read))
}
