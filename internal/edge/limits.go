package edge

import "time"

const (
	// DrainTime is how long running requests may take after the server was told to
	// stop. Container managers kill after 10 seconds, and the replicas still have to ship
	// what was written; pages take milliseconds, and a cut download resumes by Range.
	DrainTime = 5 * time.Second

	// readHeaderTimeout bounds the request line and headers, so that 500 connections
	// sending a byte at a time are gone after it. A phone on a bad network sends its
	// one or two packets of headers well within it.
	readHeaderTimeout = 5 * time.Second

	// readTimeout bounds headers and body together: DefaultBodyLimit at 35 KB/s. A
	// handler that takes larger bodies moves it by http.ResponseController.
	readTimeout = 30 * time.Second

	// writeTimeout is the time for the first writeStep bytes of an answer and again for
	// each further step, at least 17 KB/s. So a reader that stops reading is cut off,
	// and a download may take hours. A handler that streams slowly moves the deadline
	// by http.ResponseController.
	writeTimeout = 60 * time.Second
	writeStep    = 1 << 20

	// idleTimeout closes a kept-alive connection without requests. Browsers come back
	// within two minutes or not at all; an idle connection costs about 10 KB.
	idleTimeout = 120 * time.Second

	// maxHeaderBytes bounds the request's headers (net/http answers 431). Browsers stay
	// below 16 KiB; net/http's default of 1 MiB is memory for strangers.
	maxHeaderBytes = 64 << 10

	// maxStreams is the number of requests that one HTTP/2 connection may have open.
	// RFC 9113 advises no less than 100; Go's default is 250.
	maxStreams = 128

	// DefaultBodyLimit is for forms and JSON, 1 MiB. The longest text that a seller
	// writes is under 64 KiB, the limit of a stored value.
	DefaultBodyLimit = 1 << 20

	// DefaultInFlight bounds ordinary requests at work at once, not counting those that
	// wait for their client to send or to read. A page takes well under 10 ms of
	// processor time, so even this many are answered within seconds on two cores, and
	// at about 100 KB each (stack, buffers, compressor) they fit in 64 MB.
	DefaultInFlight = 512

	// openFactor times the above bounds open requests, waiting ones included: slow
	// clients cost memory, about 30 KB each, and no processor time, so they may be many
	// without keeping others out.
	openFactor = 8

	// essentialShare is what webhooks, checkout and receipts may use beyond either
	// bound, as a part of it: refusing a page costs a click, refusing a payment's
	// webhook delays a purchase.
	essentialShare = 0.5

	// retryAfter is when a refused client should come back, in seconds: by then a queue
	// of DefaultInFlight requests is done.
	retryAfter = "2"

	// hstsAge is how long a browser remembers to use TLS: a year, the least that
	// preload lists take.
	hstsAge = 365 * 24 * time.Hour

	// minCompress is the smallest body worth compressing. Below it, the answer fits the
	// same TCP segment either way.
	minCompress = 1 << 10

	// copyBuffer is the size of the buffers for bodies that are compressed from a
	// reader; io.Copy's own size.
	copyBuffer = 32 << 10

	// maxLoggedPath cuts paths in the log, and maxLoggedPanic panics with their stacks,
	// so that no request can write more than a few KB into it.
	maxLoggedPath  = 256
	maxLoggedPanic = 8 << 10
)
