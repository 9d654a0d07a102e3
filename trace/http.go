package trace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// httpAhead is how much is fetched at least at a time, in bytes: a few blocks,
// so that reading on needs few requests.
const httpAhead = 512 << 10

// remote is a file behind an http or https address, read by ranges. Each
// answer is held against the first one, so that a file that is replaced while it
// is read is noticed. One goroutine reads, another may close.
type remote struct {
	client *http.Client
	url    string
	ctx    context.Context
	cancel context.CancelFunc
	size   int64
	tag    string // ETag, or date of last change, of the first answer
	own    bool   // client is ours to clean up

	have   []byte // bytes fetched last
	haveAt int64  // their offset
}

// isAddress says whether a path is an http or https address.
func isAddress(path string) bool {
	return strings.HasPrefix(path, "https://") || strings.HasPrefix(path, "http://")
}

// openRemote fetches the beginning of the file. Where the server does not take
// ranges it returns the whole file as a stream instead.
func openRemote(address string, client *http.Client) (*remote, io.ReadCloser, error) {
	r := &remote{url: address, client: client}
	if client == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.ResponseHeaderTimeout = 30 * time.Second
		transport.DisableCompression = true
		r.client, r.own = &http.Client{Transport: transport}, true
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	resp, err := r.get(0, 1<<16)
	if err != nil {
		r.Close()
		return nil, nil, err
	}
	if resp.StatusCode == http.StatusOK {
		return nil, &remoteStream{resp.Body, r}, nil
	}
	defer resp.Body.Close()
	if err := r.first(resp); err != nil {
		r.Close()
		return nil, nil, err
	}
	return r, nil, nil
}

// get asks for the bytes [from, to). An answer is 200 or 206.
func (r *remote) get(from, to int64) (*http.Response, error) {
	req, err := http.NewRequestWithContext(r.ctx, http.MethodGet, r.url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", from, to-1))
	req.Header.Set("Accept-Encoding", "identity") // ranges of the file, not of a packed form of it
	resp, err := r.client.Do(req)
	if err != nil {
		if whole := (*url.Error)(nil); errors.As(err, &whole) {
			err = whole.Err // without the address, which Open adds
		}
		return nil, err
	}
	switch resp.StatusCode {
	case http.StatusOK, http.StatusPartialContent:
		return resp, nil
	}
	resp.Body.Close()
	if resp.StatusCode == http.StatusRequestedRangeNotSatisfiable {
		if from == 0 {
			return nil, fmt.Errorf("%w: it is empty", ErrNotTrace)
		}
		return nil, r.changed("it is shorter now")
	}
	return nil, fmt.Errorf("the server answers %s", resp.Status)
}

// first takes size, tag and bytes from the answer to the first request.
func (r *remote) first(resp *http.Response) error {
	from, size, err := contentRange(resp)
	if err != nil {
		return err
	}
	if from != 0 {
		return fmt.Errorf("the server answers with bytes from %d on where those from 0 on were asked for", from)
	}
	r.size, r.tag = size, tagOf(resp)
	r.have, err = io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	if err == nil && int64(len(r.have)) < min(size, 1<<16) {
		err = io.ErrUnexpectedEOF
	}
	return asTruncated(err)
}

// contentRange reads "bytes FROM-TO/SIZE".
func contentRange(resp *http.Response) (from, size int64, err error) {
	field := resp.Header.Get("Content-Range")
	if span, total, ok := strings.Cut(strings.TrimPrefix(field, "bytes "), "/"); ok {
		start, _, _ := strings.Cut(span, "-")
		from, err = strconv.ParseInt(start, 10, 64)
		if err == nil {
			size, err = strconv.ParseInt(total, 10, 64)
		}
		if err == nil && from >= 0 && size >= 0 {
			return from, size, nil
		}
	}
	return 0, 0, fmt.Errorf("the server answers with part of a file and Content-Range %q: expected bytes FROM-TO/SIZE", field)
}

func tagOf(resp *http.Response) string {
	if tag := resp.Header.Get("ETag"); tag != "" {
		return tag
	}
	return resp.Header.Get("Last-Modified")
}

func (r *remote) changed(how string) error {
	return fmt.Errorf("the file was changed on the server while it was read (%s): read it again", how)
}

func asTruncated(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: the server ended its answer early", ErrTruncated)
	}
	return err
}

// ReadAt implements io.ReaderAt. It keeps what it fetched last.
func (r *remote) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) {
		at := off + int64(n)
		if at >= r.size {
			return n, io.EOF
		}
		if at < r.haveAt || at >= r.haveAt+int64(len(r.have)) {
			from, want := at, int64(len(p)-n)
			if at+want == r.size {
				from = min(at, max(0, r.size-httpAhead)) // the index is before the end
			}
			if err := r.fetch(from, min(r.size, at+max(want, httpAhead))); err != nil {
				return n, err
			}
		}
		n += copy(p[n:], r.have[at-r.haveAt:])
	}
	return n, nil
}

// fetch brings the bytes [from, to) into have.
func (r *remote) fetch(from, to int64) error {
	resp, err := r.get(from, to)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		return r.changed("it takes no ranges any more")
	}
	start, size, err := contentRange(resp)
	switch {
	case err != nil:
		return err
	case size != r.size:
		return r.changed(fmt.Sprintf("it had %d bytes and has %d", r.size, size))
	case tagOf(resp) != r.tag:
		return r.changed("its tag is another one")
	case start != from:
		return fmt.Errorf("the server answers with bytes from %d on where those from %d on were asked for", start, from)
	}
	if int64(cap(r.have)) < to-from {
		r.have = make([]byte, to-from)
	}
	r.have, r.haveAt = r.have[:to-from], from
	if n, err := io.ReadFull(resp.Body, r.have); err != nil {
		r.have = r.have[:n]
		return asTruncated(notEOF(err))
	}
	return nil
}

// Close ends a request that is under way.
func (r *remote) Close() error {
	r.cancel()
	if r.own {
		r.client.CloseIdleConnections()
	}
	return nil
}

// remoteStream is the whole file as the server sends it.
type remoteStream struct {
	io.ReadCloser
	r *remote
}

func (s *remoteStream) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	return n, asTruncated(err)
}

func (s *remoteStream) Close() error {
	err := s.ReadCloser.Close()
	return errors.Join(err, s.r.Close())
}
