package search

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/store/storetest"
)

var (
	listingsFlag = flag.String("listings", os.Getenv(listingsEnv), "file of listings for benchmarks, in the format of testdata/agents.tsv")
	seedFlag     = flag.Uint64("seed", 1, "seed of the known-item queries of BenchmarkRelevance")
	drawFlag     = flag.Int("draw", 500, "known-item queries of each kind")
	missedFlag   = flag.Bool("missed", false, "print known-item queries whose item isn't first")
)

// BenchmarkRelevance prints the mean reciprocal rank of known items by kind. Ranking was
// tuned with seed 1; the figures to report are those of other seeds.
//
//	go test ./search -run '^$' -bench Relevance -benchtime 1x -listings PATH -seed 2
func BenchmarkRelevance(b *testing.B) {
	if *listingsFlag == "" {
		b.Skip("-listings names a file of listings: id name summary version popularity source category updated, separated by tabs")
	}
	agents := readAgents(b, *listingsFlag)
	db := storetest.OpenWith(b, store.Options{Dir: b.TempDir()})
	ix := start(b, Options{Dir: b.TempDir(), DB: db})
	ix.wait(put(b, db, agents...))
	queries := drawKnown(agents, *seedFlag, *drawFlag)
	var by map[string]found
	for b.Loop() {
		by = ix.measureKnown(queries, func(k known, rank int) {
			if *missedFlag {
				fmt.Printf("%s %q: %s is at %d\n", k.kind, k.query, k.name, rank)
			}
		})
	}
	for _, kind := range knownKinds {
		b.ReportMetric(by[kind].mean(), kind+"-mrr")
	}
}
