package search

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/store/storetest"
)

// listingsEnv names, where the flag -listings doesn't, a file of listings in the format of
// testdata/agents.tsv; the figures in PERFORMANCE.md are for 30,000. -copies has each of
// them several times, under names of their own.
//
//	go test ./search -run - -bench . -benchtime 3s -listings agents.tsv
const listingsEnv = "SOUK_LISTINGS"

var copiesFlag = flag.Int("copies", 1, "how often each listing is there")

func listings(b *testing.B) []market.Agent {
	b.Helper()
	if *listingsFlag == "" {
		b.Skip("-listings is not set: it names a file of listings, id name summary version popularity source category updated, separated by tabs")
	}
	all := readAgents(b, *listingsFlag)
	slugs := map[string]bool{}
	var agents []market.Agent
	for n := range *copiesFlag {
		for _, a := range all {
			if n > 0 {
				a.ID, a.ExternalID = market.NewAgentID(time.Now()), fmt.Sprintf("%s#%d", a.ExternalID, n)
				a.Name = fmt.Sprintf("%s-%x", a.Name, n*7919)
			}
			if a.Slug = market.Slug(a.Name); a.Slug == "" || slugs[a.Slug] {
				a.Slug = string(a.ID[4:])
			}
			slugs[a.Slug] = true
			agents = append(agents, a)
		}
	}
	return agents
}

// filled is an index of all listings, merged as after a rebuild.
func filled(b *testing.B) (*running, []market.Agent) {
	b.Helper()
	agents := listings(b)
	db := storetest.OpenWith(b, store.Options{Dir: b.TempDir()})
	lsn := put(b, db, agents...)
	ix := start(b, Options{Dir: b.TempDir(), DB: db})
	ix.wait(lsn)
	ix.warm()
	return ix, agents
}

// BenchmarkBuild builds the index anew from the store's records, and says how large it is.
//
//	go test ./search -run '^$' -bench 'Build$' -benchtime 5x -listings agents.tsv
func BenchmarkBuild(b *testing.B) {
	ix, agents := filled(b)
	ix.cancel()
	ix.cancel = nil
	if err := <-ix.done; err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := ix.rebuild(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(agents))*float64(b.N)/b.Elapsed().Seconds(), "docs/s")
	b.ReportMetric(float64(dirSize(b, generationDir(ix.dir, ix.gen.number)))/1e6, "MB")
	if err := ix.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkFollow commits one listing after the other and waits until each is found.
func BenchmarkFollow(b *testing.B) {
	ix, agents := filled(b)
	i := 0
	took := &sample{}
	for b.Loop() {
		a := agents[i%len(agents)]
		i++
		a.Popularity++
		lsn := put(b, ix.db, a)
		began := time.Now()
		ix.wait(lsn)
		took.add(time.Since(began))
	}
	took.report(b)
}

// BenchmarkImport puts 2,000 listings in batches of 50 and waits until they are found.
func BenchmarkImport(b *testing.B) {
	ix, agents := filled(b)
	for b.Loop() {
		ix.wait(put(b, ix.db, agents[:2_000]...))
	}
	b.ReportMetric(2_000*float64(b.N)/b.Elapsed().Seconds(), "docs/s")
}

// BenchmarkSearch measures kinds of queries, each made of words of random listings, with
// a page of 20 and category counts.
func BenchmarkSearch(b *testing.B) {
	ix, agents := filled(b)
	rng := rand.New(rand.NewPCG(1, 2))
	all := func(q Query) Query { q.Facets = true; return q }
	for _, state := range []string{"merged", "updated"} {
		if state == "updated" { // a tenth of all listings written again: segments and deletions
			ix.wait(put(b, ix.db, agents[:len(agents)/10]...))
		}
		for _, kind := range []struct {
			name  string
			query func() Query
		}{
			{"1 word", func() Query { return Query{Text: someWords(rng, agents, 1)} }},
			{"2 words", func() Query { return Query{Text: someWords(rng, agents, 2)} }},
			{"1 word and facets", func() Query { return all(Query{Text: someWords(rng, agents, 1)}) }},
			{"2 words and facets", func() Query { return all(Query{Text: someWords(rng, agents, 2)}) }},
			{"broad and facets", func() Query { return all(Query{Text: "mcp server", Filters: Filters{Price: []PriceBand{PriceFree}}}) }},
			{"browse and facets", func() Query { return all(Query{Sort: ByDate}) }},
			{"last page", func() Query { return Query{Offset: len(agents) - 20} }},
			{"4 words", func() Query { return Query{Text: someWords(rng, agents, 4)} }},
			{"prefix", func() Query { w := someWords(rng, agents, 1); return Query{Text: w[:max(2, len(w)*2/3)]} }},
			{"typo", func() Query { return Query{Text: typo(rng, someWords(rng, agents, 1))} }},
			{"typo and word", func() Query { return Query{Text: typo(rng, someWords(rng, agents, 1)) + " mcp"} }},
			{"broad", func() Query { return Query{Text: "mcp server"} }},
			{"category", func() Query { return Query{Text: someWords(rng, agents, 1), Filters: in("mcp-server")} }},
			{"browse", func() Query { return Query{} }},
			{"browse category", func() Query { return Query{Filters: in("coding")} }},
			{"nothing", func() Query { return Query{Text: someWords(rng, agents, 2) + " " + someWords(rng, agents, 2)} }},
			{"hostile", func() Query { return Query{Text: hostile[len(hostile)-6]} }},
		} {
			b.Run(state+"/"+kind.name, func(b *testing.B) { measure(b, ix, kind.query) })
		}
	}
}

func measure(b *testing.B, ix *running, query func() Query) {
	queries := make([]Query, 2_000)
	for i := range queries {
		queries[i] = query()
		queries[i].Tenant = tenant
	}
	took := &sample{}
	found := 0
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		began := time.Now()
		res, err := ix.Search(context.Background(), queries[i%len(queries)])
		took.add(time.Since(began))
		if err != nil {
			b.Fatal(err)
		}
		if res.Total > 0 {
			found++
		}
	}
	took.report(b)
	b.ReportMetric(100*float64(found)/float64(len(took.all)), "found-%")
}

// BenchmarkSuggest types beginnings of words of names, 1 to 8 characters, some misspelt.
func BenchmarkSuggest(b *testing.B) {
	ix, agents := filled(b)
	rng := rand.New(rand.NewPCG(1, 2))
	beginning := func() string {
		for {
			a := agents[rng.IntN(len(agents))]
			if c := chunksOf(a.Name); len(c) > 0 {
				i := rng.IntN(len(c))
				return cut(a.Name[c[i].start:], 1+rng.IntN(8))
			}
		}
	}
	for _, kind := range []struct {
		name string
		text func() string
	}{
		{"beginning", beginning},
		{"one letter", func() string { return cut(beginning(), 1) }},
		{"typo", func() string {
			for {
				if t := beginning(); len(t) >= 5 {
					return typo(rng, t)
				}
			}
		}},
	} {
		b.Run(kind.name, func(b *testing.B) {
			texts := make([]string, 2_000)
			for i := range texts {
				texts[i] = kind.text()
			}
			took := &sample{}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				began := time.Now()
				_, err := ix.Suggest(context.Background(), SuggestQuery{Tenant: tenant, Text: texts[i%len(texts)]})
				took.add(time.Since(began))
				if err != nil {
					b.Fatal(err)
				}
			}
			took.report(b)
		})
	}
}

func BenchmarkRelated(b *testing.B) {
	ix, agents := filled(b)
	took := &sample{}
	for i := 0; b.Loop(); i++ {
		began := time.Now()
		_, err := ix.Related(context.Background(), tenant, &agents[i*7919%len(agents)], 8)
		took.add(time.Since(began))
		if err != nil {
			b.Fatal(err)
		}
	}
	took.report(b)
}

// BenchmarkOpen opens the index and answers a first search; closing it isn't counted.
//
//	go test ./search -run '^$' -bench 'Open$' -benchtime 20x -listings agents.tsv
func BenchmarkOpen(b *testing.B) {
	ix, _ := filled(b)
	ix.stop()
	took := &sample{}
	for b.Loop() {
		began := time.Now()
		again, err := Open(Options{Dir: ix.dir, DB: ix.db})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := again.Search(context.Background(), Query{Tenant: tenant, Text: "mcp"}); err != nil {
			b.Fatal(err)
		}
		took.add(time.Since(began))
		if err := again.Close(); err != nil {
			b.Fatal(err)
		}
	}
	took.report(b)
}

// someWords is n words of a listing's name or summary.
func someWords(rng *rand.Rand, agents []market.Agent, n int) string {
	for {
		a := agents[rng.IntN(len(agents))]
		var words []string
		for _, c := range chunksOf(a.Name + " " + a.Summary) {
			if len(c.whole) >= 3 && !stopWords[c.whole] && !slices.Contains(words, c.whole) {
				words = append(words, c.whole)
			}
		}
		if len(words) < n {
			continue
		}
		rng.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
		return strings.Join(words[:n], " ")
	}
}

// typo drops, doubles, replaces or swaps a character of a word.
func typo(rng *rand.Rand, word string) string {
	b := []byte(word)
	i := 1 + rng.IntN(len(b)-2)
	switch rng.IntN(4) {
	case 0:
		return string(slices.Delete(b, i, i+1))
	case 1:
		return string(slices.Insert(b, i, b[i]))
	case 2:
		b[i] = 'x'
		return string(b)
	}
	b[i], b[i+1] = b[i+1], b[i]
	return string(b)
}

type sample struct{ all []time.Duration }

func (s *sample) add(d time.Duration) { s.all = append(s.all, d) }

func (s *sample) report(b *testing.B) {
	slices.Sort(s.all)
	for _, p := range []float64{50, 99} {
		at := min(int(float64(len(s.all))*p/100), len(s.all)-1)
		b.ReportMetric(float64(s.all[at].Nanoseconds())/1e3, fmt.Sprintf("p%.0f-µs", p))
	}
}

func dirSize(b *testing.B, dir string) (size int64) {
	b.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		b.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			b.Fatal(err)
		}
		size += info.Size()
	}
	return size
}
