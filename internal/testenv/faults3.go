package testenv

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// Fault is what a FaultyS3 does to a request.
type Fault int

// The faults of a line to a bucket, and of the bucket's server.
const (
	NoFault   Fault = iota
	Drop            // the connection ends before the request reaches the server
	Forget          // the server does what it is asked for, and the answer is lost
	ServerErr       // 500 InternalError
	SlowDown        // 503 SlowDown
	Expired         // 403 ExpiredToken
	Truncate        // the answer's body ends half-way
	Trickle         // the answer's body comes in two halves with a pause between them
	Stale           // a listing as it was before the last writes; other requests have no fault
	faults
)

// String is the fault's name.
func (f Fault) String() string {
	return [...]string{"none", "drop", "forget", "500", "503", "403", "truncate", "trickle", "stale"}[f]
}

// S3Requests counts requests by what a bucket's owner pays for.
type S3Requests struct {
	Put, Get, List, Delete uint64 // Get includes HEAD, Put the parts of an upload and its begin and end
	BytesIn, BytesOut      uint64 // of bodies: to the server, and from it
}

// FaultyS3 is a proxy in front of an S3 server that counts requests and does to some of
// them what networks and servers do.
type FaultyS3 struct {
	*S3Server // its Endpoint is the proxy's

	pause time.Duration // of Trickle

	mu       sync.Mutex
	choose   func(r *http.Request) Fault // nil is no faults
	counts   S3Requests
	met      [faults]int
	listings map[string]listing // by request, without signature
}

// listing is an answer that a Stale request gets again.
type listing struct {
	header http.Header
	body   []byte
}

// NewFaultyS3 puts a proxy in front of a server, for as long as the test lives.
func NewFaultyS3(t testing.TB, server *S3Server) *FaultyS3 {
	t.Helper()
	behind, err := url.Parse(server.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	f := &FaultyS3{listings: map[string]listing{}, pause: 50 * time.Millisecond}
	// The Host header is part of a request's signature, so it goes on as it came.
	proxy := &httputil.ReverseProxy{
		Rewrite:        func(p *httputil.ProxyRequest) { p.SetURL(behind); p.Out.Host = p.In.Host },
		ModifyResponse: f.count,
		ErrorLog:       nil,
		ErrorHandler:   func(w http.ResponseWriter, _ *http.Request, _ error) { hangUp(w) },
	}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.serve(w, r, proxy) }))
	t.Cleanup(front.Close)
	copied := *server
	copied.Endpoint = front.URL
	f.S3Server = &copied
	return f
}

// Choose sets what becomes of each request; nil stops all faults. choose is called by
// one request at a time.
func (f *FaultyS3) Choose(choose func(r *http.Request) Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.choose = choose
}

// Away makes the server unreachable, until Choose is called again.
func (f *FaultyS3) Away() { f.Choose(func(*http.Request) Fault { return Drop }) }

// Random makes a share of the requests, from 0 to 1, meet one of some faults; none given
// stands for all of them.
func (f *FaultyS3) Random(rng *rand.Rand, share float64, some ...Fault) {
	if len(some) == 0 {
		for x := NoFault + 1; x < faults; x++ {
			some = append(some, x)
		}
	}
	f.Choose(func(*http.Request) Fault {
		if rng.Float64() >= share {
			return NoFault
		}
		return some[rng.IntN(len(some))]
	})
}

// Requests is what has reached the server so far.
func (f *FaultyS3) Requests() S3Requests {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts
}

// Met counts the requests that have met a fault.
func (f *FaultyS3) Met(x Fault) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.met[x]
}

func (f *FaultyS3) next(r *http.Request) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.choose == nil {
		return NoFault
	}
	x := f.choose(r)
	f.met[x]++
	return x
}

func (f *FaultyS3) serve(w http.ResponseWriter, r *http.Request, server http.Handler) {
	switch x := f.next(r); x {
	case Drop:
		hangUp(w)
	case Forget:
		server.ServeHTTP(httptest.NewRecorder(), r)
		hangUp(w)
	case ServerErr:
		refuse(w, http.StatusInternalServerError, "InternalError", "We encountered an internal error. Please try again.")
	case SlowDown:
		refuse(w, http.StatusServiceUnavailable, "SlowDown", "Please reduce your request rate.")
	case Expired:
		refuse(w, http.StatusForbidden, "ExpiredToken", "The provided token has expired.")
	case Truncate, Trickle:
		answer := httptest.NewRecorder()
		server.ServeHTTP(answer, r)
		f.halve(w, r, answer, x)
	default:
		if !isListing(r) {
			server.ServeHTTP(w, r)
			return
		}
		f.list(w, r, server, x == Stale)
	}
}

// hangUp ends a connection without an answer.
func hangUp(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	conn.Close()
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>%s</Message></Error>`, code, message)
}

// halve sends an answer's head and the first half of its body, and then nothing more, or
// the rest after a pause.
func (f *FaultyS3) halve(w http.ResponseWriter, r *http.Request, answer *httptest.ResponseRecorder, x Fault) {
	for k, v := range answer.Header() {
		w.Header()[k] = v
	}
	body := answer.Body.Bytes()
	if r.Method != http.MethodHead {
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	}
	w.WriteHeader(answer.Code)
	w.Write(body[:len(body)/2])
	if x == Truncate {
		if len(body) > 0 {
			hangUp(w)
		}
		return
	}
	http.NewResponseController(w).Flush()
	select {
	case <-time.After(f.pause):
	case <-r.Context().Done():
	}
	w.Write(body[len(body)/2:])
}

func isListing(r *http.Request) bool {
	return r.Method == http.MethodGet && (r.URL.Query().Has("list-type") || r.URL.Query().Has("prefix"))
}

// list answers a listing, from memory if it is to be stale and has been asked for before.
func (f *FaultyS3) list(w http.ResponseWriter, r *http.Request, server http.Handler, stale bool) {
	key := r.URL.RequestURI()
	f.mu.Lock()
	old, known := f.listings[key]
	f.mu.Unlock()
	if !stale || !known {
		answer := httptest.NewRecorder()
		server.ServeHTTP(answer, r)
		old = listing{answer.Header(), bytes.Clone(answer.Body.Bytes())}
		if answer.Code != http.StatusOK {
			f.reply(w, answer.Code, old)
			return
		}
		f.mu.Lock()
		if !known || f.choose == nil { // kept as it was while there are faults
			f.listings[key] = old
		}
		f.mu.Unlock()
	}
	f.reply(w, http.StatusOK, old)
}

func (f *FaultyS3) reply(w http.ResponseWriter, status int, l listing) {
	for k, v := range l.header {
		w.Header()[k] = v
	}
	w.WriteHeader(status)
	w.Write(l.body)
}

// count counts an answered request.
func (f *FaultyS3) count(resp *http.Response) error {
	f.mu.Lock()
	switch r := resp.Request; {
	case isListing(r):
		f.counts.List++
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		f.counts.Get++
	case r.Method == http.MethodDelete || r.Method == http.MethodPost && r.URL.Query().Has("delete"):
		f.counts.Delete++
	default:
		f.counts.Put++
	}
	f.counts.BytesIn += uint64(max(resp.Request.ContentLength, 0))
	f.mu.Unlock()
	resp.Body = &counted{resp.Body, f}
	return nil
}

// counted counts the bytes of an answer's body.
type counted struct {
	io.ReadCloser
	f *FaultyS3
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.f.mu.Lock()
	c.f.counts.BytesOut += uint64(n)
	c.f.mu.Unlock()
	return n, err
}

// ObjectOf is the key of the object that a request is for, "" for the bucket itself.
func (f *FaultyS3) ObjectOf(r *http.Request) string {
	key, _ := strings.CutPrefix(r.URL.Path, "/"+f.Bucket)
	return strings.TrimPrefix(key, "/")
}
