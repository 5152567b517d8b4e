package search

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/store/storetest"
)

func (r *running) suggest(text string) (list []string) {
	r.t.Helper()
	all, err := r.Suggest(context.Background(), SuggestQuery{Tenant: tenant, Text: text})
	if err != nil {
		r.t.Fatal(err)
	}
	for _, s := range all {
		list = append(list, fmt.Sprintf("%s %s", s.Kind, s.Text))
	}
	return list
}

// shop has a few agents of two sellers, with categories and tags.
func shop(t *testing.T) (*running, []market.Agent) {
	db := storetest.Open(t)
	ix := start(t, Options{Dir: t.TempDir(), DB: db, Tenants: []market.TenantID{tenant, "ten_b"}})
	s := market.Seller{ID: market.NewSellerID(time.Now()), Slug: "lanternworks", Name: "Lantern Works"}
	var agents []market.Agent
	for i, row := range []struct {
		name, category string
		popularity     int64
		tags           []market.Tag
	}{
		{"langchain-chroma", "rag-search", 900, []market.Tag{"langchain", "vectors"}},
		{"LangGraph", "framework", 5_000, []market.Tag{"langchain"}},
		{"my-langchain-tools", "sdk", 40_000, nil},
		{"postgres-mcp-server", "mcp-server", 50, []market.Tag{"postgres"}},
		{"mcp-server-postgres", "mcp-server", 70, []market.Tag{"postgres"}},
		{"Chat in München", "sdk", 3, nil},
		{"langur-draft", "sdk", 1e6, []market.Tag{"langur"}},
	} {
		a := newAgent(row.name, "A tool", market.Category(row.category))
		a.Slug, a.Popularity, a.Tags, a.Seller = market.Slug(row.name), row.popularity, row.tags, s.ID
		if i == 6 {
			a.State = market.ListingDraft
			a.Category = "langurs"
		}
		agents = append(agents, a)
	}
	_, err := db.Update(context.Background(), tenant, store.Op{}, func(tx *store.Tx) error {
		if err := store.Sellers.Put(tx, &s); err != nil {
			return err
		}
		return store.Shelves.Put(tx, &market.Shelf{Category: "mcp-server", Title: "Post office"})
	})
	if err != nil {
		t.Fatal(err)
	}
	foreign := newAgent("langostino", "Theirs", "langs")
	foreign.Tags = []market.Tag{"langs"}
	putFor(t, db, "ten_b", foreign)
	ix.wait(put(t, db, agents...))
	return ix, agents
}

func TestSuggest(t *testing.T) {
	ix, agents := shop(t)
	check := func(text string, want ...string) {
		t.Helper()
		if got := ix.suggest(text); !slices.Equal(got, want) {
			t.Errorf("%q suggests %q, want %q", text, got, want)
		}
	}
	check("lang", "agent LangGraph", "agent my-langchain-tools", "agent langchain-chroma", "tag langchain")
	check("langc", "agent my-langchain-tools", "agent langchain-chroma", "tag langchain")
	check("Lang Chain ch", "agent langchain-chroma")
	check("chroma", "agent langchain-chroma")
	check("lagnchain", "agent my-langchain-tools", "agent langchain-chroma")
	check("lantern", "seller Lantern Works")
	check("post", "category Post office", "agent postgres-mcp-server", "agent mcp-server-postgres", "tag postgres")
	check("postgres serv", "agent mcp-server-postgres", "agent postgres-mcp-server")
	check("munch", "agent Chat in München")
	check("langu")
	check("langos")
	check("?!")
	check("")

	agents[1].State = market.ListingPaused
	ix.wait(put(t, ix.db, agents[1]))
	check("langg")
	for _, limit := range []int{1, 2, 3} {
		list, err := ix.Suggest(context.Background(), SuggestQuery{Tenant: tenant, Text: "post", Limit: limit})
		if err != nil || len(list) != limit {
			t.Errorf("%d suggestions: %v, %v", limit, list, err)
		}
	}
}

// However many agents have a beginning, the suggested ones are those that come first when
// all are gone through.
func TestSuggestsTheMostPopular(t *testing.T) {
	db := storetest.Open(t)
	ix := start(t, Options{Dir: t.TempDir(), DB: db})
	ix.wait(put(t, db, readAgents(t, "testdata/agents.tsv")...))
	v, release, err := ix.acquire()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	for _, text := range []string{"m", "mc", "mcp", "s", "l", "la", "agent", "p", "open"} {
		s := suggester{view: v, tenant: tenant, key: text, text: text}
		want, got := best{n: MaxSuggestions}, best{n: MaxSuggestions}
		for i := range v.segs {
			s.starting(&v.segs[i], &got)
			for row := range v.segs[i].ids {
				if at := v.segs[i].starts().word(uint32(row), text); at >= 0 {
					s.offer(&v.segs[i], uint32(row), at, &want)
				}
			}
		}
		if !slices.Equal(got.list, want.list) {
			t.Errorf("%q: %v, want %v", text, got.list, want.list)
		}
	}
}

func TestOneEdit(t *testing.T) {
	for _, tt := range []struct {
		start, s string
		want     bool
	}{
		{"lang", "langchain", true}, {"lnag", "langchain", true}, {"langc", "lngchain", true}, {"lamg", "langchain", true}, {"lanng", "langchain", true},
		{"lngc", "langchain", true}, {"lanx", "langchain", false}, {"lagnx", "langchain", false}, {"lang", "lan", false}, {"langchainx", "langchain", false},
	} {
		if got := oneEdit(tt.start, tt.s); got != tt.want {
			t.Errorf("%q in %q: %t", tt.start, tt.s, got)
		}
	}
}

func TestRelated(t *testing.T) {
	ix, agents := shop(t)
	related := func(a *market.Agent, n int) []string {
		t.Helper()
		ids, err := ix.Related(context.Background(), tenant, a, n)
		if err != nil {
			t.Fatal(err)
		}
		return ix.namesOf(ids)
	}
	if got := related(&agents[3], 4); len(got) == 0 || got[0] != "mcp-server-postgres" || slices.Contains(got, "postgres-mcp-server") {
		t.Errorf("related to postgres-mcp-server: %q", got)
	}
	if got := related(&agents[0], 1); !slices.Equal(got, []string{"my-langchain-tools"}) && !slices.Equal(got, []string{"LangGraph"}) {
		t.Errorf("related to langchain-chroma: %q", got)
	}
	for i := range agents {
		for _, name := range related(&agents[i], MaxRelated) {
			if name == "langur-draft" || name == agents[i].Name {
				t.Errorf("%s is related to %s", agents[i].Name, name)
			}
		}
	}
}

// TestRelatedAreWellKnown: of a large category the most popular only, however the index is
// cut, and of a small one all.
func TestRelatedAreWellKnown(t *testing.T) {
	db := storetest.Open(t)
	ix := start(t, Options{Dir: t.TempDir(), DB: db, Tenants: []market.TenantID{tenant}})
	var small, large []market.Agent
	for i := range wellKnown + 60 {
		a := newAgent(fmt.Sprint("large ", i), "A tool", "large")
		a.Popularity, a.Tags = 100, []market.Tag{"same"}
		if i < 50 {
			a.Popularity, a.Tags = 0, []market.Tag{"same", "near"} // nearest to the first, and not known
		}
		if large = append(large, a); i%100 == 0 {
			b := newAgent(fmt.Sprint("small ", i+1_000), "A tool", "small")
			b.Tags = []market.Tag{"rare"}
			small = append(small, b)
		}
	}
	ix.wait(put(t, db, large[:100]...))
	ix.wait(put(t, db, append(large[100:], small...)...))
	ids, err := ix.Related(context.Background(), tenant, &large[0], MaxRelated)
	if err != nil || len(ids) != MaxRelated {
		t.Errorf("%d related to one of a large category, %v", len(ids), err)
	}
	slices.SortFunc(large, func(a, b market.Agent) int {
		return cmp.Or(cmp.Compare(b.Popularity, a.Popularity), cmp.Compare(a.ID, b.ID)) // many are equals
	})
	for _, id := range ids {
		if i := slices.IndexFunc(large, func(a market.Agent) bool { return a.ID == id }); i >= wellKnown {
			t.Errorf("number %d is led to", i)
		}
	}
	if ids, err = ix.Related(context.Background(), tenant, &small[0], MaxRelated); err != nil || len(ids) != len(small)-1 {
		t.Errorf("%d related to one of a small category, %v", len(ids), err)
	}
}

func TestHighlights(t *testing.T) {
	ix, _ := shop(t)
	for _, tt := range []struct{ query, text, want string }{
		{"chroma langchain", "langchain-chroma: Chroma for LangChain", "[langchain]-[chroma]: [Chroma] for [LangChain]"},
		{"tool", "A tool among tools", "A [tool] among [tools]"},
		{"langchan", "the langchain way", "the [langchain] way"},
		{"münchen", "Chat in München", "Chat in [München]"},
		{"post", "postgres", "[postgres]"},
		{"", "postgres", "postgres"},
	} {
		res := ix.find(Query{Text: tt.query})
		got, at := strings.Builder{}, 0
		for _, r := range res.Highlights.In(tt.text) {
			got.WriteString(tt.text[at:r.Start] + "[" + tt.text[r.Start:r.End] + "]")
			at = r.End
		}
		got.WriteString(tt.text[at:])
		if got.String() != tt.want {
			t.Errorf("%q: %s, want %s", tt.query, &got, tt.want)
		}
	}
}

// A cold index has nothing made ahead, and finds what a warm one does.
func TestStayCold(t *testing.T) {
	db := storetest.Open(t)
	lsn := put(t, db, newAgent("langchain-chroma", "Vectors at hand.", "data"), newAgent("pdf-reader", "Reads what was printed.", "data"))
	ix, err := Open(Options{Dir: t.TempDir(), DB: db})
	if err != nil {
		t.Fatal(err)
	}
	ix.StayCold()
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{ix, t, cancel, make(chan error, 1)}
	go func() { r.done <- ix.Run(ctx) }()
	defer r.stop()
	r.wait(lsn)
	v, release, err := ix.acquire()
	if err != nil {
		t.Fatal(err)
	}
	for i := range v.segs {
		if l := v.segs[i].lexicon(tenant); l.names.made || l.vocabulary.made {
			t.Error("the lexicon of a cold index is made before a search needs it")
		}
	}
	release()
	r.same()
	if got := r.names(Query{Text: "langch"}); !slices.Equal(got, []string{"langchain-chroma"}) {
		t.Errorf("a beginning finds %q", got)
	}
}
