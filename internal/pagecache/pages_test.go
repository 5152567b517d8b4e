package pagecache

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// The pages of these tests are named by what they read. Every kind of reading that the
// store has is among them.
const shop = market.MainTenant

var categories = []string{"tool", "data"}

func agentID(n int) market.AgentID { return market.AgentID(fmt.Sprintf("agt_%02d", n)) }

func slug(n int) string { return fmt.Sprintf("s%02d", n) }

// allPages names every page of the tests.
func allPages() (names []string) {
	for n := range 12 {
		names = append(names, "agent/"+slug(n))
	}
	for _, c := range categories {
		names = append(names, "best/"+c, "next/"+c, "count/"+c, "parts/"+c)
	}
	return append(names, "counts", "shelves", "newest", "moved/old")
}

func keyOf(name string) Key { return Key{Tenant: shop, Route: "GET /", Path: name} }

// show renders the page with a name.
func show(name string) Render { return showBy(nil, name) }

// showBy renders the page with a name, its parts by a cache unless that is nil.
func showBy(c *Cache, name string) Render {
	what, of, _ := strings.Cut(name, "/")
	return func(tx store.Reader) (Page, error) {
		var b strings.Builder
		var err error
		switch what {
		case "parts":
			err = showParts(&b, c, tx, of)
		case "agent":
			err = showAgent(&b, tx, of)
		case "best":
			_, err = showAgents(&b, store.AgentsInCategory.Scan(tx, market.Category(of), ""), 3)
		case "next":
			var at store.Cursor
			if at, err = showAgents(&b, store.AgentsInCategory.Scan(tx, market.Category(of), ""), 2); err == nil {
				_, err = showAgents(&b, store.AgentsInCategory.Scan(tx, market.Category(of), at), 2)
			}
		case "count":
			var n int
			n, err = store.AgentsInCategory.Count(tx, market.Category(of))
			fmt.Fprint(&b, n)
		case "counts":
			var counts map[market.Category]int
			counts, err = store.Counts(tx, store.AgentsInCategory)
			fmt.Fprint(&b, counts)
		case "shelves":
			for s, e := range store.Shelves.All(tx, "") {
				fmt.Fprintln(&b, s, e)
			}
		case "newest":
			_, err = showAgents(&b, store.NewestAgents.Scan(tx, store.All{}, ""), 100)
		case "moved":
			var r market.Redirect
			r, err = store.Redirects.Load(tx, of)
			fmt.Fprint(&b, r.Agent)
		}
		if market.Is(err, market.NotFound) {
			return Page{Status: http.StatusNotFound, Body: []byte("none")}, nil
		}
		return Page{Body: []byte(name + "\n" + b.String())}, err
	}
}

// showParts shows an agent, and two parts that other pages show too.
func showParts(b *strings.Builder, c *Cache, tx store.Reader, category string) error {
	for _, name := range []string{"best/" + category, "shelves"} {
		part, err := partOf(c, tx, name)
		if err != nil {
			return err
		}
		b.WriteString(part)
	}
	return showAgent(b, tx, slug(1))
}

// partOf is a page as a part of others.
func partOf(c *Cache, tx store.Reader, name string) (string, error) {
	build := func(tx store.Reader) (string, int, error) {
		p, err := show(name)(tx)
		return string(p.Body), len(p.Body), err
	}
	if c == nil {
		part, _, err := build(tx)
		return part, err
	}
	return Part(c, tx, Key{Tenant: shop, Route: "part", Path: name}, build)
}

func showAgent(b *strings.Builder, tx store.Reader, slug string) error {
	a, err := store.AgentBySlug.Load(tx, slug)
	if err != nil {
		return err
	}
	t, err := store.Texts.Load(tx, a.ID)
	if err != nil && !market.Is(err, market.NotFound) {
		return err
	}
	fmt.Fprintln(b, a.Name, a.Popularity, t.Description)
	return nil
}

func showAgents(b *strings.Builder, rows iter.Seq2[store.Row[market.Agent], error], n int) (last store.Cursor, err error) {
	for row, err := range rows {
		if err != nil {
			return "", err
		}
		fmt.Fprintln(b, row.Record.Name, row.Record.Popularity)
		last = row.Cursor
		if n--; n == 0 {
			break
		}
	}
	return last, nil
}

func update(t testing.TB, db *store.DB, fn func(tx *store.Tx) error) {
	t.Helper()
	if _, err := db.Update(context.Background(), shop, store.Op{}, fn); err != nil && !strings.Contains(err.Error(), "not known") {
		t.Error(err)
	}
}

func anAgent(n int, popularity int64, category string) *market.Agent {
	return &market.Agent{
		ID: agentID(n), Slug: slug(n), Name: fmt.Sprint("Agent ", n), Seller: "sel_1", Category: market.Category(category),
		Popularity: popularity, State: market.ListingPublished, Release: market.Release{File: market.File{OnDemand: true}},
	}
}

// someCommit adds, changes or deletes a record or several.
func someCommit(t testing.TB, db *store.DB, rng *rand.Rand) {
	t.Helper()
	n, popularity, category := rng.IntN(12), rng.Int64N(20), categories[rng.IntN(2)]
	id := agentID(int(popularity) % 12)
	update(t, db, func(tx *store.Tx) error {
		there, err := store.Agents.Has(tx, id)
		switch {
		case err != nil:
			return err
		case n == 0:
			return store.Shelves.Put(tx, &market.Shelf{Category: market.Category(category), Title: "Shelf", Place: int(popularity)})
		case n == 1 && there:
			return store.Redirects.Put(tx, &market.Redirect{Slug: "old", Agent: id})
		case n == 2:
			return store.Redirects.Delete(tx, "old")
		case n == 3 && there:
			return store.Texts.Put(tx, &market.AgentText{Agent: id, Description: fmt.Sprint(popularity)})
		case n == 4:
			return errors.Join(store.Redirects.Delete(tx, "old"), store.Texts.Delete(tx, id), store.Agents.Delete(tx, id))
		}
		return store.Agents.Put(tx, anAgent(n, popularity, category))
	})
}

// body asks the cache for a page.
func body(t testing.TB, c *Cache, name string) string {
	t.Helper()
	e, _, err := c.page(context.Background(), keyOf(name), showBy(c, name))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return string(e.page.Body)
}

// rendered renders a page without the cache.
func rendered(t testing.TB, db *store.DB, name string) string {
	t.Helper()
	var p Page
	err := db.View(context.Background(), shop, func(tx *store.ReadTx) (err error) {
		p, err = show(name)(tx)
		return err
	})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return string(p.Body)
}

// wantAllRight compares every page with one that is rendered now, in two ways: one that
// nobody has asked for before, and one that may be kept.
func wantAllRight(t *testing.T, c *Cache, db *store.DB) {
	t.Helper()
	for _, name := range allPages() {
		if got, want := body(t, c, name), rendered(t, db, name); got != want {
			t.Fatalf("after commit %d %s is kept as\n%s\nand is\n%s", db.LastLSN(), name, got, want)
		}
	}
}
