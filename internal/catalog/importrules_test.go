package catalog_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/souk-market/souk/internal/catalog"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/store/storetest"
)

// cells are the columns of a good row.
var cells = map[string]string{
	"id": "pypi:agent", "name": "Agent", "summary": "What it does.", "version": "1.0", "popularity": "7", "source": "pypi", "category": "mcp-server", "updated": "2026-08",
}

var columns = strings.Fields(header)

// with is a row with some other cells.
func with(changes map[string]string) string {
	row := maps.Clone(cells)
	maps.Copy(row, changes)
	values := make([]string, len(columns))
	for i, c := range columns {
		values[i] = row[c]
	}
	return strings.Join(values, "\t") + "\n"
}

// tryImport imports a whole file, header and all, and returns what it says of bad rows.
func tryImport(c *catalog.Catalog, file string) (rep catalog.ImportReport, bad []string, err error) {
	rep, err = c.Import(context.Background(), strings.NewReader(file), catalog.ImportOptions{
		BadRow: func(at catalog.Place, err error) {
			bad = append(bad, fmt.Sprintf("%d: %s", at.Line, market.Message(err)))
		},
	})
	return rep, bad, err
}

// TestImportRules breaks each rule at its bound, and keeps it there.
func TestImportRules(t *testing.T) {
	for _, c := range []struct {
		name    string
		changes map[string]string
		want    string // "" for a row that goes in
	}{
		{"as it is", nil, ""},
		{"no id", map[string]string{"id": ""}, "The id must have 1 to 200 bytes."},
		{"an id of nothing to see", map[string]string{"id": " \u200b "}, "The id must have 1 to 200 bytes."},
		{"the longest id", map[string]string{"id": strings.Repeat("x", 200)}, ""},
		{"a longer id", map[string]string{"id": strings.Repeat("x", 201)}, "The id must have 1 to 200 bytes."},
		{"no name", map[string]string{"name": ""}, "The name must have 1 to 200 bytes."},
		{"the longest name", map[string]string{"name": strings.Repeat("x", 200)}, ""},
		{"a longer name", map[string]string{"name": strings.Repeat("é", 101)}, "The name must have 1 to 200 bytes."},
		{"no summary", map[string]string{"summary": ""}, ""},
		{"the longest summary", map[string]string{"summary": strings.Repeat("x", 1000)}, ""},
		{"a longer summary", map[string]string{"summary": strings.Repeat("x", 1001)}, "The summary is longer than 1000 bytes."},
		{"no version", map[string]string{"version": ""}, ""},
		{"the longest version", map[string]string{"version": strings.Repeat("1", 64)}, ""},
		{"a longer version", map[string]string{"version": strings.Repeat("1", 65)}, "The version is longer than 64 bytes."},
		{"no source", map[string]string{"source": ""}, `The source "" must be`},
		{"a source in capitals", map[string]string{"source": "PyPI"}, `The source "PyPI" must be`},
		{"the longest source", map[string]string{"source": strings.Repeat("s", 32)}, ""},
		{"a longer source", map[string]string{"source": strings.Repeat("s", 33)}, `The source "sss`},
		{"no category", map[string]string{"category": ""}, `The category "" must be`},
		{"a category that is a path", map[string]string{"category": "../admin"}, `The category "../admin" must be`},
		{"a category with hyphens at its ends", map[string]string{"category": "-x-"}, `The category "-x-" must be`},
		{"a category that only looks good", map[string]string{"category": "tооl"}, `The category "tооl" must be`}, // Cyrillic
		{"the longest category", map[string]string{"category": strings.Repeat("c", 40)}, ""},
		{"a longer category", map[string]string{"category": strings.Repeat("c", 41)}, `The category "ccc`},
		{"no popularity", map[string]string{"popularity": ""}, `The popularity "" is no whole number from 0.`},
		{"none at all", map[string]string{"popularity": "0"}, ""},
		{"the most popular", map[string]string{"popularity": "9223372036854775807"}, ""},
		{"more popular than that", map[string]string{"popularity": "9223372036854775808"}, `The popularity "9223372036854775808" is no whole number`},
		{"unpopular", map[string]string{"popularity": "-1"}, `The popularity "-1" is no whole number`},
		{"a part of popularity", map[string]string{"popularity": "1.5"}, `The popularity "1.5" is no whole number`},
		{"popularity in words", map[string]string{"popularity": "NaN"}, `The popularity "NaN" is no whole number`},
		{"no date", map[string]string{"updated": ""}, ""},
		{"a day", map[string]string{"updated": "2026-08-31"}, ""},
		{"a moment", map[string]string{"updated": "2026-08-31T12:00:00+02:00"}, ""},
		{"no such day", map[string]string{"updated": "2026-02-30"}, `The date "2026-02-30" is not`},
		{"a date for Americans", map[string]string{"updated": "08/31/2026"}, `The date "08/31/2026" is not`},
		{"the first date", map[string]string{"updated": "1970-01"}, ""},
		{"before that", map[string]string{"updated": "1969-12"}, `The date "1969-12" is not`},
		{"year 0", map[string]string{"updated": "0000-01"}, `The date "0000-01" is not`},
		{"year 10000, elsewhere still 9999", map[string]string{"updated": "9999-12-31T23:59:59-23:00"}, `The date "9999-12-31T23:59:59-23:00" is not`},
		{"invalid UTF-8", map[string]string{"name": "a\xffb"}, "The row isn't valid UTF-8."},
		{"half a character", map[string]string{"summary": "\xc3"}, "The row isn't valid UTF-8."},
		{"a column more", map[string]string{"summary": "a\tb"}, "The row has 9 columns instead of 8."},
		{"HTML", map[string]string{"name": "<script>alert(1)</script>"}, ""},
		{"a NUL", map[string]string{"name": "a\x00b"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			shelf := shelf(t)
			rep, bad, err := tryImport(shelf, header+with(c.changes)+with(map[string]string{"id": "pypi:next", "name": "Next"}))
			if err != nil {
				t.Fatal(err)
			}
			agent(t, shelf, "next") // the rest goes in
			switch {
			case c.want == "" && (rep.Added != 2 || len(bad) != 0):
				t.Errorf("%+v, %q; want it in", rep, bad)
			case c.want != "" && (rep.Added != 1 || rep.Refused != 1 || len(bad) != 1 || !strings.HasPrefix(bad[0], "2: "+c.want)):
				t.Errorf("%+v, %q; want 2: %s", rep, bad, c.want)
			}
		})
	}
}

func TestImportHeader(t *testing.T) {
	for name, c := range map[string]struct{ head, want string }{
		"empty file":            {"", "The file is empty."},
		"a line's end":          {"\n", "The file is empty."},
		"one is missing":        {strings.Replace(header, "\tcategory", "", 1), `"category" is missing`},
		"only what is needed":   {"id\tname\tcategory\n", ""},
		"commas":                {strings.ReplaceAll(header, "\t", ","), ""},
		"semicolons":            {strings.ReplaceAll(header, "\t", ";"), ""},
		"spaces for tabs":       {strings.ReplaceAll(header, "\t", " "), `"id" is missing`},
		"UTF-16":                {"\xff\xfei\x00d\x00", "in UTF-16"},
		"UTF-16 without a mark": {strings.Join(strings.Split(header, ""), "\x00") + "\x00", "not text in UTF-8"},
		"a spreadsheet":         {"PK\x03\x04xl/workbook.xml", "a ZIP archive or a spreadsheet"},
		"gzip":                  {"\x1f\x8b\x08", "compressed with gzip"},
		"one is twice":          {strings.Replace(header, "summary", "name", 1), `"name" twice`},
		"one more is twice":     {strings.TrimSuffix(header, "\n") + "\tx\tx\n", `"x" twice`},
		"capitals":              {strings.ToUpper(header), `"id" is missing`},
		"longer than any row":   {strings.Repeat("x", 1<<17) + "\n", "longer than"},
		"without an end":        {strings.TrimSuffix(header, "\n"), ""},
		"another order":         {"updated\tcategory\tsource\tpopularity\tversion\tsummary\tname\tid\n", ""},
		"one more":              {strings.TrimSuffix(header, "\n") + "\tlicense\n", ""},
		"a mark of byte order":  {"\ufeff" + header, ""},
		"CRLF":                  {strings.TrimSuffix(header, "\n") + "\r\n", ""},
		"spaces":                {strings.ReplaceAll(header, "\t", " \t "), ""},
	} {
		t.Run(name, func(t *testing.T) {
			shelf := shelf(t)
			rep, bad, err := tryImport(shelf, c.head)
			if c.want == "" {
				if err != nil || rep.Rows() != 0 || len(bad) != 0 {
					t.Errorf("%+v, %q, %v", rep, bad, err)
				}
				return
			}
			if !market.Is(err, market.Invalid) || !strings.Contains(market.Message(err), c.want) || shelf.Store.LastLSN() != 0 {
				t.Errorf("%v after %d commits, want %s and none", err, shelf.Store.LastLSN(), c.want)
			}
		})
	}
}

// TestImportReadsFilesOfAllSystems: the same listings, however lines end, with blank
// lines between, and without an end of the last.
func TestImportReadsFilesOfAllSystems(t *testing.T) {
	good := header + with(nil) + with(map[string]string{"id": "pypi:b", "name": "Bee", "updated": ""})
	for name, file := range map[string]string{
		"as it is":          good,
		"CRLF":              strings.ReplaceAll(good, "\n", "\r\n"),
		"no last end":       strings.TrimSuffix(good, "\n"),
		"blank lines":       strings.ReplaceAll(good, "\n", "\n\n \t \n"),
		"mark and CRLF":     "\ufeff" + strings.ReplaceAll(good, "\n", "\r\n"),
		"spaces in cells":   strings.ReplaceAll(good, "\t", "\t  "),
		"another order":     reorder(good),
		"one byte by one":   good,
		"a row longer than": good + strings.Repeat("x", 200_000), // and then the end
	} {
		t.Run(name, func(t *testing.T) {
			shelf := shelf(t)
			var r io.Reader = strings.NewReader(file)
			if name == "one byte by one" {
				r = oneByte{r}
			}
			rep, err := shelf.Import(context.Background(), r, catalog.ImportOptions{})
			if err != nil || rep.Added != 2 {
				t.Fatalf("%+v, %v", rep, err)
			}
			if a := agent(t, shelf, "agent"); a.Summary != "What it does." || a.Updated.IsZero() || a.Category != "mcp-server" {
				t.Errorf("%+v", a.Agent)
			}
			if b := agent(t, shelf, "bee"); !b.Updated.IsZero() {
				t.Errorf("%+v", b.Agent)
			}
		})
	}
}

func reorder(file string) string {
	var out strings.Builder
	for l := range strings.Lines(file) {
		values := strings.Split(strings.TrimSuffix(l, "\n"), "\t")
		slices.Reverse(values)
		out.WriteString(strings.Join(values, "\t") + "\n")
	}
	return out.String()
}

type oneByte struct{ io.Reader }

func (r oneByte) Read(b []byte) (int, error) { return r.Reader.Read(b[:min(1, len(b))]) }

func TestSecondImportWritesNoCommit(t *testing.T) {
	shelf := shelf(t)
	file := lines(300) + with(map[string]string{"id": "npm:x", "source": "npm", "updated": ""}) + with(map[string]string{"id": "npm:x", "name": "Repeated"}) + "bad\n"
	imported(t, shelf, file)
	lsn := shelf.Store.LastLSN()
	for range 2 {
		if rep := imported(t, shelf, file); rep.Unchanged != 301 || rep.Refused != 2 || rep.Rows() != 303 {
			t.Errorf("again: %+v", rep)
		}
		if got := shelf.Store.LastLSN(); got != lsn {
			t.Errorf("importing the same again made %d commits", got-lsn)
		}
	}
}

// TestImportLeavesWhatIsNotItsOwn: an update keeps what was decided here.
func TestImportLeavesWhatIsNotItsOwn(t *testing.T) {
	shelf := shelf(t)
	imported(t, shelf, with(nil))
	before := agent(t, shelf, "agent").Agent
	_, err := shelf.Store.Update(context.Background(), shelf.Tenant, store.Op{}, func(tx *store.Tx) error {
		a, err := store.Agents.Load(tx, before.ID)
		if err != nil {
			return err
		}
		a.Offer.Price, a.State = market.Money{Amount: 1234, Currency: "USD"}, market.ListingSuspended
		return store.Agents.Put(tx, &a)
	})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{
		"name": "Renamed", "summary": "Other.", "version": "2", "popularity": "8", "source": "npm", "category": "other", "updated": "2026-09",
	}
	if rep := imported(t, shelf, with(all)); rep.Updated != 1 {
		t.Fatalf("%+v", rep)
	}
	var got market.Agent
	err = shelf.Store.View(context.Background(), shelf.Tenant, func(tx *store.ReadTx) (err error) {
		got, err = store.AgentBySlug.Load(tx, "agent") // the slug is as it was
		return err
	})
	if err != nil || got.ID != before.ID || got.Offer.Price.Amount != 1234 || got.State != market.ListingSuspended || !got.Created.Equal(before.Created) || got.Seller != before.Seller {
		t.Errorf("%+v, %v", got, err)
	}
	if got.Name != "Renamed" || got.Summary != "Other." || got.Release.Version != "2" || got.Popularity != 8 || got.Source != "npm" || got.Category != "other" || got.Updated.Month() != 9 {
		t.Errorf("not all was updated: %+v", got)
	}
}

// TestImportOfTheLargestRows fills transactions: every row is as large as a row may be,
// and in the second import each moves to a category of its own.
func TestImportOfTheLargestRows(t *testing.T) {
	shelf := shelf(t)
	file := func(category string) string {
		var b strings.Builder
		for i := range 400 {
			n := fmt.Sprintf("%04d", i)
			b.WriteString(with(map[string]string{
				"id": strings.Repeat("i", 196) + n, "name": strings.Repeat("n", 196) + n, "summary": strings.Repeat("s", 1000), "version": strings.Repeat("v", 64),
				"source": strings.Repeat("s", 32), "category": category + strings.Repeat("c", 30) + n, "popularity": category[1:] + n,
			}))
		}
		return b.String()
	}
	for _, category := range []string{"a1", "b2", "c3"} {
		if rep := imported(t, shelf, file(category)); rep.Added+rep.Updated != 400 {
			t.Errorf("%s: %+v", category, rep)
		}
	}
}

// TestImportOfOneNameForAll: slugs are found without trying all that are taken.
func TestImportOfOneNameForAll(t *testing.T) {
	shelf := shelf(t)
	var b strings.Builder
	const n = 2_000
	for i := range n {
		b.WriteString(with(map[string]string{"id": fmt.Sprint("pypi:", i), "name": strings.Repeat("Same name! ", 18)}))
	}
	if rep := imported(t, shelf, b.String()); rep.Added != n {
		t.Errorf("%+v", rep)
	}
	err := shelf.Store.View(context.Background(), shelf.Tenant, func(tx *store.ReadTx) error {
		for a, err := range store.Agents.All(tx, "") {
			if err != nil {
				return err
			}
			if a.Slug != market.Slug(a.Slug) || len(a.Slug) > market.MaxSlug {
				t.Errorf("the slug %q", a.Slug)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestImportKeepsSourcesApart(t *testing.T) {
	shelf := shelf(t)
	row := func(id, source string) string {
		return with(map[string]string{"id": id, "source": source, "name": "Same"})
	}
	imported(t, shelf, row("pypi:same", "pypi")+row("npm:same", "npm")+row("npm:same2", "npm")+row("pypi:same2", "pypi"))
	for slug, id := range map[string]string{"same": "pypi:same", "same-npm": "npm:same", "same-2": "npm:same2", "same-pypi": "pypi:same2"} {
		if got := agent(t, shelf, slug).ExternalID; got != id {
			t.Errorf("%s is %s, want %s", slug, got, id)
		}
	}
}

func TestParsePriceRule(t *testing.T) {
	usd := func(n int64) market.Money { return market.Money{Amount: n, Currency: "USD"} }
	for in, want := range map[string]catalog.PriceRule{
		"free": {}, " FREE ": {}, "9.00 USD": {Price: usd(900), Every: 1}, "9 usd every 10": {Price: usd(900), Every: 10}, "0 USD": {Price: usd(0), Every: 1},
		"9.00 USD every 1": {Price: usd(900), Every: 1}, "500 JPY every  3 ": {Price: market.Money{Amount: 500, Currency: "JPY"}, Every: 3},
	} {
		got, err := catalog.ParsePriceRule(in)
		if err != nil || got != want {
			t.Errorf("%q is %+v, %v; want %+v", in, got, err, want)
		}
		if again, err := catalog.ParsePriceRule(got.String()); err != nil || again.String() != got.String() {
			t.Errorf("%q is written %q, and that is %+v, %v", in, got, again, err)
		}
	}
	for _, in := range []string{
		"", "every 10", "9.00", "USD", "-1 USD", "9.00 USD every", "9.00 USD every 0", "9.00 USD every -1", "9.00 USD every 1.5", "9.00 USD every ten",
		"9.00 USD each 10", "free every 10", "9.00 XXX", "9.001 USD", "every", "9.00 USD every 99999999999999999999",
	} {
		if got, err := catalog.ParsePriceRule(in); !market.Is(err, market.Invalid) || !strings.Contains(market.Message(err), "no price rule") {
			t.Errorf("%q is %+v, %v", in, got, err)
		}
	}
}

func TestPriceRulePricesEveryNth(t *testing.T) {
	shelf := shelf(t)
	// Refused rows count, so that a file mended later has the same prices.
	file := header + strings.Repeat("bad\n", 4) + lines(16)
	rule := catalog.PriceRule{Price: market.Money{Amount: 500, Currency: "USD"}, Every: 5}
	if _, err := shelf.Import(context.Background(), strings.NewReader(file), catalog.ImportOptions{Price: rule}); err != nil {
		t.Fatal(err)
	}
	for i := range 16 {
		a := agent(t, shelf, fmt.Sprintf("agent-%04d", i))
		paid := (i+5)%5 == 0
		if (a.Offer.Price.Amount == 500) != paid || a.Offer.License != paid || a.Offer.Price.Currency != "USD" {
			t.Errorf("row %d costs %v, with a license: %t", i, a.Offer.Price, a.Offer.License)
		}
	}
}

// endless is a file without end: a header and bad rows.
type endless struct {
	head   io.Reader
	cancel context.CancelFunc
	read   int
}

func (r *endless) Read(b []byte) (int, error) {
	if n, err := r.head.Read(b); err == nil {
		return n, nil
	}
	if r.read += len(b); r.read > 1<<20 {
		r.cancel()
	}
	return copy(b, bytes.Repeat([]byte("x\n"), len(b)/2)), nil
}

func TestImportOfBadRowsOnlyCanBeCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	rep, err := shelf(t).Import(ctx, &endless{head: strings.NewReader(header), cancel: cancel}, catalog.ImportOptions{})
	if !errors.Is(err, context.Canceled) || rep.Refused == 0 {
		t.Errorf("%+v, %v", rep, err)
	}
}

var longRun = flag.Bool("long", false, "also run what takes a minute")

// generated is a file of n rows that is made while it is read.
type generated struct {
	n, next int
	rest    bytes.Buffer
	at      func(row int) // called every 5,000 rows
}

func (r *generated) Read(b []byte) (int, error) {
	for r.rest.Len() < len(b) && r.next < r.n {
		if r.next%5_000 == 0 {
			r.at(r.next)
		}
		fmt.Fprintf(&r.rest, "pypi:agent-%08d\tAgent %08d\tWhat it does.\t1.0\t%d\tpypi\tmcp-server\t2026-08\n", r.next, r.next, r.next%1000)
		r.next++
	}
	return r.rest.Read(b)
}

// TestImportKeepsMemoryFlat imports a stream that is never in memory as a whole, a third
// time: the store has nothing to write then, its cache is full, and it holds the blocks that
// every read needs (with a smaller cache each transaction under way reads filters of
// megabytes anew). It is on disk: files of a database in memory would be on the heap, and
// change with every compaction. What grows is the set of IDs met, by less than 64 bytes a row.
func TestImportKeepsMemoryFlat(t *testing.T) {
	rows := 20_000
	if *longRun {
		rows = 200_000
	}
	shelf := &catalog.Catalog{Tenant: market.MainTenant, Store: storetest.OpenWith(t, store.Options{Dir: t.TempDir(), CacheSize: 32 << 20})}
	run := func(at func(row int)) catalog.ImportReport {
		t.Helper()
		file := io.MultiReader(strings.NewReader(header), &generated{n: rows, at: at})
		rep, err := shelf.Import(context.Background(), file, catalog.ImportOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return rep
	}
	if rep := run(func(int) {}); rep.Added != rows {
		t.Fatalf("%+v", rep)
	}
	run(func(int) {})
	var first, most uint64
	rep := run(func(row int) {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		switch {
		case row == 5_000: // what doesn't grow is there
			first = m.HeapAlloc
		case row > 5_000:
			most = max(most, m.HeapAlloc)
		}
	})
	if rep.Unchanged != rows {
		t.Errorf("%+v", rep)
	}
	grown := int64(most) - int64(first)
	t.Logf("%d rows: the heap is %d KB after 5,000 and %d KB more at most", rows, first>>10, grown>>10)
	if limit := int64(rows)*64 + 4<<20; grown > limit {
		t.Errorf("the heap has grown by %d KB, want %d at most", grown>>10, limit>>10)
	}
}
