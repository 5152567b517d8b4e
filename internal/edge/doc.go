// Package edge is how bytes reach the marketplace: listening, TLS, and what is done to
// every request before a handler sees it.
//
// Server owns the sockets. Without a domain it speaks plain HTTP; with domains it
// obtains and renews certificates by ACME (certmagic), speaks HTTP/1.1 and HTTP/2 over
// TLS 1.2 or later, and sends plain HTTP there. A name it was not given never causes a
// certificate order. When its context ends it stops accepting, lets running requests
// finish for DrainTime, and closes.
//
// Protect owns the request: its ID, the access log without secrets, the bound on
// requests at work, the Host and cross-site checks, body limits, security headers,
// compression, and the panic that must not take the process with it. It is one handler
// and one allocated object rather than a chain, because all pages pay for it; the
// response writer that it hands on keeps http.ResponseController, flushing and sendfile.
//
// limits.go has every bound and its reason, paths.go the paths that are treated unlike
// a page. Who may do what, sessions, rate limits by account, routes, and how errors of
// handlers look belong to the packages that own those routes.
package edge
