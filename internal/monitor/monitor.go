// Package monitor says how the process is: that it lives (/healthz), that it may be
// sent visitors (/readyz), and its figures (/metrics, in Prometheus' form).
//
// It promises that a request costs it well under a microsecond, that figures and the
// reasons of a failure stay inside the operator's network, and that a broken source of a
// figure costs that figure and not the process. Figures are read from their owners when
// someone asks; nothing runs in between.
//
// It leaves to others what "ready" means (Check takes a function per part) and who is
// woken by what.
package monitor

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Options of a Monitor.
type Options struct {
	// Token, when set, is what /metrics asks of everyone as a bearer token. Without it
	// /metrics answers loopback and private addresses that no proxy speaks for.
	Token   string
	Version string // of this binary, for souk_build_info
	Logger  *slog.Logger
}

// Monitor collects what the process tells about itself. Its methods may be called at the
// same time.
type Monitor struct {
	token    string
	log      *slog.Logger
	registry *prometheus.Registry
	scrape   http.Handler

	routes   sync.Map // pattern string → *route
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec

	mu      sync.Mutex // guards what follows
	checks  []check
	standby func() Standby // nil where this server isn't one
}

// check is one part that has to work before visitors come.
type check struct {
	name string
	run  func(context.Context) error
}

// readyTimeout bounds all checks of one /readyz together: a load balancer gives up soon
// after.
const readyTimeout = 2 * time.Second

// New makes a monitor with the figures of the Go runtime and the process.
func New(o Options) *Monitor {
	m := &Monitor{token: o.Token, log: o.Logger, registry: prometheus.NewRegistry()}
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	m.requests = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "souk_http_requests_total",
		Help: "Requests answered, by route and class of status (broken: the connection went first).",
	}, []string{"route", "status"})
	m.duration = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "souk_http_request_duration_seconds",
		Help:    "Time from a request's headers until its handler returned.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
	}, []string{"route"})
	m.registry.MustRegister(m.requests, m.duration, buildInfo(o.Version),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.scrape = promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog: errorLog{m.log}, ErrorHandling: promhttp.ContinueOnError,
		DisableCompression:  true, // internal/edge compresses
		MaxRequestsInFlight: 2, Timeout: 10 * time.Second,
	})
	return m
}

func buildInfo(version string) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "souk_build_info", Help: "1, with the version of the binary.",
		ConstLabels: prometheus.Labels{"version": version},
	}, func() float64 { return 1 })
}

// errorLog carries promhttp's complaints to the log.
type errorLog struct{ log *slog.Logger }

func (l errorLog) Println(v ...any) { l.log.Warn("monitor: scraping", "err", fmt.Sprint(v...)) }

// Register adds /healthz, /readyz and /metrics to mux.
func (m *Monitor) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /healthz", m.healthz)
	mux.HandleFunc("GET /readyz", m.readyz)
	mux.HandleFunc("GET /metrics", m.metrics)
}

// Check adds a part that has to work before visitors come: run returns nil when it does.
// It is called for each /readyz, which anyone may ask, so it answers from memory within
// milliseconds. Its error is shown only to those who may see /metrics; the name is shown
// to all.
func (m *Monitor) Check(name string, run func(context.Context) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.checks = append(m.checks, check{name, run})
}

// healthz answers as long as the process can: a supervisor restarts it when it doesn't.
// It asks nothing of any part, for a restart mends none.
func (m *Monitor) healthz(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	io.WriteString(w, "ok\n")
}

// readiness is the body of /readyz.
type readiness struct {
	Ready   bool              `json:"ready"`
	Failing []string          `json:"failing"`           // names of checks, in the order they were added
	Reasons map[string]string `json:"reasons,omitempty"` // by name, for the operator only
	Standby *standbyState     `json:"standby,omitempty"` // of a standby only
}

func (m *Monitor) readyz(w http.ResponseWriter, r *http.Request) {
	state := m.readiness(r.Context())
	if !m.isOperator(r) {
		state.Reasons = nil
	}
	status := http.StatusOK
	if !state.Ready {
		status = http.StatusServiceUnavailable
	}
	writeJSON(w, status, state)
}

func (m *Monitor) readiness(ctx context.Context) readiness {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	m.mu.Lock()
	checks := slices.Clone(m.checks)
	m.mu.Unlock()
	state := readiness{Failing: []string{}, Reasons: map[string]string{}, Standby: m.standbyState()}
	for _, c := range checks {
		if err := c.ask(ctx); err != nil {
			state.Failing = append(state.Failing, c.name)
			state.Reasons[c.name] = err.Error()
		}
	}
	state.Ready = len(state.Failing) == 0
	return state
}

func (c check) ask(ctx context.Context) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the check panicked: %v", v)
		}
	}()
	return c.run(ctx)
}

// metrics refuses strangers with 404, as if there were nothing: figures tell competitors
// sales and attackers what load hurts.
func (m *Monitor) metrics(w http.ResponseWriter, r *http.Request) {
	if m.isOperator(r) {
		w.Header().Set("Cache-Control", "no-store")
		m.scrape.ServeHTTP(w, r)
		return
	}
	if m.token != "" {
		w.Header().Set("WWW-Authenticate", `Bearer realm="metrics"`)
		http.Error(w, "This needs the metrics token.", http.StatusUnauthorized)
		return
	}
	http.NotFound(w, r)
}
