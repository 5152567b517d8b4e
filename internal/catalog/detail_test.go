package catalog_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/souk-market/souk/internal/catalog"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// read runs fn on a snapshot of the catalogue.
func read(t *testing.T, c *catalog.Catalog, fn func(tx store.Reader) error) {
	t.Helper()
	if err := c.Store.View(context.Background(), c.Tenant, func(tx *store.ReadTx) error { return fn(tx) }); err != nil {
		t.Fatal(err)
	}
}

// write runs fn in a transaction.
func write(t *testing.T, c *catalog.Catalog, fn func(tx *store.Tx) error) {
	t.Helper()
	if _, err := c.Store.Update(context.Background(), c.Tenant, store.Op{}, fn); err != nil {
		t.Fatal(err)
	}
}

func detail(t *testing.T, c *catalog.Catalog, slug string) (d catalog.Detail) {
	t.Helper()
	read(t, c, func(tx store.Reader) (err error) {
		d, err = catalog.DetailOf(tx, slug, 10)
		return err
	})
	return d
}

func TestDetailOfAnImportedAgentHasItsOnlyRelease(t *testing.T) {
	c := shelf(t)
	imported(t, c, line("pypi:a", "Plain"))
	d := detail(t, c, "plain")
	if len(d.Releases) != 1 || d.Releases[0].Version != "1.0" || d.Releases[0].State != market.ReleaseLive {
		t.Errorf("releases: %+v", d.Releases)
	}
	if d.Seller.Slug != catalog.ImportedSeller || d.Reviews.Total != 0 {
		t.Errorf("%+v", d)
	}
}

func TestAnOldSlugLeadsToTheAgent(t *testing.T) {
	c := shelf(t)
	imported(t, c, line("pypi:a", "Plain"))
	a := agent(t, c, "plain")
	write(t, c, func(tx *store.Tx) error {
		return store.Redirects.Insert(tx, &market.Redirect{Slug: "old", Agent: a.ID, Since: tx.Now()})
	})
	read(t, c, func(tx store.Reader) error {
		_, err := catalog.DetailOf(tx, "old", 1)
		if moved, ok := errors.AsType[*catalog.Moved](err); !ok || moved.Slug != "plain" || !market.Is(err, market.NotFound) {
			t.Errorf("the old slug: %v", err)
		}
		if _, err := catalog.DetailOf(tx, "never", 1); !market.Is(err, market.NotFound) {
			t.Errorf("no slug: %v", err)
		}
		return nil
	})
	write(t, c, func(tx *store.Tx) error {
		a.State = market.ListingSuspended
		return store.Agents.Put(tx, &a.Agent)
	})
	read(t, c, func(tx store.Reader) error {
		for _, slug := range []string{"old", "plain"} {
			_, err := catalog.DetailOf(tx, slug, 1)
			if _, moved := errors.AsType[*catalog.Moved](err); moved || !market.Is(err, market.NotFound) {
				t.Errorf("%s of a suspended agent: %v", slug, err)
			}
		}
		return nil
	})
}

func TestShelvesInTwoLevels(t *testing.T) {
	c := shelf(t)
	imported(t, c, line("pypi:a", "Plain"))
	write(t, c, func(tx *store.Tx) error {
		return errors.Join(
			store.Shelves.Put(tx, &market.Shelf{Category: "build", Title: "Build", Place: 2}),
			store.Shelves.Put(tx, &market.Shelf{Category: "sdk", Title: "SDKs", Parent: "build", Place: 1}),
			store.Shelves.Put(tx, &market.Shelf{Category: "lost", Title: "Lost", Parent: "gone", Place: 1}),
		)
	})
	read(t, c, func(tx store.Reader) error {
		tree, err := catalog.Shelves(tx)
		if err != nil || len(tree) != 2 || tree[0].Title != "Lost" || len(tree[1].Below) != 1 {
			t.Fatalf("%+v, %v", tree, err)
		}
		for c, want := range map[market.Category]string{"build": "Build", "lost": "Lost", "mcp-server": "Mcp server", "gone": "Gone"} {
			if path := tree.Path(c); len(path) != 1 || path[0].Title != want {
				t.Errorf("the path to %s is %+v", c, path)
			}
		}
		if path := tree.Path("sdk"); len(path) != 2 || path[0].Title != "Build" {
			t.Errorf("the path to sdk is %+v", path)
		}
		counts, err := catalog.ShelfCounts(tx)
		if loose := counts.Loose(tree); err != nil || len(loose) != 1 || loose[0].Title != "Mcp server" || counts.Of(tree, "build") != 0 {
			t.Errorf("%+v, %v", loose, err)
		}
		return nil
	})
}

func TestPagesOfTheOperatorReplaceTheDefaults(t *testing.T) {
	c := shelf(t)
	write(t, c, func(tx *store.Tx) error {
		return store.Pages.Put(tx, &market.StaticPage{Slug: "terms", Title: "Ours", Body: "x", Updated: time.Unix(1, 0)})
	})
	read(t, c, func(tx store.Reader) error {
		pages, err := catalog.StaticPages(tx)
		titles := ""
		for _, p := range pages {
			titles += p.Title + ";"
			if one, err := catalog.StaticPageOf(tx, p.Slug); err != nil || one.Body != p.Body {
				t.Errorf("%s: %+v, %v", p.Slug, one, err)
			}
		}
		if want := "About this marketplace;Privacy;Refunds;Ours;"; err != nil || titles != want {
			t.Errorf("%s, %v, want %s", titles, err, want)
		}
		if _, err := catalog.StaticPageOf(tx, "../catalog"); !market.Is(err, market.NotFound) {
			t.Errorf("a page outside: %v", err)
		}
		return nil
	})
}
