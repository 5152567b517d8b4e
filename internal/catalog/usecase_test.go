package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/souk-market/souk/internal/catalog"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

var (
	operator = &market.Account{ID: "acc_op", Roles: []market.Role{market.RoleOperator}}
	stranger = &market.Account{ID: "acc_stranger"}
	nobody   = &market.Account{}
)

// atelier is a catalogue with a seller, Ada, and an agent of hers.
type atelier struct {
	*stand
	t      *testing.T
	ada    *market.Account
	seller market.SellerID
	agent  market.Agent
}

func newAtelier(t *testing.T) *atelier {
	t.Helper()
	at := &atelier{stand: newStand(t), t: t}
	at.ada = &market.Account{ID: "acc_ada", Email: "ada@example.com", Name: "Ada"}
	write(t, at.Catalog, func(tx *store.Tx) error {
		s := market.Seller{ID: market.NewSellerID(tx.Now()), Account: at.ada.ID, Slug: "ada", Name: "Ada"}
		at.seller = s.ID
		return errors.Join(store.Accounts.Put(tx, at.ada), store.Sellers.Insert(tx, &s))
	})
	n := goodListing(at.seller)
	n.Offers = []market.Offer{
		{Name: "Alone", Price: market.Money{Amount: 1200, Currency: "USD"}, License: true},
		{Name: "Team", Price: market.Money{Amount: 4900, Currency: "USD"}, Includes: []string{"Five  seats"}},
	}
	n.Tags, n.Text.Description, n.Notes = []market.Tag{"CSV", "data tables"}, "It *reads*.", "First."
	var err error
	if at.agent, err = at.PublishAs(context.Background(), at.ada, at.blobs, n); err != nil {
		t.Fatal(err)
	}
	return at
}

func (at *atelier) must(err error) {
	at.t.Helper()
	if err != nil {
		at.t.Fatal(err)
	}
}

// now is the agent as it is stored.
func (at *atelier) now() (a market.Agent) {
	at.t.Helper()
	read(at.t, at.Catalog, func(tx store.Reader) (err error) {
		a, err = store.Agents.Load(tx, at.agent.ID)
		return err
	})
	return a
}

func (at *atelier) release(version, channel string) market.AgentRelease {
	at.t.Helper()
	r, err := at.AddRelease(context.Background(), at.ada, at.blobs, at.agent.ID, catalog.NewRelease{
		Version: version, Channel: channel, Notes: "What changed.", File: strings.NewReader(version), FileName: "csv-desk-" + version + ".zip",
	})
	at.must(err)
	return r
}

func TestPublishTakesAllThatAPageShows(t *testing.T) {
	at := newAtelier(t)
	d := detail(t, at.Catalog, "csv-desk")
	if len(d.Offers()) != 2 || d.Offer.ID == d.Also[0].ID || d.Also[0].Includes[0] != "Five seats" {
		t.Errorf("offers: %+v", d.Offers())
	}
	if diff := cmp.Diff([]market.Tag{"csv", "data-tables"}, d.Tags); diff != "" {
		t.Error(diff)
	}
	if d.Text.Description != "It *reads*." || len(d.Releases) != 1 || d.Releases[0].Notes != "First." || d.Releases[0].ID != d.Release.ID {
		t.Errorf("%+v, %+v", d.Text, d.Releases)
	}
}

// TestOthersMayNot tries every change of a listing as somebody whose it isn't.
func TestOthersMayNot(t *testing.T) {
	at, ctx := newAtelier(t), context.Background()
	id := at.agent.ID
	name := "Mine"
	for what, try := range map[string]func(who *market.Account) error{
		"publish": func(who *market.Account) error {
			n := goodListing(at.seller)
			n.Slug = "another"
			_, err := at.PublishAs(ctx, who, at.blobs, n)
			return err
		},
		"edit": func(who *market.Account) error {
			_, err := at.Edit(ctx, who, id, catalog.Edit{Name: &name})
			return err
		},
		"rename":       func(who *market.Account) error { return at.Rename(ctx, who, id, "mine") },
		"give up slug": func(who *market.Account) error { return at.GiveUpSlug(ctx, who, id, "mine") },
		"move":         func(who *market.Account) error { return at.Move(ctx, who, id, market.ListingPaused, "") },
		"suspend":      func(who *market.Account) error { return at.Move(ctx, who, id, market.ListingSuspended, "why") },
		"pick":         func(who *market.Account) error { return at.Pick(ctx, who, id, true) },
		"add release": func(who *market.Account) error {
			_, err := at.AddRelease(ctx, who, at.blobs, id, catalog.NewRelease{Version: "9", File: strings.NewReader("x"), FileName: "x"})
			return err
		},
		"yank":          func(who *market.Account) error { return at.Yank(ctx, who, id, at.agent.Release.ID, "why") },
		"list releases": func(who *market.Account) error { _, err := at.Releases(ctx, who, id); return err },
		"merge tags":    func(who *market.Account) error { _, err := at.MergeTags(ctx, who, "csv", "tables"); return err },
		"unmerge tag":   func(who *market.Account) error { return at.UnmergeTag(ctx, who, "csv") },
		"put shelf": func(who *market.Account) error {
			return at.PutShelf(ctx, who, market.Shelf{Category: "x", Title: "X"})
		},
		"remove shelf": func(who *market.Account) error { return at.RemoveShelf(ctx, who, "sdk") },
		"put page":     func(who *market.Account) error { return at.PutPage(ctx, who, market.StaticPage{Slug: "a", Title: "A"}) },
		"move review":  func(who *market.Account) error { return at.MoveReview(ctx, who, "rev_1", market.ReviewFlagged) },
	} {
		for who, account := range map[string]*market.Account{"a stranger": stranger, "nobody": nobody} {
			if err := try(account); !market.Is(err, market.NotFound) && !market.Is(err, market.Forbidden) {
				t.Errorf("%s by %s: %v", what, who, err)
			}
		}
	}
	if got := at.now(); !cmp.Equal(got, at.agent) {
		t.Errorf("it changed: %s", cmp.Diff(at.agent, got))
	}
}

func TestEditKeepsWhatIsNotNamed(t *testing.T) {
	at, ctx := newAtelier(t), context.Background()
	before := at.now()
	summary, tags := "Sums CSV files.", []market.Tag{"csv"}
	_, err := at.Edit(ctx, at.ada, at.agent.ID, catalog.Edit{
		Summary: &summary, Tags: &tags,
		Offers: []market.Offer{{Name: "Team", Price: market.Money{Amount: 5900, Currency: "USD"}}, {Name: "Firm", Price: market.Money{Amount: 9900, Currency: "USD"}}},
	})
	at.must(err)
	got := at.now()
	if got.Summary != summary || len(got.Tags) != 1 || got.Name != before.Name || got.Release != before.Release {
		t.Errorf("%+v", got)
	}
	if got.Offer.ID != before.Also[0].ID || got.Offer.Price.Amount != 5900 || got.Also[0].ID == before.Offer.ID {
		t.Errorf("offers: %+v, were %+v", got.Offers(), before.Offers())
	}
	empty := ""
	if _, err := at.Edit(ctx, at.ada, at.agent.ID, catalog.Edit{Name: &empty}); !market.Is(err, market.Invalid) {
		t.Errorf("no name: %v", err)
	}
}

func TestOldSlugs(t *testing.T) {
	at, ctx := newAtelier(t), context.Background()
	other, err := at.Publish(ctx, at.blobs, func() catalog.NewListing { n := goodListing(at.seller); n.Slug = "other"; return n }())
	at.must(err)
	leads := func(slug, want string) {
		t.Helper()
		read(t, at.Catalog, func(tx store.Reader) error {
			_, err := catalog.DetailOf(tx, slug, 0)
			got := "gone"
			if moved, ok := errors.AsType[*catalog.Moved](err); ok {
				got = moved.Slug
			} else if err == nil {
				got = slug
			}
			if got != want {
				t.Errorf("%s leads to %s, want %s", slug, got, want)
			}
			return nil
		})
	}
	at.must(at.Rename(ctx, at.ada, at.agent.ID, "second"))
	at.must(at.Rename(ctx, at.ada, at.agent.ID, "third"))
	leads("csv-desk", "third")
	leads("second", "third") // in one step, however long the chain
	for _, taken := range []string{"second", "csv-desk", "third"} {
		if err := at.Rename(ctx, at.ada, other.ID, taken); !market.Is(err, market.Conflict) {
			t.Errorf("renaming another to %s: %v", taken, err)
		}
	}
	at.must(at.Rename(ctx, at.ada, at.agent.ID, "csv-desk")) // taken back
	leads("csv-desk", "csv-desk")
	leads("third", "csv-desk")
	at.must(at.GiveUpSlug(ctx, at.ada, at.agent.ID, "third"))
	leads("third", "gone")
	at.must(at.Rename(ctx, at.ada, other.ID, "third"))
	leads("third", "third")
	leads("other", "third")
	if err := at.GiveUpSlug(ctx, at.ada, at.agent.ID, "other"); !market.Is(err, market.NotFound) {
		t.Errorf("giving up another's: %v", err)
	}
	if err := at.Rename(ctx, at.ada, at.agent.ID, "No Slug"); !market.Is(err, market.Invalid) {
		t.Errorf("no slug: %v", err)
	}
}

func TestMovesOfAListing(t *testing.T) {
	at, ctx := newAtelier(t), context.Background()
	for _, step := range []struct {
		who    *market.Account
		next   market.ListingState
		reason string
		kind   market.Kind // 255 for a move that is made
	}{
		{at.ada, market.ListingUnlisted, "", 255},
		{at.ada, market.ListingPaused, "", market.Conflict}, // no such arrow
		{at.ada, market.ListingPublished, "", 255},
		{at.ada, market.ListingPaused, "", 255},
		{at.ada, market.ListingPublished, "", 255},
		{at.ada, market.ListingSuspended, "why", market.Forbidden},
		{operator, market.ListingSuspended, " ", market.Invalid},
		{operator, market.ListingSuspended, "It phones home.", 255},
		{at.ada, market.ListingPublished, "", market.Forbidden},
		{operator, market.ListingPublished, "", 255},
		{at.ada, market.ListingArchived, "", 255},
		{at.ada, market.ListingPublished, "", market.Conflict},
	} {
		before := at.now()
		err := at.Move(ctx, step.who, at.agent.ID, step.next, step.reason)
		if step.kind == 255 && err != nil || step.kind != 255 && !market.Is(err, step.kind) {
			t.Fatalf("%s → %s: %v", before.State, step.next, err)
		}
		after := at.now()
		if step.kind == 255 && (after.State != step.next || after.Reason != step.reason) || step.kind != 255 && after.State != before.State {
			t.Errorf("%s → %s: %s because of %q", before.State, step.next, after.State, after.Reason)
		}
	}
}

func TestPicks(t *testing.T) {
	at, ctx := newAtelier(t), context.Background()
	picks := func() int {
		home, err := at.Home(ctx, 5)
		at.must(err)
		return len(home.Picks)
	}
	for _, picked := range []bool{true, true, false, false, true} {
		at.must(at.Pick(ctx, operator, at.agent.ID, picked))
		if got := picks() == 1; got != picked {
			t.Errorf("that it is picked is %t, want %t", got, picked)
		}
	}
	at.must(at.Move(ctx, at.ada, at.agent.ID, market.ListingPaused, ""))
	if picks() != 0 {
		t.Error("a paused agent is picked")
	}
}

// states are an agent's versions with their states, the newest first.
func (at *atelier) states() string {
	list, err := at.Releases(context.Background(), at.ada, at.agent.ID)
	at.must(err)
	s := ""
	for _, r := range list {
		s += fmt.Sprintf("%s%s %s;", r.Version, r.Channel, r.State)
	}
	return s
}

func TestReleases(t *testing.T) {
	at, ctx := newAtelier(t), context.Background()
	sold := func(version, states string) {
		t.Helper()
		a := at.now()
		if got := at.states(); a.Release.Version != version || len(got) != len(states) {
			t.Errorf("%s is sold of %s, want %s of %s", a.Release.Version, got, version, states)
		}
		for want := range strings.SplitSeq(strings.Trim(states, ";"), ";") {
			if !strings.Contains(at.states(), want) {
				t.Errorf("%s isn't among %s", want, at.states())
			}
		}
	}
	sold("1.2.0", "1.2.0 live;")
	at.release("1.10.0", "")
	sold("1.10.0", "1.10.0 live;1.2.0 superseded;")
	at.release("1.3.0", "") // of an older line
	sold("1.10.0", "1.10.0 live;1.3.0 superseded;1.2.0 superseded;")
	beta := at.release("2.0.0-rc.1", "beta")
	sold("1.10.0", "2.0.0-rc.1beta live;1.10.0 live;1.3.0 superseded;1.2.0 superseded;")
	if _, err := at.AddRelease(ctx, at.ada, at.blobs, at.agent.ID, catalog.NewRelease{Version: "1.3.0", File: strings.NewReader("x"), FileName: "x"}); !market.Is(err, market.Conflict) {
		t.Errorf("a version again: %v", err)
	}

	at.must(at.Yank(ctx, at.ada, at.agent.ID, at.now().Release.ID, "It lost rows."))
	sold("1.3.0", "2.0.0-rc.1beta live;1.10.0 yanked;1.3.0 superseded;1.2.0 superseded;")
	for _, v := range []string{"1.3.0", "1.2.0"} {
		sold(v, at.states())
		at.must(at.Yank(ctx, operator, at.agent.ID, at.now().Release.ID, "So did it."))
	}
	if at.now().Release.ID != beta.ID {
		t.Errorf("%s is sold, want the beta", at.now().Release.Version)
	}
	if err := at.Yank(ctx, at.ada, at.agent.ID, beta.ID, "And it."); !market.Is(err, market.Conflict) {
		t.Errorf("the last one: %v", err)
	}
	if err := at.Yank(ctx, at.ada, at.agent.ID, at.agent.Release.ID, "Again."); !market.Is(err, market.Conflict) {
		t.Errorf("one that is yanked: %v", err)
	}
	if err := at.Yank(ctx, at.ada, at.agent.ID, beta.ID, " "); !market.Is(err, market.Invalid) {
		t.Errorf("without a reason: %v", err)
	}
	at.must(at.Move(ctx, at.ada, at.agent.ID, market.ListingPaused, ""))
	at.must(at.Yank(ctx, at.ada, at.agent.ID, beta.ID, "And it."))
	d, err := at.Releases(ctx, at.ada, at.agent.ID)
	if err != nil || d[0].Reason == "" {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestMergeTags(t *testing.T) {
	at, ctx := newAtelier(t), context.Background()
	const n = 200
	var file strings.Builder
	for i := range n {
		fmt.Fprintf(&file, `{"id":"pypi:%d","name":"Agent %d","category":"sdk","tags":["pg","t%d"]}`+"\n", i, i, i%3)
	}
	_, err := at.Import(ctx, strings.NewReader(file.String()), catalog.ImportOptions{})
	at.must(err)
	changed, err := at.MergeTags(ctx, operator, "PG", "postgresql")
	if err != nil || changed != n {
		t.Errorf("%d changed, %v", changed, err)
	}
	changed, err = at.MergeTags(ctx, operator, "postgresql", "postgres") // what stood for it stands for this
	if err != nil || changed != n {
		t.Errorf("%d changed, %v", changed, err)
	}
	if changed, err = at.MergeTags(ctx, operator, "postgresql", "postgres"); err != nil || changed != 0 {
		t.Errorf("again %d changed, %v", changed, err)
	}
	tags := []market.Tag{"pg", "postgresql", "csv"}
	_, err = at.Edit(ctx, at.ada, at.agent.ID, catalog.Edit{Tags: &tags})
	at.must(err)
	if diff := cmp.Diff([]market.Tag{"csv", "postgres"}, at.now().Tags); diff != "" {
		t.Error(diff)
	}
	if _, err := at.MergeTags(ctx, operator, "postgres", "pg"); !market.Is(err, market.Conflict) || !strings.Contains(market.Message(err), `"pg" stands for "postgres"`) {
		t.Errorf("in a circle: %v", err)
	}
	at.must(at.UnmergeTag(ctx, operator, "pg"))
	tags = []market.Tag{"pg"}
	_, err = at.Edit(ctx, at.ada, at.agent.ID, catalog.Edit{Tags: &tags})
	at.must(err)
	if got := at.now().Tags; len(got) != 1 || got[0] != "pg" {
		t.Errorf("%q", got)
	}
}

func TestShelvesBecomeTheOperators(t *testing.T) {
	at, ctx := newAtelier(t), context.Background()
	tree := func() (tree catalog.Tree) {
		read(t, at.Catalog, func(tx store.Reader) (err error) {
			tree, err = catalog.Shelves(tx)
			return err
		})
		return tree
	}
	n := len(tree())
	at.must(at.PutShelf(ctx, operator, market.Shelf{Category: "build", Title: "Build", Place: 1}))
	at.must(at.PutShelf(ctx, operator, market.Shelf{Category: "sdk", Title: "SDKs", Parent: "build"}))
	if got := tree(); len(got) != n || got.Path("sdk")[0].Title != "Build" || got.Path("data")[0].Title != "Data" {
		t.Errorf("%d shelves, %+v", len(got), got)
	}
	for name, s := range map[string]market.Shelf{
		"three levels": {Category: "go", Title: "Go", Parent: "sdk"}, "no parent": {Category: "go", Title: "Go", Parent: "none"},
		"a parent below": {Category: "build", Title: "Build", Parent: "data"}, "no title": {Category: "go"},
	} {
		if err := at.PutShelf(ctx, operator, s); !market.Is(err, market.Invalid) && !market.Is(err, market.Conflict) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := at.RemoveShelf(ctx, operator, "build"); !market.Is(err, market.Conflict) {
		t.Errorf("removing a parent: %v", err)
	}
	at.must(at.RemoveShelf(ctx, operator, "sdk"))
	at.must(at.RemoveShelf(ctx, operator, "build"))
	if got := len(tree()); got != n-1 {
		t.Errorf("%d shelves, want %d", got, n-1)
	}
}
