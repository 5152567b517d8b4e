package monitor

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/souk-market/souk/store"
)

// route holds a route's counters, so that a request looks nothing up but the route.
type route struct {
	duration prometheus.Observer
	status   [len(classes)]prometheus.Counter
}

// classes are the values of the label "status", by the first digit of the status.
var classes = [...]string{"broken", "1xx", "2xx", "3xx", "4xx", "5xx"}

// Request counts one answered request. The pattern is the route's ("GET
// /agents/{slug}", "" when none matched) and never a path, of which there is no end. A
// status of 0 says that the connection broke first.
func (m *Monitor) Request(pattern string, status int, took time.Duration) {
	known, ok := m.routes.Load(pattern)
	if !ok {
		known = m.addRoute(pattern)
	}
	r := known.(*route)
	class := status / 100
	if class < 0 || class >= len(classes) {
		class = len(classes) - 1
	}
	r.status[class].Inc()
	r.duration.Observe(took.Seconds())
}

func (m *Monitor) addRoute(pattern string) any {
	label := pattern
	if label == "" {
		label = "none"
	}
	r := &route{duration: m.duration.WithLabelValues(label)}
	for i, class := range classes {
		r.status[i] = m.requests.WithLabelValues(label, class)
	}
	known, _ := m.routes.LoadOrStore(pattern, r)
	return known
}

// WatchStore shows a database's figures.
func (m *Monitor) WatchStore(stats func() store.Stats) {
	m.watch(func(emit emitter) {
		s := stats()
		emit(commits, float64(s.Commits))
		emit(writes, float64(s.Writes))
		emit(lsn, float64(s.LastLSN), "committed")
		emit(lsn, float64(s.DurableLSN), "durable")
		emit(diskUsed, float64(s.DiskBytes))
		emit(diskFree, float64(s.FreeBytes))
	}, commits, writes, lsn, diskUsed, diskFree)
}

var (
	commits = counter("souk_store_commits_total", "Transactions committed since the start.")
	writes  = counter("souk_store_writes_total", "Keys written since the start.")
	lsn     = gauge("souk_store_lsn", "The last LSN; durable follows committed by one sync of the disk.", "state")

	diskUsed = gauge("souk_store_disk_bytes", "Size of the database's files.")
	diskFree = gauge("souk_store_disk_free_bytes", "Free space on the database's disk.")
)

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// WatchJobs shows how many jobs are in each state.
func (m *Monitor) WatchJobs(counts func() map[string]int) {
	m.watch(func(emit emitter) {
		for state, n := range counts() {
			emit(jobs, float64(n), state)
		}
	}, jobs)
}

var jobs = gauge("souk_jobs", "Jobs by state.", "state")

// Gauge shows one further figure, read at each scrape. The name starts with "souk_" and
// ends in its unit, as Prometheus' naming rules ask.
func (m *Monitor) Gauge(name, help string, value func() float64) {
	g := gauge(name, help)
	m.watch(func(emit emitter) { emit(g, value()) }, g)
}

// figure is a metric's description with its type.
type figure struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

func gauge(name, help string, labels ...string) figure {
	return figure{prometheus.NewDesc(name, help, labels, nil), prometheus.GaugeValue}
}

func gaugeFor(fixed prometheus.Labels, name, help string, labels ...string) figure {
	return figure{prometheus.NewDesc(name, help, labels, fixed), prometheus.GaugeValue}
}

func counter(name, help string) figure {
	return figure{prometheus.NewDesc(name, help, nil, nil), prometheus.CounterValue}
}

func counterFor(fixed prometheus.Labels, name, help string, labels ...string) figure {
	return figure{prometheus.NewDesc(name, help, labels, fixed), prometheus.CounterValue}
}

// emitter gives one value of a figure, with its labels' values.
type emitter func(f figure, value float64, labels ...string)

// time gives a moment in seconds since 1970, and nothing for the zero time.
func (emit emitter) time(f figure, at time.Time, labels ...string) {
	if !at.IsZero() {
		emit(f, float64(at.UnixMilli())/1000, labels...)
	}
}

// watch registers a source of figures that is read at each scrape. It panics when a
// figure has been registered before: that is a mistake in the wiring.
func (m *Monitor) watch(read func(emit emitter), figures ...figure) {
	m.registry.MustRegister(&watcher{m: m, read: read, figures: figures})
}

type watcher struct {
	m       *Monitor
	read    func(emit emitter)
	figures []figure
}

func (w *watcher) Describe(ch chan<- *prometheus.Desc) {
	for _, f := range w.figures {
		ch <- f.desc
	}
}

// Collect survives a source that panics: Prometheus calls it on a goroutine of its own,
// where a panic would end the process.
func (w *watcher) Collect(ch chan<- prometheus.Metric) {
	defer func() {
		if v := recover(); v != nil {
			w.m.log.Error("monitor: a source of figures panicked", "figure", w.figures[0].desc.String(), "panic", fmt.Sprint(v))
		}
	}()
	w.read(func(f figure, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(f.desc, f.kind, value, labels...)
	})
}
