package trace

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// serve starts a TLS server and returns its address, a client that trusts it,
// and a count of bytes sent.
func serve(t *testing.T, handler http.HandlerFunc) (string, *http.Client, *atomic.Int64) {
	t.Helper()
	var sent atomic.Int64
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler(&countingResponse{w, &sent}, r)
	}))
	client := s.Client()
	t.Cleanup(func() {
		client.CloseIdleConnections()
		s.Close()
	})
	return s.URL + "/x.vmt", client, &sent
}

type countingResponse struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (c *countingResponse) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.n.Add(int64(n))
	return n, err
}

func content(data []byte, tag string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", tag)
		http.ServeContent(w, r, "x.vmt", time.Time{}, bytes.NewReader(data))
	}
}

// whole sends the file whatever part was asked for.
func whole(data []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(data)))
		w.Write(data) // the client may have gone: that is its business
	}
}

// TestAddress: what comes from an address is what is in the file, with and
// without ranges, in both forms, serial and parallel.
func TestAddress(t *testing.T) {
	recs := timed(t)
	vmt := blocks(t, recs)
	var text bytes.Buffer
	tw, err := NewTextWriter(&text, Header{})
	if err != nil {
		t.Fatal(err)
	}
	write(t, tw, recs, false)
	for name, handler := range map[string]http.HandlerFunc{
		"ranges":       content(vmt, `"1"`),
		"no ranges":    whole(vmt),
		"text, ranges": content(text.Bytes(), `"1"`),
		"text":         whole(text.Bytes()),
	} {
		url, client, _ := serve(t, handler)
		for _, s := range selections {
			src, err := Open(url, WithHTTPClient(client), WithSelection(s), WithWorkers(2))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			var got []int
			for {
				b, err := src.Next()
				if err != nil {
					break
				}
				got = append(got, sameRecords(t, recs, b)...)
			}
			if want := chosen(recs, s); !reflect.DeepEqual(got, want) {
				t.Errorf("%s, %+v: %d records, want %d", name, s, len(got), len(want))
			}
			if err := src.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// large is a trace of a few MiB that does not compress.
func large(t *testing.T) []byte {
	t.Helper()
	var refs []record
	x := uint64(1)
	for range 300_000 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		refs = append(refs, record{ref: Ref{VPN: x & maxVPN, Offset: uint16(x>>52) & 0xfff, Writes: 1, First: Write}})
	}
	var buf bytes.Buffer
	w, err := NewWriter(&buf, Header{})
	if err != nil {
		t.Fatal(err)
	}
	write(t, w, refs, false)
	return buf.Bytes()
}

// TestAddressOnDemand: a part is fetched without the rest.
func TestAddressOnDemand(t *testing.T) {
	data := large(t)
	url, client, sent := serve(t, content(data, `"1"`))
	src, err := Open(url, WithHTTPClient(client), WithSelection(Selection{From: Point{Record: 150_000}, To: Point{Record: 150_001}, Bare: true}))
	if err != nil {
		t.Fatal(err)
	}
	n, err := drainAny(src)
	if err != nil || n != 1 {
		t.Errorf("%d records, %v", n, err)
	}
	if err := src.Close(); err != nil {
		t.Error(err)
	}
	if sent.Load() > int64(len(data))/2 {
		t.Errorf("%d of %d bytes were sent for one record", sent.Load(), len(data))
	}
}

// TestAddressErrors: what goes wrong on the way is told with the address and
// what it was.
func TestAddressErrors(t *testing.T) {
	data := large(t)
	changing := func(after int32, second http.HandlerFunc) http.HandlerFunc {
		var n atomic.Int32
		return func(w http.ResponseWriter, r *http.Request) {
			if n.Add(1) > after {
				second(w, r)
				return
			}
			content(data, `"1"`)(w, r)
		}
	}
	short := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"1"`)
		w.Header().Set("Content-Length", "400000")
		var from int
		if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from); err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, from+399999, len(data)))
		w.WriteHeader(http.StatusPartialContent)
		w.Write(make([]byte, 100)) // and no more: the promise is broken on purpose
	}
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		want    string
		is      error
	}{
		"missing":         {http.NotFound, "the server answers 404 Not Found", nil},
		"empty":           {content(nil, `"1"`), "not a trace", ErrNotTrace},
		"page":            {content([]byte(strings.Repeat("<html>", 100)), `"1"`), "not a trace", ErrNotTrace},
		"no size":         {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusPartialContent) }, "Content-Range", nil},
		"replaced":        {changing(2, content(data, `"2"`)), "was changed on the server", nil},
		"grown":           {changing(2, content(append(bytes.Clone(data), data...), `"1"`)), "was changed on the server", nil},
		"shrunk":          {changing(2, content(data[:70_000], `"1"`)), "was changed on the server", nil},
		"no ranges later": {changing(2, whole(data)), "was changed on the server", nil},
		"gone":            {changing(2, http.NotFound), "the server answers 404 Not Found", nil},
		"cut answer":      {changing(2, short), "the server ended its answer early", ErrTruncated},
		"cut stream": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(len(data)))
			w.Write(data[:len(data)/2]) // broken on purpose
		}, "the server ended its answer early", ErrTruncated},
	} {
		url, client, _ := serve(t, c.handler)
		src, err := Open(url, WithHTTPClient(client))
		if err == nil {
			_, err = drainAny(src)
			src.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), url+": ") || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s:\n  got  %v\n  want %s", name, err, c.want)
		}
	}
	// A file that was cut off before it came to the server is recovered.
	url, client, _ := serve(t, content(data[:len(data)*2/3], `"1"`))
	src, err := Open(url, WithHTTPClient(client))
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if n, err := drainAny(src); n == 0 || err != nil || len(src.Warnings()) != 1 {
		t.Errorf("cut-off file: %d records, %v, %q", n, err, src.Warnings())
	}
	// A certificate nobody vouches for.
	url, _, _ = serve(t, content(data, `"1"`))
	if _, err := Open(url); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("unknown certificate: %v", err)
	}
}
