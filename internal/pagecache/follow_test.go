package pagecache

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/store/storetest"
)

// popular gives the first agent a popularity.
func popular(t *testing.T, db *store.DB, popularity int64) {
	t.Helper()
	update(t, db, func(tx *store.Tx) error { return store.Agents.Put(tx, anAgent(1, popularity, "tool")) })
}

// during renders the page of the first agent and does something meanwhile.
func during(t *testing.T, c *Cache, do func()) string {
	t.Helper()
	e, _, err := c.page(context.Background(), keyOf("agent/s01"), func(tx store.Reader) (Page, error) {
		p, err := show("agent/s01")(tx)
		do()
		return p, err
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(e.page.Body)
}

// TestALogThatIsCutDuringARendering: nobody can say whether the page has changed, so it
// isn't kept.
func TestALogThatIsCutDuringARendering(t *testing.T) {
	primary := storetest.OpenWith(t, store.Options{})
	standby := storetest.OpenWith(t, store.Options{Standby: true})
	popular(t, primary, 1)
	replay(t, standby, primary, false)
	c := New(standby, Options{})
	got := during(t, c, func() {
		popular(t, primary, 2)
		replay(t, standby, primary, true)
	})
	if !strings.Contains(got, "Agent 1 1") {
		t.Errorf("who asked before the commit gets %q", got)
	}
	if got := body(t, c, "agent/s01"); !strings.Contains(got, "Agent 1 2") {
		t.Errorf("who asks after it gets %q", got)
	}
	wantWhole(t, c)
}

// TestNothingReadIsTouchedByNothing: who waited for a rendering that panicked, of which no
// reads are known, doesn't render again, also where the log is cut.
func TestNothingReadIsTouchedByNothing(t *testing.T) {
	primary := storetest.OpenWith(t, store.Options{})
	standby := storetest.OpenWith(t, store.Options{Standby: true})
	popular(t, primary, 1)
	replay(t, standby, primary, true)
	c := New(standby, Options{})
	if at := c.firstTouch(&store.ReadSet{}, standby.LastLSN()); at != 0 {
		t.Errorf("commit %d touches it", at)
	}
	one := &store.ReadSet{Points: []store.Key{{1}}}
	if at := c.firstTouch(one, standby.LastLSN()); at != 1 {
		t.Errorf("commit %d touches a key, and the log is cut", at)
	}
}

// TestWhoAsksBeforeTheCommitThatChangesAPage takes the page as it was, also where they came
// after another commit.
func TestWhoAsksBeforeTheCommitThatChangesAPage(t *testing.T) {
	db := storetest.Open(t)
	popular(t, db, 5)
	do := outside(t)
	synctest.Test(t, func(t *testing.T) {
		f := newFlock(New(db, Options{}))
		f.ask(context.Background(), nil)
		do(func() {
			update(t, db, func(tx *store.Tx) error { return store.Agents.Put(tx, anAgent(2, 1, "tool")) })
		})
		f.ask(context.Background(), nil)
		do(func() { popular(t, db, 6) })
		versions, errs := f.end()
		if len(errs) > 0 || versions["agent/s01\nAgent 1 5 \n"] != 2 || f.renders.Load() != 1 {
			t.Errorf("%d renderings: %v, %v", f.renders.Load(), versions, errs)
		}
	})
}

// TestTooManyCommitsToFollow has more of them than a request is to read the log of, while a
// page is rendered and others are kept. None touches any.
func TestTooManyCommitsToFollow(t *testing.T) {
	db := storetest.OpenWith(t, store.Options{})
	popular(t, db, 1)
	c := New(db, Options{})
	body(t, c, "moved/old")
	during(t, c, func() {
		for range maxBehind + 1 {
			update(t, db, func(tx *store.Tx) error { return store.Agents.Put(tx, anAgent(2, int64(db.LastLSN()), "tool")) })
		}
	})
	if s := c.Stats(); s.Pages != 0 || s.Drops != 1 {
		t.Errorf("%+v", s)
	}
}

// TestAPageThatIsKeptIsOfTheLastCommit: the log has been followed when a page or a part is
// kept, so that no commit before it drops it.
func TestAPageThatIsKeptIsOfTheLastCommit(t *testing.T) {
	db := storetest.Open(t)
	popular(t, db, 1)
	c := New(db, Options{})
	another := func() {
		update(t, db, func(tx *store.Tx) error { return store.Agents.Put(tx, anAgent(2, int64(db.LastLSN()), "tool")) })
	}
	during(t, c, another)
	if c.at != db.LastLSN() || c.Stats().Pages != 1 {
		t.Errorf("a page is kept at %d, the last is %d: %+v", c.at, db.LastLSN(), c.Stats())
	}
	err := db.View(context.Background(), shop, func(tx *store.ReadTx) error {
		_, err := Part(c, tx, Key{Route: "part"}, func(tx store.Reader) (int, int, error) {
			another()
			return 1, 8, nil
		})
		return err
	})
	if err != nil || c.at != db.LastLSN() || c.Stats().Pages != 2 {
		t.Errorf("a part is kept at %d, the last is %d: %+v, %v", c.at, db.LastLSN(), c.Stats(), err)
	}
}
