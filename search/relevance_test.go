package search

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/store/storetest"
)

var (
	listingsFlag = flag.String("listings", os.Getenv(listingsEnv), "file of listings for benchmarks, in the format of testdata/agents.tsv")
	seedFlag     = flag.Uint64("seed", 1, "seed of the known-item queries of BenchmarkRelevance")
	drawFlag     = flag.Int("draw", 500, "known-item queries of each kind")
	writeFlag    = flag.Bool("write", false, "write testdata/known.tsv anew, 30 queries of each kind, from -seed")
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

// TestKnownItems asks the queries of testdata/known.tsv (kind, query, name) over
// testdata/listings.tsv, and then others that nobody has seen.
func TestKnownItems(t *testing.T) {
	agents := readAgents(t, filepath.Join("testdata", "listings.tsv"))
	path := filepath.Join("testdata", "known.tsv")
	if *writeFlag {
		var b bytes.Buffer
		b.WriteString("# kind, query and name of the listing that it is for, separated by tabs; see known_test.go\n")
		for _, k := range drawKnown(agents, *seedFlag, 30) {
			fmt.Fprintf(&b, "%s\t%s\t%s\n", k.kind, k.query, k.name)
		}
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	db := storetest.Open(t)
	ix := start(t, Options{Dir: t.TempDir(), DB: db})
	ix.wait(put(t, db, agents...))
	for name, queries := range map[string][]known{"known.tsv": readKnown(t, path, agents), "seed 7": drawKnown(agents, 7, 100)} {
		by := ix.measureKnown(queries, nil)
		for _, kind := range knownKinds {
			if f := by[kind]; f.n < 25 || f.mean() < goals[kind] {
				t.Errorf("%s, %s: %.3f over %d queries, want %.2f over 25 or more", name, kind, f.mean(), f.n, goals[kind])
			}
		}
	}
}

func readKnown(t *testing.T, path string, agents []market.Agent) (list []known) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]market.AgentID{}
	for _, a := range agents {
		ids[a.Name] = a.ID
	}
	for i, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		if strings.HasPrefix(line, "#") || line == "" {
			continue
		}
		f := strings.Split(line, "\t")
		if len(f) != 3 || ids[f[2]] == "" || goals[f[0]] == 0 {
			t.Fatalf("%s:%d is no kind, query and listing: %q", path, i+1, line)
		}
		list = append(list, known{f[0], f[1], ids[f[2]], f[2]})
	}
	return list
}

// TestGuessesComeLast gives what is only spelled like the query all the popularity there is.
func TestGuessesComeLast(t *testing.T) {
	db := storetest.Open(t)
	ix := start(t, Options{Dir: t.TempDir(), DB: db})
	exact := newAgent("gardener", "Waters plants", "other")
	said := newAgent("spade", "For a gardnr with a lawn", "other")
	agents := []market.Agent{exact, said}
	for range 60 {
		a := newAgent("garden", "A gardener in the gardens of a gardner", "other")
		a.Popularity = 1e9
		agents = append(agents, a)
	}
	ix.wait(put(t, db, agents...))
	for text, want := range map[string]market.AgentID{"gardener": exact.ID, "gardnr": said.ID} {
		if got := ix.find(Query{Text: text}).IDs; len(got) == 0 || got[0] != want {
			t.Errorf("%q: first of %d is another than what is written so", text, len(got))
		}
	}
	if got := ix.find(Query{Text: "gardnr"}); got.DidYouMean == "" || got.Corrected {
		t.Errorf("gardnr: did you mean %q, corrected %t; want a proposal only", got.DidYouMean, got.Corrected)
	}
}

// TestLanguages searches listings in several languages with other forms of their words.
func TestLanguages(t *testing.T) {
	db := storetest.Open(t)
	ix := start(t, Options{Dir: t.TempDir(), DB: db})
	for want, c := range map[string]struct{ summary, query string }{
		"rechnung":  {"Prüft die Rechnungen von Lieferanten und schreibt Mahnungen für das Büro", "rechnung mahnung buro"},
		"facture":   {"Analyse les factures des clients pour votre entreprise", "analyser facture"},
		"factura":   {"Revisa los contratos y las facturas de tus clientes", "revisar contrato"},
		"invoice":   {"Checks invoices and writes reminders", "checking reminder"},
		"zhongwen":  {"中文智能体搜索引擎服务器", "智能体 搜索"},
		"hangul":    {"한국어 문서 검색 서비스", "문서 검색"},
		"svyaz":     {"Проверяет договоры и счета для компаний", "проверять договор"},
		"schlussel": {"Verwaltet die Schlüssel und Straßen der Stadt", "schluessel strasse"},
	} {
		a := newAgent(want, c.summary, "other")
		ix.wait(put(t, db, a))
		if got := ix.names(Query{Text: c.query}); len(got) != 1 || got[0] != want {
			t.Errorf("%q finds %q, want %s", c.query, got, want)
		}
	}
}

func TestSynonyms(t *testing.T) {
	s, err := ReadSynonyms(strings.NewReader("# mine\nheron, grey heron bird\nk9 => dog\n"))
	if err != nil {
		t.Fatal(err)
	}
	db := storetest.Open(t)
	ix := start(t, Options{Dir: t.TempDir(), DB: db, Synonyms: s})
	ix.wait(put(t, db, newAgent("one", "A heron", "other"), newAgent("two", "Some grey heron, a bird", "other"),
		newAgent("three", "A dog", "other"), newAgent("four", "k9", "other")))
	for text, want := range map[string]int{"heron": 2, "grey heron bird": 2, "k9": 2, "dog": 1} {
		if got := ix.find(Query{Text: text}).Total; got != want {
			t.Errorf("%q finds %d, want %d", text, got, want)
		}
	}
	for _, bad := range []string{"alone", "a, ?!", "a =>", strings.Repeat("x", 2_000)} {
		if _, err := ReadSynonyms(strings.NewReader(bad)); !market.Is(err, market.Invalid) {
			t.Errorf("%.20q: %v, want invalid", bad, err)
		}
	}
	if DefaultSynonyms() == nil {
		t.Error("no synonyms come with souk")
	}
}
