package replica

import (
	"errors"
	"io"
	"io/fs"
	"sync/atomic"
	"time"
)

// Requests are how many calls a Client has made to its replica, and the bytes that went
// along. They are counted here and not on the wire: an attempt that the storage's client
// library repeats counts once.
type Requests struct {
	Put      uint64 `json:"put"` // each part of a large object, too
	Get      uint64 `json:"get"`
	List     uint64 `json:"list"`   // pages of up to 1,000 names
	Delete   uint64 `json:"delete"` // calls, of up to 1,000 names
	BytesOut uint64 `json:"bytesOut"`
	BytesIn  uint64 `json:"bytesIn"`
}

// pageSize is how many names S3 lists or deletes in one call.
const pageSize = 1000

// requestCounters count Requests.
type requestCounters struct {
	put, get, list, delete, out, in atomic.Uint64

	answered atomic.Int64 // when the last answer came, in nanoseconds of Unix time; 0 is never
}

// answer notes that the replica has answered, if err is no error or one that the replica
// itself tells.
func (n *requestCounters) answer(err error) {
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrExists) {
		n.answered.Store(time.Now().UnixNano())
	}
}

// LastContact is when the replica has answered a request last, zero for never. Nothing is
// asked while nothing happens, so an old one needn't mean that it is away.
func (c *Client) LastContact() time.Time {
	if at := c.count.answered.Load(); at != 0 {
		return time.Unix(0, at).UTC()
	}
	return time.Time{}
}

// Requests returns what the Client has asked of its replica since it was opened.
func (c *Client) Requests() Requests {
	n := &c.count
	return Requests{
		Put: n.put.Load(), Get: n.get.Load(), List: n.list.Load(), Delete: n.delete.Load(),
		BytesOut: n.out.Load(), BytesIn: n.in.Load(),
	}
}

// sent counts a write of size bytes in some requests.
func (n *requestCounters) sent(requests uint64, size int64) {
	n.put.Add(requests)
	n.out.Add(uint64(max(size, 0)))
}

// listed counts the pages of a listing.
func (n *requestCounters) listed(names int) { n.list.Add(uint64(max(1, (names+pageSize-1)/pageSize))) }

// countingBody counts the bytes of an answer as they are read.
type countingBody struct {
	io.ReadCloser
	n *atomic.Uint64
}

func (b *countingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n.Add(uint64(n))
	return n, err
}
