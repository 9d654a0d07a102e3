package convert

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"strings"
	"testing"

	"github.com/ulikunitz/xz"
)

func packXZ(t *testing.T, data []byte, check byte, block int64) []byte {
	t.Helper()
	var out bytes.Buffer
	c := xz.WriterConfig{CheckSum: check, BlockSize: block, DictCap: 1 << 16}
	if check == xz.None {
		c.NoCheckSum = true
	}
	w, err := c.NewWriter(&out)
	if err == nil {
		_, err = w.Write(data)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func unpackXZ(data []byte) ([]byte, error) {
	r, err := newXZReader(bufio.NewReader(bytes.NewReader(data)))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// TestXZ: files of several blocks, of several streams and with every check, as
// another implementation of the container writes them.
func TestXZ(t *testing.T) {
	data := []byte(strings.Repeat("some data, and more of it. ", 4000))
	for _, check := range []byte{xz.None, xz.CRC32, xz.CRC64, xz.SHA256} {
		for _, block := range []int64{1 << 12, 1 << 30} {
			packed := packXZ(t, data, check, block)
			got, err := unpackXZ(packed)
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("check %d, blocks of %d: %d bytes, %v", check, block, len(got), err)
			}
			twice := bytes.Join([][]byte{packed, make([]byte, 8), packed}, nil)
			if got, err := unpackXZ(twice); err != nil || len(got) != 2*len(data) {
				t.Errorf("check %d: two streams: %d bytes, %v", check, len(got), err)
			}
			for n := range len(packed) {
				if n%97 == 0 {
					if _, err := unpackXZ(packed[:n]); err == nil {
						t.Errorf("check %d: cut to %d bytes of %d: no error", check, n, len(packed))
					}
				}
			}
		}
	}
}

// TestXZDictionary: a file that asks for a dictionary of 4 GiB is refused before
// there is one. The properties of its filter stand behind the magic (6), flags
// (2), checksum (4), size (1), flags (1), and the filter's id and size (2).
func TestXZDictionary(t *testing.T) {
	packed := packXZ(t, []byte("data"), xz.CRC32, 1<<30)
	const header, at = 12, 12 + 4
	if packed[at-2] != 0x21 || packed[at-1] != 1 {
		t.Fatalf("another layout than expected: % x", packed[:24])
	}
	packed[at] = 40
	size := (int(packed[header]) + 1) * 4
	binary.LittleEndian.PutUint32(packed[header+size-4:], crc32.ChecksumIEEE(packed[header:header+size-4]))
	if _, err := unpackXZ(packed); err == nil || !strings.Contains(err.Error(), "dictionary of 4294967295 bytes") && !strings.Contains(err.Error(), "dictionary of 4294967296 bytes") {
		t.Errorf("error %v", err)
	}
}

// TestXZDamage: a wrong check is an error.
func TestXZDamage(t *testing.T) {
	data := []byte(strings.Repeat("x", 1000))
	packed := packXZ(t, data, xz.CRC64, 1<<30)
	for i := range packed {
		bad := bytes.Clone(packed)
		bad[i] ^= 0x10
		if got, err := unpackXZ(bad); err == nil && !bytes.Equal(got, data) {
			t.Fatalf("byte %d changed: wrong data without an error", i)
		}
	}
}

// TestKilledPerf: a perf that was ended has not written the size of its data.
func TestKilledPerf(t *testing.T) {
	data := sampleData(t, "perf.data")
	whole := sampleText(t, "perf.data")
	size := binary.LittleEndian.Uint64(data[48:])
	begin := binary.LittleEndian.Uint64(data[40:])
	data = data[:begin+size]
	binary.LittleEndian.PutUint64(data[48:], 0)
	src, err := openBytes(data, "")
	if err != nil {
		t.Fatal(err)
	}
	text, warnings := toText(t, src)
	if text != whole {
		t.Error("other records than in the whole file")
	}
	if !strings.Contains(strings.Join(warnings, "\n"), "perf was ended before it wrote the size") {
		t.Errorf("warnings: %q", warnings)
	}
}
