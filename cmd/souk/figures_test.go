//go:build linux

package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/search"
)

var listings = flag.String("listings", "", "absolute path of the listings (agents.tsv) that BenchmarkFigures imports")

// How long each part is measured.
const (
	searchTime   = 2 * time.Second // each kind of query, in process
	httpTime     = 4 * time.Second // each address
	pageRounds   = 4
	pageTime     = 2500 * time.Millisecond // each side of each round
	loadTime     = time.Minute             // of all load before memory is read again
	purchaseTime = 20 * time.Second
)

// BenchmarkFigures measures what Souk says of its speed and size, on the real binary over
// loopback, and prints it as one table:
//
//	go test ./cmd/souk -run '^$' -bench Figures -listings /path/to/agents.tsv
//
// It takes four minutes on two cores, which the server shares with what asks it; so
// quote CPU per request and ratios, which vary less than requests per second.
func BenchmarkFigures(b *testing.B) {
	if *listings == "" {
		b.Skip("needs -listings with the absolute path of a file of listings, like agents.tsv")
	}
	f := &figures{b: b, dir: filepath.Join(b.TempDir(), "data"), replica: filepath.Join(b.TempDir(), "replica"), measured: map[string][]figure{}}
	b.Cleanup(func() { // when the last stage, which kills it, wasn't asked for
		if f.server != nil {
			f.server.kill()
		}
	})
	f.readListings()
	for _, stage := range []struct {
		name    string
		measure func(*figures)
	}{
		{"binary", (*figures).binarySize},
		{"import", (*figures).importing},
		{"search in process", (*figures).searching},
		{"start", (*figures).starting},
		{"agent page", (*figures).agentPage},
		{"search over HTTP", (*figures).searchingHTTP},
		{"a minute of load", (*figures).minuteOfLoad},
		{"purchases", (*figures).purchases},
		{"kill and restore", (*figures).restoring},
	} {
		if !f.stage(stage.name, stage.measure) {
			break
		}
	}
	f.print()
}

// figures is one run.
type figures struct {
	b        *testing.B // of the stage under way
	dir      string     // data directory
	replica  string     // directory of the replica
	shelf    []shelfRow
	server   *process
	started  int       // processes
	loadFrom time.Time // when the first load began
	paid     []string  // agents that cost something, by ID
	sold     []sale
	killed   time.Time
	now      []figure // of the stage under way
	order    []string
	measured map[string][]figure // by stage
}

// figure is a value; its name ends in the unit ("p50-µs").
type figure struct {
	name  string
	value float64
}

// shelfRow is what queries are made of.
type shelfRow struct{ name, summary, category string }

// stage measures once, however often the benchmark asks.
func (f *figures) stage(name string, measure func(*figures)) bool {
	outer := f.b
	defer func() { f.b = outer }()
	return outer.Run(strings.ReplaceAll(name, " ", "-"), func(b *testing.B) {
		f.b = b
		if f.measured[name] == nil {
			f.now = nil
			measure(f)
			f.order = append(f.order, name)
			f.measured[name] = f.now
		}
		for _, m := range f.measured[name] {
			b.ReportMetric(m.value, m.name)
		}
		b.ReportMetric(0, "ns/op")
	})
}

func (f *figures) add(name string, value float64) { f.now = append(f.now, figure{name, value}) }

func (f *figures) print() {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w)
	for _, stage := range f.order {
		for i, m := range f.measured[stage] {
			if i > 0 {
				stage = ""
			}
			digits := 4
			if m.value >= 1e4 {
				digits = 6
			}
			fmt.Fprintf(w, "%s\t%s\t%.*g\n", stage, m.name, digits, m.value)
		}
	}
	w.Flush()
}

func (f *figures) must(err error) {
	f.b.Helper()
	if err != nil {
		f.b.Fatal(err)
	}
}

func (f *figures) readListings() {
	in, err := os.Open(*listings)
	f.must(err)
	defer in.Close()
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	var columns []string
	for lines.Scan() {
		fields := strings.Split(lines.Text(), "\t")
		if columns == nil {
			columns = fields
			continue
		}
		if at := func(name string) string { return fields[slices.Index(columns, name)] }; len(fields) == len(columns) {
			f.shelf = append(f.shelf, shelfRow{at("name"), at("summary"), at("category")})
		}
	}
	f.must(lines.Err())
}

// binarySize is that of a stripped binary without cgo.
func (f *figures) binarySize() {
	bin := filepath.Join(f.b.TempDir(), "souk")
	cmd := exec.Command("go", "build", "-ldflags", "-s -w", "-o", bin, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		f.b.Fatalf("%v\n%s", err, out)
	}
	info, err := os.Stat(bin)
	f.must(err)
	f.add("stripped-MB", float64(info.Size())/1e6)
}

// importing brings the listings into an empty directory, and once more.
func (f *figures) importing() {
	took, usage := f.run("import", *listings, "--data", f.dir)
	f.add("rows/s", float64(len(f.shelf))/took.Seconds())
	f.add("wall-s", took.Seconds())
	f.add("CPU-s", usage.cpu.Seconds())
	f.add("peak-memory-MB", usage.peak)
	took, usage = f.run("import", *listings, "--data", f.dir)
	f.add("unchanged-rows/s", float64(len(f.shelf))/took.Seconds())
	f.add("unchanged-CPU-s", usage.cpu.Seconds())
}

// used is what a process took.
type used struct {
	cpu  time.Duration
	peak float64 // MB
}

// run runs a command of the binary to its end.
func (f *figures) run(args ...string) (time.Duration, used) {
	f.b.Helper()
	cmd := exec.Command(binary(f.b), args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	started := time.Now()
	if err := cmd.Run(); err != nil {
		f.b.Fatalf("souk %s: %v\n%s", strings.Join(args, " "), err, &out)
	}
	took := time.Since(started)
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return took, used{cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), float64(usage.Maxrss) / 1e3}
}

func inCategory(category string) search.Filters {
	if category == "" {
		return search.Filters{}
	}
	return search.Filters{Categories: []market.Category{market.Category(category)}}
}

// searching asks the catalog in this process, one query after the other.
func (f *figures) searching() {
	h, err := openHouse(Config{Data: f.dir, LogLevel: slog.LevelError, Currency: "USD"})
	f.must(err)
	defer func() { f.must(h.close()) }()
	for _, kind := range queryKinds {
		var took []time.Duration
		deadline := time.Now().Add(searchTime)
		for _, q := range f.queries(kind, 20_000) {
			started := time.Now()
			_, err := h.catalog.Search(context.Background(), search.Query{Text: q.text, Filters: inCategory(q.category), Limit: 24, Facets: true})
			took = append(took, time.Since(started))
			f.must(err)
			if time.Now().After(deadline) {
				break
			}
		}
		f.addLatency(kind+" ", took)
	}
}

// addLatency adds p50 and p99 in microseconds.
func (f *figures) addLatency(prefix string, took []time.Duration) {
	prefix = strings.ReplaceAll(prefix, " ", "-")
	f.add(prefix+"p50-µs", quantile(took, 0.50).Seconds()*1e6)
	f.add(prefix+"p99-µs", quantile(took, 0.99).Seconds()*1e6)
}

// quantile sorts its argument.
func quantile(d []time.Duration, q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[min(int(q*float64(len(d))), len(d)-1)]
}

type query struct{ text, category string }

func (q query) encode() string {
	v := url.Values{"q": {q.text}}
	if q.category != "" {
		v.Set("category", q.category)
	}
	return v.Encode()
}

var queryKinds = []string{"1 term", "2 terms", "typo", "category filter"}

// queries are made of the words of listings, the same in each run.
func (f *figures) queries(kind string, n int) []query {
	rng := rand.New(rand.NewPCG(1, uint64(len(kind))))
	word := func(text string, least int) string {
		words := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
		words = slices.DeleteFunc(words, func(w string) bool { return len(w) < least })
		if len(words) == 0 {
			return ""
		}
		return words[rng.IntN(len(words))]
	}
	var qq []query
	for len(qq) < n {
		row := f.shelf[rng.IntN(len(f.shelf))]
		q := query{text: word(row.name, 3)}
		switch kind {
		case "2 terms":
			q.text = strings.TrimSpace(q.text + " " + word(row.summary, 4))
		case "typo":
			q.text = mistype(word(row.name, 6), rng)
		case "category filter":
			q.category = row.category
		}
		if q.text != "" {
			qq = append(qq, q)
		}
	}
	return qq
}

// mistype exchanges two letters in the middle of a word.
func mistype(word string, rng *rand.Rand) string {
	if len(word) < 4 {
		return ""
	}
	b := []byte(word)
	i := 1 + rng.IntN(len(b)-3)
	b[i], b[i+1] = b[i+1], b[i]
	return string(b)
}

// starting starts the server that the stages after it ask.
func (f *figures) starting() {
	started := time.Now()
	f.server = f.start(exec.Command(binary(f.b), "serve", "--data", f.dir, "--addr", "127.0.0.1:0", "--replica", "file://"+f.replica))
	f.until("the marketplace is ready", f.ready)
	f.add("until-ready-ms", time.Since(started).Seconds()*1e3)
	f.addMemory()
	f.pickPaid()
}

func (f *figures) ready() bool {
	resp, err := http.Get(f.server.url + "/readyz")
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// addMemory adds the server's resident memory: all, and without what it maps from files.
func (f *figures) addMemory() {
	all, anonymous := f.server.memory(f.b)
	f.add("resident-MB", all)
	f.add("resident-without-files-MB", anonymous)
}

// searchingHTTP asks the search page and the API: one connection for latency, sixteen
// for throughput.
func (f *figures) searchingHTTP() {
	for name, path := range sorted(map[string]string{"page": "/search?", "API": "/api/v1/search?"}) {
		var targets []string
		for _, kind := range queryKinds {
			for _, q := range f.queries(kind, 2_000) {
				targets = append(targets, path+q.encode())
			}
		}
		rng := rand.New(rand.NewPCG(2, 2))
		rng.Shuffle(len(targets), func(i, j int) { targets[i], targets[j] = targets[j], targets[i] })
		f.addLatency(name+" ", f.load(f.server, 1, httpTime, targets).took)
		l := f.load(f.server, 16, httpTime, targets)
		f.add(name+"-requests/s", l.rate)
		f.add(name+"-CPU-µs/request", l.cpu)
	}
}

// sorted yields a map in the order of its keys.
func sorted[K cmp.Ordered, V any](m map[K]V) func(func(K, V) bool) {
	return func(yield func(K, V) bool) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if !yield(k, m[k]) {
				return
			}
		}
	}
}

// agentPage measures an agent's page, plain and as browsers ask for it, against a bare
// net/http handler that writes the same bytes and headers, in turn; and pages that nobody
// has asked for lately, of which a part is named that was kept all the same.
func (f *figures) agentPage() {
	f.rest(f.server)
	f.loadFrom = time.Now()
	slugs := f.slugs(20_000)
	path := "/agents/" + slugs[len(slugs)/2]
	var others []string
	for _, slug := range slugs {
		others = append(others, "/agents/"+slug)
	}
	encodings := map[string]string{"": "identity", "packed-": "gzip, deflate, br, zstd"}
	bare := map[string]*process{}
	for kind, accept := range encodings {
		bare[kind] = f.startBare(path, accept)
		defer bare[kind].kill()
	}
	sides := map[string][]load{}
	measure := func(side string, p *process, targets []string, accept string) {
		sides[side] = append(sides[side], f.load(p, 64, pageTime/2, targets, "Accept-Encoding: "+accept))
	}
	var kept, rendered float64
	for range pageRounds {
		for kind, accept := range sorted(encodings) {
			measure(kind+"souk", f.server, []string{path}, accept)
			measure(kind+"bare", bare[kind], []string{path}, accept)
			hits, misses := f.counted("hits"), f.counted("misses")
			measure(kind+"rendered", f.server, others, accept)
			kept, rendered = kept+f.counted("hits")-hits, rendered+f.counted("misses")-misses
		}
	}
	for name, loads := range sorted(sides) {
		f.add(name+"-requests/s", median(loads, func(l load) float64 { return l.rate }))
		f.add(name+"-CPU-µs/request", medianCPU(loads))
		f.add(name+"-p99-ms", median(loads, func(l load) float64 { return quantile(l.took, 0.99).Seconds() * 1e3 }))
	}
	for kind := range sorted(encodings) {
		f.add(kind+"kept-over-bare-×", medianCPU(sides[kind+"souk"])/medianCPU(sides[kind+"bare"]))
		f.add(kind+"rendered-over-bare-×", medianCPU(sides[kind+"rendered"])/medianCPU(sides[kind+"bare"]))
	}
	f.add("kept-of-rendered-%", 100*kept/(kept+rendered))
}

func medianCPU(loads []load) float64 { return median(loads, func(l load) float64 { return l.cpu }) }

// counted is a counter of the page cache.
func (f *figures) counted(what string) float64 {
	resp, err := http.Get(f.server.url + "/metrics")
	f.must(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	f.must(err)
	_, rest, _ := strings.Cut(string(text), "\nsouk_page_cache_"+what+"_total ")
	n, err := strconv.ParseFloat(strings.SplitN(rest, "\n", 2)[0], 64)
	f.must(err)
	return n
}

func median(loads []load, of func(load) float64) float64 {
	values := make([]float64, len(loads))
	for i, l := range loads {
		values[i] = of(l)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// slugs are those of up to n agents, the most popular first.
func (f *figures) slugs(n int) (slugs []string) {
	v := visit(f.b, f.server.url)
	for next := "/api/v1/agents?limit=100"; len(slugs) < n; {
		var list apiList
		v.getJSON(next, &list)
		for _, a := range list.Items {
			slugs = append(slugs, a.Slug)
		}
		if list.Next == nil {
			break
		}
		next = "/api/v1/agents?limit=100&cursor=" + url.QueryEscape(*list.Next)
	}
	return slugs
}

// minuteOfLoad goes on with pages of all kinds until the server has had a minute of load.
func (f *figures) minuteOfLoad() {
	targets := []string{"/", "/search", "/search?category=mcp-server", "/api/v1/agents?limit=20"}
	v := visit(f.b, f.server.url)
	var list apiList
	v.getJSON("/api/v1/agents?limit=100", &list)
	for _, a := range list.Items {
		targets = append(targets, "/agents/"+a.Slug)
	}
	for _, kind := range queryKinds {
		for _, q := range f.queries(kind, 25) {
			targets = append(targets, "/search?"+q.encode())
		}
	}
	l := f.load(f.server, 32, max(loadTime-time.Since(f.loadFrom), 5*time.Second), targets)
	f.add("requests/s", l.rate)
	f.add("CPU-µs/request", l.cpu)
	f.addLatency("", l.took)
	f.addMemory()
}

// restoring makes a new directory from what the killed server had shipped, checks it, and
// looks for every purchase that a buyer saw confirmed.
func (f *figures) restoring() {
	restored := filepath.Join(f.b.TempDir(), "restored")
	took, usage := f.run("restore", "--from", "file://"+f.replica, "--data", restored)
	f.add("restore-s", took.Seconds())
	f.add("restore-CPU-s", usage.cpu.Seconds())
	f.add("restore-peak-memory-MB", usage.peak)
	took, _ = f.run("check", "--data", restored)
	f.add("check-s", took.Seconds())
	lost, newest := f.lostIn(restored)
	f.add("acknowledged-purchases", float64(len(f.sold)))
	f.add("of-them-not-shipped", float64(len(lost)))
	f.add("lost-ms-before-the-kill", newest.Seconds()*1e3)
}

// pickPaid finds agents to buy.
func (f *figures) pickPaid() {
	v := visit(f.b, f.server.url)
	next := "/api/v1/agents?limit=100"
	for range 10 {
		var list apiList
		v.getJSON(next, &list)
		for _, a := range list.Items {
			if a.Price.Amount > 0 {
				f.paid = append(f.paid, a.ID)
			}
		}
		if list.Next == nil {
			break
		}
		next = "/api/v1/agents?limit=100&cursor=" + url.QueryEscape(*list.Next)
	}
	if len(f.paid) == 0 {
		f.must(errors.New("no agent costs anything"))
	}
}

// BenchmarkBareHandler is no benchmark but the other side of BenchmarkFigures' comparison,
// in a process of its own: net/http writing the bytes that a file holds, with their headers.
func BenchmarkBareHandler(b *testing.B) {
	name := os.Getenv("SOUK_BARE_ANSWER")
	if name == "" {
		b.Skip("part of BenchmarkFigures")
	}
	raw, err := os.ReadFile(name)
	if err != nil {
		b.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(raw)), nil)
	if err != nil {
		b.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.Fatal(err)
	}
	serveBare(b, resp.Header, body)
}
