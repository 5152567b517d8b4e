package edge

import (
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// exchange is one request and the http.ResponseWriter of its answer. It decides about
// compression when the answer's headers and size are known, so that what can't be
// compressed (a page compressed before, a file, a range) goes to net/http untouched.
type exchange struct {
	w        http.ResponseWriter // net/http's own
	r        *http.Request       // what the handler gets; the mux leaves its pattern there
	id       string
	idHeader [1]string
	trace    traced
	start    time.Time

	admission *admission // counts this request; nil for one that was refused

	status int   // the handler's; 0 before there is one
	bytes  int64 // of body, given to net/http
	moved  int64 // bytes when the write deadline was last moved

	compressible bool // the request allows a compressed answer
	sent         bool // the header has gone to net/http
	held         []byte
	packer       packer // nil unless the answer is being compressed
	encoding     *encoding
}

func newExchange(w http.ResponseWriter, r *http.Request) *exchange {
	x := &exchange{w: w, id: newRequestID(), start: time.Now()}
	x.idHeader[0] = x.id
	x.trace = traced{r.Context(), x.id}
	x.r = r.WithContext(&x.trace)
	return x
}

// newRequestID is 80 random bits, enough to be unique. It guards nothing, so it need not
// be unguessable.
func newRequestID() string {
	const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
	var id [16]byte
	hi, lo := rand.Uint64(), rand.Uint64()
	for i := range 8 {
		id[i], id[8+i] = alphabet[hi>>(5*i)&31], alphabet[lo>>(5*i)&31]
	}
	return string(id[:])
}

func (x *exchange) Header() http.Header { return x.w.Header() }

// Unwrap lets http.ResponseController reach deadlines, hijacking and full duplex.
func (x *exchange) Unwrap() http.ResponseWriter { return x.w }

// WriteHeader notes the status, and sends the header unless it still depends on the
// body.
func (x *exchange) WriteHeader(status int) {
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		x.w.WriteHeader(status)
		return
	}
	if x.status != 0 {
		return
	}
	x.status = status
	if !x.mayCompress() {
		x.send()
	}
}

// mayCompress reports whether the answer could be compressed, judged by its header
// alone.
func (x *exchange) mayCompress() bool {
	if !x.compressible || x.status != http.StatusOK && x.status < http.StatusBadRequest {
		return false
	}
	h := x.w.Header()
	if len(h["Content-Encoding"]) > 0 || len(h["Content-Range"]) > 0 {
		return false
	}
	if ct := h["Content-Type"]; len(ct) > 0 && !compressibleType(ct[0]) {
		return false
	}
	if cl := h["Content-Length"]; len(cl) > 0 {
		if n, err := strconv.Atoi(cl[0]); err != nil || n < minCompress {
			return false
		}
	}
	return true
}

// send gives the header to net/http.
func (x *exchange) send() {
	if x.sent {
		return
	}
	x.sent = true
	if x.status == http.StatusNotModified {
		x.matchWeakTag()
	}
	x.w.WriteHeader(x.status)
}

// matchWeakTag makes the ETag of a 304 the one that the client has: the weak one, if it
// got the page compressed.
func (x *exchange) matchWeakTag() {
	h := x.w.Header()
	tag := h.Get("Etag")
	if strings.HasPrefix(tag, `"`) && strings.Contains(x.r.Header.Get("If-None-Match"), "W/"+tag) {
		h.Set("Etag", "W/"+tag)
	}
}

// Write sends b, or holds it back until there is enough of it to know whether
// compressing pays.
func (x *exchange) Write(b []byte) (int, error) {
	if x.status == 0 {
		x.sniff(b)
		x.WriteHeader(http.StatusOK)
	}
	if !x.sent {
		if x.declared() < 0 && len(x.held)+len(b) < minCompress {
			x.held = append(x.held, b...)
			return len(b), nil
		}
		if err := x.release(b); err != nil {
			return 0, err
		}
	}
	if x.packer != nil {
		return x.packer.Write(b)
	}
	return x.writePlain(b)
}

// declared is the Content-Length that the handler set, -1 without one.
func (x *exchange) declared() int64 {
	n, err := strconv.ParseInt(x.w.Header().Get("Content-Length"), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// sniff sets the type of an answer whose handler did not, as net/http would, which
// doesn't look into compressed bodies.
func (x *exchange) sniff(b []byte) {
	h := x.w.Header()
	if _, ok := h["Content-Type"]; !ok && len(b) > 0 && len(h["Content-Encoding"]) == 0 {
		h.Set("Content-Type", http.DetectContentType(b))
	}
}

// release sends the header, compressed if the client takes that, and what was held back.
// next is the part of the body that follows.
func (x *exchange) release(next []byte) error {
	held := x.held
	x.held = nil
	first := held
	if len(first) == 0 {
		first = next
	}
	x.sniff(first)
	if ct := x.w.Header().Get("Content-Type"); compressibleType(ct) {
		x.compress()
	}
	x.send()
	if len(held) == 0 {
		return nil
	}
	_, err := x.Write(held)
	return err
}

// compress turns the answer into a compressed one, if the client takes one. A strong
// ETag becomes weak, for the bytes are no longer those it names.
func (x *exchange) compress() {
	x.encoding = negotiate(x.r.Header["Accept-Encoding"])
	if x.encoding == nil {
		return
	}
	h := x.w.Header()
	h["Content-Encoding"] = x.encoding.header
	delete(h, "Content-Length")
	delete(h, "Accept-Ranges")
	if tag := h["Etag"]; len(tag) > 0 && strings.HasPrefix(tag[0], `"`) {
		h["Etag"] = []string{"W/" + tag[0]}
	}
	x.packer = x.encoding.open(plainWriter{x})
}

// plainWriter is the exchange below its compression.
type plainWriter struct{ x *exchange }

func (p plainWriter) Write(b []byte) (int, error) { return p.x.writePlain(b) }

// writePlain gives b to net/http in steps of writeStep. The deadline moves on after each,
// so that it bounds how long a reader may stall and not how long the answer is.
func (x *exchange) writePlain(b []byte) (written int, err error) {
	if x.admission != nil {
		x.admission.wait()
		defer x.admission.resume()
	}
	for {
		n, err := x.w.Write(b[:min(len(b), writeStep)])
		written += n
		x.bytes += int64(n)
		if x.bytes-x.moved >= writeStep {
			x.moveDeadline()
		}
		if b = b[n:]; err != nil || len(b) == 0 {
			return written, err
		}
	}
}

func (x *exchange) moveDeadline() {
	x.moved = x.bytes
	if d, ok := x.w.(interface{ SetWriteDeadline(time.Time) error }); ok {
		d.SetWriteDeadline(time.Now().Add(writeTimeout)) // fails only on a connection that is gone
	}
}

// ReadFrom sends src. What isn't compressed goes to net/http's own ReadFrom in steps of
// writeStep, where a file's bytes move inside the kernel.
func (x *exchange) ReadFrom(src io.Reader) (int64, error) {
	if x.status == 0 && len(x.w.Header()["Content-Type"]) > 0 {
		x.WriteHeader(http.StatusOK)
	}
	direct, ok := x.w.(io.ReaderFrom)
	if !ok || !x.sent || x.packer != nil {
		return copyPooled(struct{ io.Writer }{x}, src)
	}
	// io.CopyN and http.ServeContent pass a LimitedReader; taking it apart keeps the
	// file visible to the kernel below our own limit.
	limit := &io.LimitedReader{R: src, N: 1<<63 - 1}
	if l, ok := src.(*io.LimitedReader); ok {
		limit = l
	}
	x.admission.wait()
	defer x.admission.resume()
	var total int64
	for limit.N > 0 {
		step := &io.LimitedReader{R: limit.R, N: min(limit.N, writeStep)}
		want := step.N
		n, err := direct.ReadFrom(step)
		limit.N -= n
		total += n
		x.bytes += n
		if err != nil || n < want {
			return total, err
		}
		x.moveDeadline()
	}
	return total, nil
}

// Flush sends what there is.
func (x *exchange) Flush() { x.FlushError() }

// FlushError is Flush for http.ResponseController.
func (x *exchange) FlushError() error {
	if x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	if !x.sent {
		if err := x.release(nil); err != nil {
			return err
		}
	}
	if x.packer != nil {
		if err := x.packer.Flush(); err != nil {
			return err
		}
	}
	return http.NewResponseController(x.w).Flush()
}

// close ends the answer.
func (x *exchange) close() {
	switch {
	case x.packer != nil:
		x.packer.Close() // an error here is the connection's, which net/http notices too
		x.encoding.put(x.packer)
		x.packer = nil
	case x.status == 0:
		x.status = http.StatusOK // net/http sends it
	case !x.sent:
		x.send()
		if len(x.held) > 0 {
			x.writePlain(x.held)
			x.held = nil
		}
	}
}

// abandon drops what the handler has made of the answer, and reports whether some of it
// has already gone out. The status is then 0, for what the client got is no answer.
func (x *exchange) abandon() (began bool) {
	if x.packer != nil {
		x.encoding.put(x.packer)
		x.packer = nil
	}
	x.held, x.status = nil, 0
	if x.sent {
		return true
	}
	h := x.w.Header()
	for _, name := range []string{"Content-Type", "Content-Length", "Content-Encoding", "Content-Disposition", "Etag", "Last-Modified", "Location", "Set-Cookie"} {
		delete(h, name)
	}
	return false
}
