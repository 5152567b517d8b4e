package edge

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Options says how Protect treats requests. The zero value is usable.
type Options struct {
	// Logger gets the access log and panics; nil discards them.
	Logger *slog.Logger

	// Hosts are the names that requests may be for, without port; others get 421, so
	// that no page or mail is ever built with a name that a stranger chose. None
	// allows all, for an instance that is reached by address.
	Hosts []string

	// FormAction are origins besides our own to which a form may lead, also by a
	// redirect after its POST ("https://checkout.stripe.com").
	FormAction []string

	// BodyLimits are limits in bytes for request bodies by path prefix, the longest
	// prefix deciding; other paths have DefaultBodyLimit. Reading further fails with
	// *http.MaxBytesError; a declared length beyond it is answered 413 at once.
	BodyLimits map[string]int64

	// InFlight bounds ordinary requests at work; 0 means DefaultInFlight. The further
	// bounds follow from it.
	InFlight int

	// TrustedProxies are networks of reverse proxies in front of the server. From them
	// alone X-Forwarded-For is believed, from the right up to the first address that is
	// not theirs, which becomes the request's RemoteAddr.
	TrustedProxies []netip.Prefix

	// Observe, when set, is called at the end of each request, in its goroutine.
	Observe func(Record)
}

// Record is what is known about a request at its end. Nothing in it is secret.
type Record struct {
	ID       string        // as in X-Request-Id
	Method   string        // one of the standard methods, or "other"
	Path     string        // with secrets masked, without query
	Pattern  string        // the route that http.ServeMux chose, "" for none
	Status   int           // 0 when the answer was broken off
	Bytes    int64         // of the body, as sent
	Duration time.Duration // until the handler returned
	Remote   string        // the client's IP address
}

type guard struct {
	next      http.Handler
	log       *slog.Logger
	hosts     map[string]bool
	cross     *http.CrossOriginProtection
	limits    map[string]int64
	admission admission
	proxies   []netip.Prefix
	observe   func(Record)
	csp       []string
}

// Protect returns next behind everything that edge does to a request. It panics when
// Options.FormAction has something that is no origin, which could otherwise rewrite
// the content security policy.
func Protect(next http.Handler, o Options) http.Handler {
	g := &guard{
		next: next, log: o.Logger, cross: http.NewCrossOriginProtection(), limits: o.BodyLimits,
		proxies: o.TrustedProxies, observe: o.Observe, csp: []string{policy(o.FormAction)},
	}
	if g.log == nil {
		g.log = slog.New(slog.DiscardHandler)
	}
	g.admission.bound = int64(o.InFlight)
	if o.InFlight <= 0 {
		g.admission.bound = DefaultInFlight
	}
	if len(o.Hosts) > 0 {
		g.hosts = map[string]bool{}
		for _, h := range o.Hosts {
			g.hosts[strings.ToLower(h)] = true
		}
	}
	return g
}

func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rule := ruleFor(r.URL.Path)
	x := newExchange(w, r)
	if len(g.proxies) > 0 {
		g.resolveClient(x.r)
	}
	g.setHeaders(w.Header(), x, rule)

	if !g.admission.enter(rule) {
		g.overloaded(x)
		return
	}
	// Deferred, because serve gives up on an answer that has begun by panicking with
	// http.ErrAbortHandler.
	x.admission = &g.admission
	defer g.admission.leave()
	defer g.finish(x, rule)
	if why := g.refusal(r, rule); why != nil {
		x.refuse(why)
		return
	}
	if r.Body != http.NoBody && r.Body != nil {
		x.r.Body = &patientBody{http.MaxBytesReader(w, r.Body, g.bodyLimit(r.URL.Path)), &g.admission}
	}
	x.compressible = !rule.secret && r.Method != http.MethodHead
	g.serve(x)
	r.MultipartForm = x.r.MultipartForm // net/http removes the files of the request it knows
}

// serve runs the handler. After a panic the client gets 500, or a broken connection
// when the answer had begun, for a page cut in the middle must not look whole.
func (g *guard) serve(x *exchange) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		began := x.abandon()
		if v != http.ErrAbortHandler {
			g.logPanic(x, v)
			if !began {
				x.refuse(&refusal{http.StatusInternalServerError, "Something went wrong on our side. Please try again."})
				return
			}
		}
		panic(http.ErrAbortHandler)
	}()
	g.next.ServeHTTP(x, x.r)
	x.close()
}

// refusal returns why r is not for a handler, nil when it is.
func (g *guard) refusal(r *http.Request, rule *rule) *refusal {
	if g.hosts != nil && !g.hosts[hostname(r.Host)] {
		return misdirected
	}
	if g.crossSite(r, rule) {
		return crossSite
	}
	if r.ContentLength > 0 && r.ContentLength > g.bodyLimit(r.URL.Path) {
		return tooLarge
	}
	return nil
}

func (g *guard) crossSite(r *http.Request, rule *rule) bool {
	if rule.signed && r.Method == http.MethodPost {
		return false
	}
	if rule.tokens && len(r.Header["Cookie"]) == 0 {
		return false
	}
	return g.cross.Check(r) != nil
}

func (g *guard) bodyLimit(path string) int64 {
	limit, longest := int64(DefaultBodyLimit), -1
	for prefix, n := range g.limits {
		if len(prefix) > longest && strings.HasPrefix(path, prefix) {
			limit, longest = n, len(prefix)
		}
	}
	return limit
}

// hostname is the host of a Host header in lower case, without port and without the
// dot that may end an absolute name.
func hostname(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// resolveClient sets RemoteAddr to the client's address when a trusted proxy names it.
func (g *guard) resolveClient(r *http.Request) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !g.trusted(peer.Addr()) {
		return
	}
	hops := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		addr, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			return
		}
		r.RemoteAddr = net.JoinHostPort(addr.Unmap().String(), "0")
		if !g.trusted(addr) {
			return
		}
	}
}

func (g *guard) trusted(a netip.Addr) bool {
	for _, p := range g.proxies {
		if p.Contains(a.Unmap()) {
			return true
		}
	}
	return false
}

// Values of headers that are the same for all requests, shared between them. Header.Add
// copies when it appends, for their capacity is one.
var (
	nosniff        = []string{"nosniff"}
	referrerOrigin = []string{"strict-origin-when-cross-origin"}
	referrerNone   = []string{"no-referrer"}
	permissions    = []string{"camera=(), display-capture=(), geolocation=(), microphone=(), usb=(), browsing-topics=()"}
	sameOrigin     = []string{"same-origin"}
	varyEncoding   = []string{"Accept-Encoding"}
	hsts           = []string{"max-age=" + strconv.Itoa(int(hstsAge.Seconds()))}
)

// setHeaders sets the headers of every answer. Handlers may replace them; a handler
// whose answer varies by more adds to Vary.
func (g *guard) setHeaders(h http.Header, x *exchange, rule *rule) {
	h["X-Request-Id"] = x.idHeader[:]
	h["Content-Security-Policy"] = g.csp
	h["X-Content-Type-Options"] = nosniff
	h["Permissions-Policy"] = permissions
	h["Cross-Origin-Opener-Policy"] = sameOrigin
	h["Vary"] = varyEncoding
	h["Referrer-Policy"] = referrerOrigin
	if rule.secret {
		h["Referrer-Policy"] = referrerNone
	}
	if x.r.TLS != nil {
		h["Strict-Transport-Security"] = hsts
	}
}

// policy is the content security policy: nothing inline, nothing from elsewhere, no
// framing. Browsers apply form-action to the redirects that follow a POST as well.
func policy(formAction []string) string {
	actions := "'self'"
	for _, origin := range formAction {
		u, err := url.Parse(origin)
		if err != nil || u.Host == "" || u.Scheme+"://"+u.Host != origin || strings.ContainsAny(origin, " ;,'*") {
			panic(fmt.Sprintf("edge: form-action %q is no origin", origin))
		}
		actions += " " + origin
	}
	return "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; " +
		"frame-ancestors 'none'; form-action " + actions
}
