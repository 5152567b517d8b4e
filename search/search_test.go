package search

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/store/storetest"
)

const tenant = market.MainTenant

// readAgents reads listings as they are imported: id name summary version popularity
// source category updated.
func readAgents(t testing.TB, path string) []market.Agent {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var agents []market.Agent
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		c := strings.Split(lines.Text(), "\t")
		if len(c) != 8 || c[0] == "id" {
			continue
		}
		a := newAgent(c[1], c[2], market.Category(c[6]))
		a.ExternalID, a.Source = c[0], c[5]
		a.Popularity, _ = strconv.ParseInt(c[4], 10, 64)
		a.Updated, _ = time.Parse("2006-01", c[7])
		agents = append(agents, a)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return agents
}

func newAgent(name, summary string, c market.Category) market.Agent {
	id := market.NewAgentID(time.Now())
	return market.Agent{
		ID: id, Slug: string(id[4:]), Name: name, Summary: summary, Category: c, Seller: "sel_test",
		State:   market.ListingPublished,
		Release: market.Release{File: market.File{SHA256: file.SHA256}},
	}
}

// file is what every agent of these tests sells.
var file = market.Blob{SHA256: strings.Repeat("0", 64)}

func in(categories ...market.Category) Filters { return Filters{Categories: categories} }

func put(t testing.TB, db *store.DB, agents ...market.Agent) store.LSN {
	t.Helper()
	return putFor(t, db, tenant, agents...)
}

func putFor(t testing.TB, db *store.DB, tenant market.TenantID, agents ...market.Agent) (last store.LSN) {
	t.Helper()
	size := 50
	if slices.ContainsFunc(agents, func(a market.Agent) bool { return a.Rating != market.Rating{} }) {
		size = 12 // for the reviews
	}
	for batch := range slices.Chunk(agents, size) {
		res, err := db.Update(context.Background(), tenant, store.Op{Class: store.UserData}, func(tx *store.Tx) error {
			if err := store.Blobs.Put(tx, &file); err != nil {
				return err
			}
			for i := range batch {
				if err := store.Agents.Put(tx, &batch[i]); err != nil {
					return err
				}
				if err := putReviews(tx, &batch[i]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		last = res.LSN
	}
	return last
}

// putReviews writes the reviews that an agent's rating is the sum of, in the place of those
// that are there.
func putReviews(tx *store.Tx, a *market.Agent) error {
	for row, err := range store.ReviewsOfAgent.Scan(tx, a.ID, "") {
		if err != nil {
			return err
		}
		if err := store.Reviews.Delete(tx, row.Record.ID); err != nil {
			return err
		}
	}
	for i, n := range a.Rating.Stars {
		for range n {
			r := market.Review{ID: market.NewReviewID(tx.Now()), Agent: a.ID, Stars: i + 1, State: market.ReviewPublished}
			if err := store.Reviews.Insert(tx, &r); err != nil {
				return err
			}
		}
	}
	return nil
}

// putSeller makes commits that no index cares for.
func putSeller(t testing.TB, db *store.DB, class store.Class) store.LSN {
	t.Helper()
	id := market.NewSellerID(time.Now())
	s := market.Seller{ID: id, Slug: string(id[4:]), Name: "Ada"}
	res, err := db.Update(context.Background(), tenant, store.Op{Class: class}, func(tx *store.Tx) error {
		return store.Sellers.Insert(tx, &s)
	})
	if err != nil {
		t.Fatal(err)
	}
	return res.LSN
}

// running is an index that follows its store until the test or stop ends it.
type running struct {
	*Index
	t      testing.TB
	cancel context.CancelFunc
	done   chan error
}

func start(t testing.TB, o Options) *running {
	t.Helper()
	ix, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{ix, t, cancel, make(chan error, 1)}
	go func() { r.done <- ix.Run(ctx) }()
	t.Cleanup(r.stop)
	return r
}

func (r *running) stop() {
	if r.cancel == nil {
		return
	}
	r.cancel()
	r.cancel = nil
	if err := <-r.done; err != nil {
		r.t.Errorf("Run: %v", err)
	}
	if err := r.Close(); err != nil {
		r.t.Errorf("Close: %v", err)
	}
}

func (r *running) wait(lsn store.LSN) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := r.WaitFor(ctx, lsn); err != nil {
		r.t.Fatalf("waiting for commit %d at %d: %v", lsn, r.LSN(), err)
	}
}

func (r *running) find(q Query) Results {
	r.t.Helper()
	if q.Tenant == "" {
		q.Tenant = tenant
	}
	q.Facets = true
	res, err := r.Search(context.Background(), q)
	if err != nil {
		r.t.Fatalf("%+v: %v", q, err)
	}
	return res
}

func (r *running) names(q Query) []string {
	r.t.Helper()
	return r.namesOf(r.find(q).IDs)
}

func (r *running) namesOf(ids []market.AgentID) []string {
	r.t.Helper()
	var names []string
	err := r.db.View(context.Background(), tenant, func(tx *store.ReadTx) error {
		for _, id := range ids {
			a, err := store.Agents.Load(tx, id)
			if err != nil {
				return fmt.Errorf("%s: %w", id, err)
			}
			names = append(names, a.Name)
		}
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return names
}

// same fails the test unless the index has exactly the store's published agents, each
// once, with their present words.
func (r *running) same() {
	r.t.Helper()
	r.wait(r.db.DurableLSN())
	var want, got []market.AgentID
	for _, tenant := range r.tenants {
		err := r.db.View(context.Background(), tenant, func(tx *store.ReadTx) error {
			for a, err := range store.Agents.All(tx, "") {
				if err != nil {
					return err
				}
				if a.Visible() {
					want = append(want, a.ID)
				}
			}
			return nil
		})
		if err != nil {
			r.t.Fatal(err)
		}
		for offset := 0; ; offset += MaxLimit {
			res := r.find(Query{Tenant: tenant, Limit: MaxLimit, Offset: offset})
			got = append(got, res.IDs...)
			if len(res.IDs) < MaxLimit {
				break
			}
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		r.t.Fatalf("the index has %d agents, the store %d, or others", len(got), len(want))
	}
}

func TestFoundAfterCommit(t *testing.T) {
	db := storetest.Open(t)
	ix := start(t, Options{Dir: t.TempDir(), DB: db})
	a := newAgent("langchain-chroma", "Chroma for LangChain", "rag-search")
	ix.wait(put(t, db, a))
	if got := ix.find(Query{Text: "chroma"}).IDs; !slices.Equal(got, []market.AgentID{a.ID}) {
		t.Errorf("found %v, want %v", got, a.ID)
	}

	a.Name, a.Summary, a.Category = "vector-shelf", "Shelves for vectors", "data"
	ix.wait(put(t, db, a))
	if res := ix.find(Query{Text: "chroma"}); res.Total != 0 || len(res.Facet(FacetCategory)) != 0 {
		t.Errorf("found %+v under the old name", res)
	}
	if got := ix.names(Query{Text: "shelf", Filters: in("data")}); len(got) != 1 {
		t.Errorf("found %v under the new name, want it", got)
	}

	for _, state := range []market.ListingState{market.ListingSuspended, market.ListingDraft, market.ListingPublished} {
		a.State = state
		ix.wait(put(t, db, a))
		want := 0
		if a.Visible() {
			want = 1
		}
		for _, q := range []Query{{}, {Text: "shelf"}, {Text: "she"}, {Filters: in("data")}} {
			if res := ix.find(q); res.Total != want || len(res.IDs) != want || len(res.Facet(FacetCategory)) != want {
				t.Errorf("%s, %+v: %+v, want %d", state, q, res, want)
			}
		}
	}

	res, err := db.Update(context.Background(), tenant, store.Op{}, func(tx *store.Tx) error {
		return store.Agents.Delete(tx, a.ID)
	})
	if err != nil {
		t.Fatal(err)
	}
	ix.wait(res.LSN)
	if res := ix.find(Query{}); res.Total != 0 {
		t.Errorf("found a deleted agent: %+v", res)
	}
}

func TestFollowsCommitsOfOthers(t *testing.T) {
	db := storetest.Open(t)
	ix := start(t, Options{Dir: t.TempDir(), DB: db})
	for _, class := range []store.Class{store.Transaction, store.UserData, store.Ephemeral} {
		ix.wait(putSeller(t, db, class))
	}
	if got, want := ix.LSN(), db.DurableLSN(); got != want {
		t.Errorf("LSN %d, want %d", got, want)
	}
}

func TestWaitForEndsWithItsContext(t *testing.T) {
	db := storetest.Open(t)
	ix := start(t, Options{Dir: t.TempDir(), DB: db})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := ix.WaitFor(ctx, 1_000); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want %v", err, context.Canceled)
	}
}

// What is withdrawn may not be hinted at either: not by a correction, not by a proposal,
// not by a count, not by the rarity that ranking uses.
func TestNothingOfWhatIsNotPublic(t *testing.T) {
	db := storetest.Open(t)
	ix := start(t, Options{Dir: t.TempDir(), DB: db, Tenants: []market.TenantID{tenant, "ten_b"}})
	var agents []market.Agent
	for i := range 30 {
		agents = append(agents, newAgent(fmt.Sprintf("tool-%d", i), "Works well", "other"))
	}
	draft := newAgent("zeppelinflug", "Flies zeppelins", "other")
	draft.State = market.ListingDraft
	gone := newAgent("quetzalcoatl", "Feathered", "other")
	put(t, db, append(agents, draft, gone)...)
	foreign := newAgent("ornithopter", "Flaps", "voice-media")
	ix.wait(putFor(t, db, "ten_b", foreign))
	gone.State = market.ListingSuspended
	ix.wait(put(t, db, gone))

	for _, text := range []string{"zeppelinflug", "zeppelinflugg", "zeppel", "quetzalcoatl", "quetzalcotal", "quetz",
		"ornithopter", "ornithoptre", "ornith", "tool ornithoper", "flaps", "feathered"} {
		res := ix.find(Query{Text: text})
		if res.Total != 0 || res.Corrected || len(res.Facet(FacetCategory)) != 0 {
			t.Errorf("%q: %+v, want nothing", text, res)
		}
		for _, n := range res.Nearby {
			if n != "tool" {
				t.Errorf("%q: proposes %q", text, n)
			}
		}
	}
	if res := ix.find(Query{}); res.Total != 30 || len(res.Facet(FacetCategory)) != 1 {
		t.Errorf("browsing finds %d in %v, want 30", res.Total, res.Facet(FacetCategory))
	}
	if res := ix.find(Query{Tenant: "ten_b", Text: "ornithoptre"}); res.Total != 1 || res.Understood != "ornithopter" {
		t.Errorf("the other tenant finds %+v, want its own", res)
	}
	if res := ix.find(Query{Tenant: "ten_c"}); res.Total != 0 || len(res.Facet(FacetCategory)) != 0 {
		t.Errorf("an unknown tenant finds %+v, want nothing", res)
	}
}

func TestFacetsUnderFilters(t *testing.T) {
	db := storetest.Open(t)
	agents := readAgents(t, "testdata/agents.tsv")
	lsn := put(t, db, agents...)
	ix := start(t, Options{Dir: t.TempDir(), DB: db})
	ix.wait(lsn)
	for _, text := range []string{"", "mcp", "playwrigth mcp", "agents"} {
		all := ix.find(Query{Text: text, Limit: MaxLimit})
		sum := 0
		for _, c := range all.Facet(FacetCategory) {
			sum += c.Count
			got := ix.find(Query{Text: text, Filters: in(market.Category(c.Value)), Limit: MaxLimit})
			if got.Total != c.Count || len(got.IDs) != min(c.Count, MaxLimit) {
				t.Errorf("%q in %s: %d, %d IDs, want %d", text, c.Value, got.Total, len(got.IDs), c.Count)
			}
			if !slices.Equal(got.Facet(FacetCategory), all.Facet(FacetCategory)) {
				t.Errorf("%q in %s: facets %v, want those without the category, %v", text, c.Value, got.Facet(FacetCategory), all.Facet(FacetCategory))
			}
			for _, id := range got.IDs {
				i := slices.IndexFunc(agents, func(a market.Agent) bool { return a.ID == id })
				if string(agents[i].Category) != c.Value {
					t.Errorf("%q in %s: %s is in %s", text, c.Value, agents[i].Name, agents[i].Category)
				}
			}
		}
		if sum != all.Total || sum == 0 {
			t.Errorf("%q: facets sum up to %d of %d", text, sum, all.Total)
		}
	}
	if res := ix.find(Query{Text: "langchain chroma", Filters: in("voice-media")}); res.Total != 0 || len(res.Facet(FacetCategory)) == 0 || res.Nearby != nil {
		t.Errorf("a category without hits: %+v, want counts of others and no proposals", res)
	}
}

func TestPagesMeetWithoutOverlap(t *testing.T) {
	db := storetest.Open(t)
	agents := readAgents(t, "testdata/agents.tsv")
	lsn := put(t, db, agents...)
	ix := start(t, Options{Dir: t.TempDir(), DB: db})
	ix.wait(lsn)
	for _, q := range []Query{{}, {Text: "mcp"}, {Text: "mcp", Sort: ByDate}, {Sort: ByPopularity, Filters: in("sdk")}} {
		q.Limit = MaxLimit
		want := ix.find(q).IDs
		var got []market.AgentID
		q.Limit = 7
		for q.Offset = 0; q.Offset < len(want); q.Offset += 7 {
			got = append(got, ix.find(q).IDs...)
		}
		if !slices.Equal(got[:len(want)], want) {
			t.Errorf("%+v: pages of 7 differ from one of %d", q, MaxLimit)
		}
	}
	q := Query{Sort: ByDate, Limit: MaxLimit}
	at := func(id market.AgentID) time.Time {
		return agents[slices.IndexFunc(agents, func(a market.Agent) bool { return a.ID == id })].Updated
	}
	if ids := ix.find(q).IDs; !slices.IsSortedFunc(ids, func(a, b market.AgentID) int { return at(b).Compare(at(a)) }) {
		t.Error("the newest aren't first")
	}
}

func TestLimits(t *testing.T) {
	db := storetest.Open(t)
	ix := start(t, Options{Dir: t.TempDir(), DB: db})
	ix.wait(put(t, db, readAgents(t, "testdata/agents.tsv")...))
	for name, q := range map[string]Query{
		"offset": {Offset: 1_000_001},
		"before": {Offset: -1},
		"limit":  {Limit: 1_000},
		"sort":   {Sort: "name"},
	} {
		q.Tenant = tenant
		if _, err := ix.Search(context.Background(), q); !market.Is(err, market.Invalid) {
			t.Errorf("%s: %v, want invalid", name, err)
		}
	}
	for _, text := range hostile {
		q := Query{Tenant: tenant, Text: text}
		if _, err := ix.Search(context.Background(), q); err != nil && !market.Is(err, market.Invalid) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if res := ix.find(Query{Text: `"?*()[]{}`}); res.Total != 0 {
		t.Errorf("no word at all finds %d, want none", res.Total)
	}
	if got, want := ix.find(Query{Text: " \t "}).Total, ix.find(Query{}).Total; got != want {
		t.Errorf("white space finds %d, want %d as browsing does", got, want)
	}
	many := strings.Repeat("playwright mcp ", 10_000)
	if got, want := ix.find(Query{Text: many}), ix.find(Query{Text: "playwright mcp"}); got.Total != want.Total {
		t.Errorf("a long text finds %d, want %d as its beginning does", got.Total, want.Total)
	}
}

var hostile = []string{
	strings.Repeat("(", 256), strings.Repeat("[[", 64) + "a" + strings.Repeat("]]", 60), "*", "*a", "/.*/", "a~9", "\x00\xff\xfe",
	strings.Repeat("\u0301", 120), "e" + strings.Repeat("\u0301", 100), "İıſK", "🦄🦄🦄", "ﷺ", "الذكاء الاصطناعي", "中文智能体搜索引擎服务器",
	strings.Repeat("𝒜", 60), "\u202egnirts", "a\u200bb", strings.Repeat("aaaaaaaa ", 12), strings.Repeat("abcdefgh", 32),
	"aaaaaaab aaaaaabb aaaaabbb aaaabbbb aaabbbbb aabbbbbb abbbbbbb bbbbbbbb abababab babababa aabbaabb bbaabbaa",
	"A1b2C3d4E5f6G7h8I9j0", strings.Repeat("aB", 100), strings.Repeat("1", 250), "-_./:+", "@/", "a@@b",
}

func FuzzSearch(f *testing.F) {
	for _, text := range hostile {
		f.Add(text)
	}
	f.Add("playwrigth mcp")
	db := storetest.Open(f)
	ix := start(f, Options{Dir: f.TempDir(), DB: db})
	ix.wait(put(f, db, readAgents(f, "testdata/agents.tsv")...))
	f.Fuzz(func(t *testing.T, text string) {
		q, err := Query{Tenant: tenant, Text: text}.check()
		if err != nil {
			t.Fatal(err)
		}
		v, release, err := ix.acquire()
		if err != nil {
			t.Fatal(err)
		}
		s := newSearcher(context.Background(), v, tenant, ix.rules)
		s.tree = ix.shelvesOf(tenant)
		res, err := s.search(q)
		release()
		if err != nil {
			t.Fatal(err)
		}
		// MaxWords words, each looked up as itself, its stems, pairs, synonyms, 48 beginnings
		// and 6 corrections; counted where they can be.
		if w := s.work; w.lookups > 8_000 || w.compared > 12*(maxScanned+1_000) || w.read > MaxWords*(maxStarts+maxInside)+maxNames {
			t.Errorf("%q: %+v", text, w)
		}
		for _, n := range res.Nearby {
			if again, err := ix.Search(context.Background(), Query{Tenant: tenant, Text: n}); err != nil || again.Total == 0 {
				t.Errorf("%q proposes %q, which finds nothing: %v", text, n, err)
			}
		}
	})
}

func TestSearchEndsWithItsContext(t *testing.T) {
	db := storetest.Open(t)
	ix := start(t, Options{Dir: t.TempDir(), DB: db})
	ix.wait(put(t, db, newAgent("a", "b", "c")))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := ix.Search(ctx, Query{Tenant: tenant, Text: "a"}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want %v", err, context.Canceled)
	}
}

func TestUnavailableBeforeTheFirstBuild(t *testing.T) {
	db := storetest.Open(t)
	put(t, db, newAgent("a", "b", "c"))
	ix, err := Open(Options{Dir: t.TempDir(), DB: db})
	if err != nil {
		t.Fatal(err)
	}
	defer ix.Close()
	if _, err := ix.Search(context.Background(), Query{Tenant: tenant}); !market.Is(err, market.Unavailable) || ix.Ready() {
		t.Errorf("%v, ready %t; want unavailable", err, ix.Ready())
	}
}

// golden queries are a table that anyone can read and add to: testdata/golden.txt.
func TestGolden(t *testing.T) {
	db := storetest.Open(t)
	ix := start(t, Options{Dir: t.TempDir(), DB: db})
	ix.wait(put(t, db, readAgents(t, "testdata/agents.tsv")...))
	script, err := os.ReadFile(filepath.Join("testdata", "golden.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var res Results
	var filters Filters
	var names []string
	for i, line := range strings.Split(string(script), "\n") {
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		at := fmt.Sprintf("golden.txt:%d", i+1)
		switch verb {
		case "", "#":
		case "search":
			res = ix.find(Query{Text: rest, Filters: filters, Limit: MaxLimit})
			names = ix.namesOf(res.IDs)
		case "filter":
			filters = filtersOf(t, rest)
		case "first":
			want := strings.Split(rest, ", ")
			if got := names[:min(len(want), len(names))]; !slices.Equal(got, want) {
				t.Errorf("%s: first are %q", at, names[:min(8, len(names))])
			}
		case "has":
			for want := range strings.SplitSeq(rest, ", ") {
				if !slices.Contains(names, want) {
					t.Errorf("%s: not among %d results: %s", at, len(names), want)
				}
			}
		case "hasn't":
			for want := range strings.SplitSeq(rest, ", ") {
				if slices.Contains(names, want) {
					t.Errorf("%s: among %d results: %s", at, len(names), want)
				}
			}
		case "understood":
			if !res.Corrected || res.Understood != rest {
				t.Errorf("%s: understood %q, corrected %t", at, res.Understood, res.Corrected)
			}
		case "literally":
			if res.Corrected {
				t.Errorf("%s: understood %q", at, res.Understood)
			}
		case "instead":
			if res.DidYouMean != rest {
				t.Errorf("%s: did you mean %q", at, res.DidYouMean)
			}
		case "finds":
			if want, err := strconv.Atoi(rest); err != nil || res.Total != want {
				t.Errorf("%s: finds %d", at, res.Total)
			}
		case "nearby":
			if want := strings.Split(rest, ", "); !slices.Equal(res.Nearby, want) {
				t.Errorf("%s: nearby are %q", at, res.Nearby)
			}
		default:
			t.Fatalf("%s: there is no %q", at, verb)
		}
	}
}

func filtersOf(t *testing.T, text string) (f Filters) {
	for field := range strings.FieldsSeq(text) {
		name, value, _ := strings.Cut(field, "=")
		switch name {
		case "category":
			f.Categories = append(f.Categories, market.Category(value))
		case "price":
			f.Price = append(f.Price, PriceBand(value))
		case "type":
			f.Types = append(f.Types, Type(value))
		case "runtime":
			f.Runtimes = append(f.Runtimes, value)
		default:
			t.Fatalf("there is no filter %q", name)
		}
	}
	return f
}

// A segment of one tenant's listings alone, of which some are gone, is searched for
// another's too.
func TestOtherTenantsDeletions(t *testing.T) {
	db := storetest.Open(t)
	const other = market.TenantID("ten_other")
	ix := start(t, Options{Dir: t.TempDir(), DB: db, Tenants: []market.TenantID{tenant, other}})
	ix.wait(put(t, db, newAgent("chain", "Links", "other")))
	theirs := newAgent("chain-of-theirs", "Links too", "other")
	ix.wait(putFor(t, db, other, theirs, newAgent("chains", "More links", "other")))
	theirs.State = market.ListingPaused
	ix.wait(putFor(t, db, other, theirs))
	for _, text := range []string{"chain", "hain", "chian", "chai"} {
		if got := ix.names(Query{Text: text}); !slices.Equal(got, []string{"chain"}) {
			t.Errorf("%s: got %q", text, got)
		}
	}
}
