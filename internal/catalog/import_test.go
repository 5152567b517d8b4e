package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/souk-market/souk/internal/catalog"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/store/storetest"
)

const header = "id\tname\tsummary\tversion\tpopularity\tsource\tcategory\tupdated\n"

// line is a row of an import.
func line(id, name string) string {
	return strings.Join([]string{id, name, "What it does.", "1.0", "7", "pypi", "mcp-server", "2026-08"}, "\t") + "\n"
}

// lines are n rows, far more than share a transaction.
func lines(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(line(fmt.Sprintf("pypi:agent-%04d", i), fmt.Sprintf("Agent %04d", i)))
	}
	return b.String()
}

func imported(t *testing.T, c *catalog.Catalog, text string) catalog.ImportReport {
	t.Helper()
	rep, err := c.Import(context.Background(), strings.NewReader(header+text), catalog.ImportOptions{Price: catalog.DefaultPriceRule})
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

func shelf(t *testing.T) *catalog.Catalog {
	return &catalog.Catalog{Store: storetest.Open(t), Tenant: market.MainTenant}
}

func agent(t *testing.T, c *catalog.Catalog, slug string) catalog.Listing {
	t.Helper()
	l, err := c.Agent(context.Background(), slug)
	if err != nil {
		t.Fatalf("%s: %v", slug, err)
	}
	return l
}

func TestImportTwiceChangesNothing(t *testing.T) {
	c := shelf(t)
	if got, want := imported(t, c, lines(1000)), (catalog.ImportReport{Added: 1000}); got != want {
		t.Errorf("first: %+v, want %+v", got, want)
	}
	before := agent(t, c, "agent-0500")
	if got, want := imported(t, c, lines(1000)), (catalog.ImportReport{Unchanged: 1000}); got != want {
		t.Errorf("again: %+v, want %+v", got, want)
	}
	if diff := cmp.Diff(before, agent(t, c, "agent-0500")); diff != "" {
		t.Error(diff)
	}
	home, err := c.Home(context.Background(), 1)
	if err != nil || home.Total != 1000 {
		t.Errorf("%d on the shelf, %v", home.Total, err)
	}
}

func TestImportUpdatesWhatDiffers(t *testing.T) {
	c := shelf(t)
	imported(t, c, lines(10))
	before := agent(t, c, "agent-0009")
	if before.Offer.Price.Amount != 900 || !before.Offer.License {
		t.Errorf("the tenth costs %v", before.Offer.Price)
	}
	changed := strings.Replace(line("pypi:agent-0009", "Agent Nine"), "1.0", "2.0", 1)
	if got, want := imported(t, c, changed), (catalog.ImportReport{Updated: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	after := agent(t, c, "agent-0009")
	if after.Name != "Agent Nine" || after.Release.Version != "2.0" || after.Release.ID == before.Release.ID || after.Release.File == before.Release.File {
		t.Errorf("%+v", after)
	}
	if after.ID != before.ID || after.Offer.ID != before.Offer.ID || after.Offer.Price != before.Offer.Price {
		t.Errorf("the offer was %+v and is %+v", before.Offer, after.Offer)
	}
}

func TestImportNamesBadRowsByLine(t *testing.T) {
	c := shelf(t)
	text := line("pypi:a", "Good") +
		"too\tfew\n" +
		line("pypi:b", "") +
		"\n" +
		strings.Replace(line("pypi:c", "Bad date"), "2026-08", "soon", 1) +
		line("pypi:a", "Repeated") +
		line("pypi:d", strings.Repeat("long ", 20_000)) +
		line("pypi:e", "Good too")
	bad := map[int]string{}
	rep, err := c.Import(context.Background(), strings.NewReader(header+text), catalog.ImportOptions{
		BadRow: func(at catalog.Place, err error) { bad[at.Line] = market.Message(err) },
	})
	if want := (catalog.ImportReport{Added: 2, Refused: 5}); err != nil || rep != want {
		t.Errorf("%+v, %v, want %+v", rep, err, want)
	}
	want := map[int]string{
		3: "The row has 2 columns instead of 8.",
		4: "The name must have 1 to 200 bytes.",
		6: `The date "soon" is not of the form 2026-08 or 2026-08-31.`,
		7: `The id "pypi:a" is on line 2 already.`,
		8: "The row is longer than 65536 bytes.",
	}
	if diff := cmp.Diff(want, bad); diff != "" {
		t.Error(diff)
	}
}

func TestImportWithoutAHeaderWritesNothing(t *testing.T) {
	c := shelf(t)
	_, err := c.Import(context.Background(), strings.NewReader(lines(2)), catalog.ImportOptions{})
	if !market.Is(err, market.Invalid) || c.Store.LastLSN() != 0 {
		t.Errorf("%v, %d commits", err, c.Store.LastLSN())
	}
}

func TestImportGivesEverybodyASlug(t *testing.T) {
	c := shelf(t)
	imported(t, c, line("pypi:1", "Same name")+line("pypi:2", "Same name")+line("pypi:3", "Same name")+line("npm:日本", "日本"))
	for slug, id := range map[string]string{"same-name": "pypi:1", "same-name-pypi": "pypi:2", "same-name-2": "pypi:3", "npm": "npm:日本"} {
		if got := agent(t, c, slug).ExternalID; got != id {
			t.Errorf("%s is %s, want %s", slug, got, id)
		}
	}
}

// TestImportKeepsTheOrderOfTheFile: of rows with one name the first in the file gets the
// plain slug, also when transactions are under way side by side and some run twice.
func TestImportKeepsTheOrderOfTheFile(t *testing.T) {
	c := &catalog.Catalog{Tenant: market.MainTenant, Store: storetest.OpenWith(t, store.Options{Faults: store.NewFaults(1)})}
	var text strings.Builder
	for i := range 2_000 {
		text.WriteString(line(fmt.Sprintf("pypi:%04d", i), fmt.Sprintf("Agent %03d", i%1000)))
	}
	if got, want := imported(t, c, text.String()), (catalog.ImportReport{Added: 2_000}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	for i := range 1000 {
		slug := fmt.Sprintf("agent-%03d", i)
		if got, want := agent(t, c, slug).ExternalID, fmt.Sprintf("pypi:%04d", i); got != want {
			t.Errorf("%s is %s, want %s", slug, got, want)
		}
	}
}

func TestImportThatEndsEarlyCountsWhatIsStored(t *testing.T) {
	broken := errors.New("the pipe broke")
	for name, interrupt := range map[string]func(c *catalog.Catalog) (catalog.ImportReport, error){
		"the reader fails": func(c *catalog.Catalog) (catalog.ImportReport, error) {
			r := iotest.TimeoutReader(strings.NewReader(header + lines(5000)))
			return c.Import(context.Background(), r, catalog.ImportOptions{})
		},
		"the caller gives up": func(c *catalog.Catalog) (catalog.ImportReport, error) {
			ctx, cancel := context.WithCancelCause(context.Background())
			defer cancel(nil)
			return c.Import(ctx, strings.NewReader(header+lines(5000)), catalog.ImportOptions{
				Progress: func(_ int64, rows int) {
					if rows > 300 {
						cancel(broken)
					}
				},
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := shelf(t)
			rep, err := interrupt(c)
			if err == nil {
				t.Fatal("no error")
			}
			home, err := c.Home(context.Background(), 1)
			if err != nil || home.Total != rep.Added || rep.Added == 0 || rep.Added == 5000 {
				t.Errorf("%d on the shelf, %+v, %v", home.Total, rep, err)
			}
			again := imported(t, c, lines(5000))
			if want := (catalog.ImportReport{Added: 5000 - rep.Added, Unchanged: rep.Added}); again != want {
				t.Errorf("%+v, want %+v", again, want)
			}
		})
	}
}

func TestCategoriesAreCurrent(t *testing.T) {
	c := shelf(t)
	for i, want := range []int{1, 2, 3} {
		imported(t, c, line(fmt.Sprint("pypi:", i), fmt.Sprint("Agent ", i)))
		for range 2 {
			home, err := c.Home(context.Background(), 1)
			if got := home.Categories; err != nil || len(got) != 1 || got[0].Category != "mcp-server" || got[0].Count != want {
				t.Errorf("%+v, %v, want %d in mcp-server", got, err, want)
			}
		}
	}
}
