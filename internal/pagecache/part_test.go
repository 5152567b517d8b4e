package pagecache

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/store/storetest"
)

// TestPartsAreShared has two pages with the same part. It is built once, and again after a
// commit that changes it.
func TestPartsAreShared(t *testing.T) {
	db := storetest.Open(t)
	c := New(db, Options{})
	update(t, db, func(tx *store.Tx) error { return store.Agents.Put(tx, anAgent(1, 1, "tool")) })
	built := 0
	ask := func(page string) string {
		e, _, err := c.page(context.Background(), keyOf(page), func(tx store.Reader) (Page, error) {
			part, err := Part(c, tx, Key{Route: "part"}, func(tx store.Reader) (string, int, error) {
				built++
				part, err := partOf(nil, tx, "agent/s01")
				return part, len(part), err
			})
			return Page{Body: []byte(page + part)}, err
		})
		if err != nil {
			t.Fatal(err)
		}
		return string(e.page.Body)
	}
	ask("a")
	if got := ask("b"); built != 1 || !strings.Contains(got, "Agent 1 1") {
		t.Errorf("built %d times: %q", built, got)
	}
	update(t, db, func(tx *store.Tx) error { return store.Agents.Put(tx, anAgent(2, 2, "tool")) })
	ask("b")
	if s := c.Stats(); s.Hits != 1 {
		t.Errorf("another's commit drops a page: %+v", s)
	}
	update(t, db, func(tx *store.Tx) error { return store.Agents.Put(tx, anAgent(1, 3, "tool")) })
	for _, page := range []string{"a", "b"} {
		if got := ask(page); built != 2 || !strings.Contains(got, "Agent 1 3") {
			t.Errorf("built %d times: %q", built, got)
		}
	}
	wantWhole(t, c)
}

// TestAPageIsOfOneMoment changes two records by each commit while pages are rendered that
// read one as a part and the other by themselves.
func TestAPageIsOfOneMoment(t *testing.T) {
	db := storetest.Open(t)
	c := New(db, Options{})
	both := func(i int64) {
		update(t, db, func(tx *store.Tx) error {
			if err := store.Agents.Put(tx, anAgent(1, i, "tool")); err != nil {
				return err
			}
			return store.Agents.Put(tx, anAgent(2, i, "tool"))
		})
	}
	both(0)
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for n := range 4 {
		readers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					wantOneMoment(t, c, fmt.Sprint(n, "/", i%8))
				}
			}
		})
	}
	for i := range int64(200) {
		both(i + 1)
	}
	close(stop)
	readers.Wait()
	wantWhole(t, c)
}

// TestAPartOfLaterIsNotTaken has a part built after a commit that an earlier transaction
// doesn't see.
func TestAPartOfLaterIsNotTaken(t *testing.T) {
	db := storetest.Open(t)
	c := New(db, Options{})
	update(t, db, func(tx *store.Tx) error { return store.Agents.Put(tx, anAgent(1, 1, "tool")) })
	part := func() (text string, err error) {
		err = db.View(context.Background(), shop, func(tx *store.ReadTx) (err error) {
			text, err = partOf(c, tx, "agent/s01")
			return err
		})
		return text, err
	}
	err := db.View(context.Background(), shop, func(tx *store.ReadTx) error {
		update(t, db, func(tx *store.Tx) error { return store.Agents.Put(tx, anAgent(1, 2, "tool")) })
		if got, err := part(); !strings.Contains(got, "Agent 1 2") {
			t.Errorf("after a commit: %q, %v", got, err)
		}
		got, err := partOf(c, tx, "agent/s01")
		if !strings.Contains(got, "Agent 1 1") {
			t.Errorf("of the moment before it: %q", got)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if got, err := part(); !strings.Contains(got, "Agent 1 2") {
		t.Errorf("after both: %q, %v", got, err)
	}
	wantWhole(t, c)
}

// TestAPartOfACommitUnderWayIsNotTaken has a part built while a commit is visible and not
// yet counted, beside a transaction that doesn't see it. Both are of the same LSN.
func TestAPartOfACommitUnderWayIsNotTaken(t *testing.T) {
	primary, disk := storetest.OpenWith(t, store.Options{}), storetest.NewDisk()
	standby := disk.OpenWith(t, store.Options{Standby: true})
	defer standby.Close()
	bring := func(popularity int64) {
		update(t, primary, func(tx *store.Tx) error { return store.Agents.Put(tx, anAgent(1, popularity, "tool")) })
		replay(t, standby, primary, false)
	}
	bring(1)
	c := New(standby, Options{})
	part := func(c *Cache) (text string) {
		err := standby.View(context.Background(), shop, func(tx *store.ReadTx) (err error) {
			text, err = partOf(c, tx, "agent/s01")
			return err
		})
		if err != nil {
			t.Error(err)
		}
		return text
	}
	err := standby.View(context.Background(), shop, func(tx *store.ReadTx) error {
		disk.BeforeWrite(1, func() { // the commit's own, to the log: it returns after this
			for !strings.Contains(part(nil), "Agent 1 2") {
				runtime.Gosched()
			}
			part(c)
			if got, err := partOf(c, tx, "agent/s01"); err != nil || !strings.Contains(got, "Agent 1 1") {
				t.Errorf("before the commit it is %q, %v", got, err)
			}
		})
		bring(2)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if got := part(c); !strings.Contains(got, "Agent 1 2") {
		t.Errorf("after the commit it is %q", got)
	}
	wantWhole(t, c)
}

// TestAPartOfEarlierIsKeptInstead: of two parts that no commit tells apart, the one of the
// earlier moment serves the transactions between them too.
func TestAPartOfEarlierIsKeptInstead(t *testing.T) {
	db := storetest.Open(t)
	c := New(db, Options{})
	built := 0
	part := func(tx store.Reader) {
		_, err := Part(c, tx, Key{Route: "part"}, func(tx store.Reader) (string, int, error) {
			built++
			part, err := partOf(nil, tx, "shelves")
			return part, len(part), err
		})
		if err != nil {
			t.Error(err)
		}
	}
	view := func(fn func(tx store.Reader)) {
		update(t, db, func(tx *store.Tx) error { return store.Agents.Put(tx, anAgent(1, int64(built), "tool")) })
		err := db.View(context.Background(), shop, func(tx *store.ReadTx) error { fn(tx); return nil })
		if err != nil {
			t.Error(err)
		}
	}
	view(func(first store.Reader) {
		view(func(second store.Reader) {
			view(part)
			part(first)
			part(second)
		})
		view(part)
	})
	if built != 2 {
		t.Errorf("built %d times", built)
	}
	wantWhole(t, c)
}

// TestPartsThatAreNotKept are built each time they are asked for.
func TestPartsThatAreNotKept(t *testing.T) {
	broken := errors.New("broken")
	for name, build := range map[string]func(tx store.Reader) (string, int, error){
		"an error":      func(store.Reader) (string, int, error) { return "half", 4, broken },
		"the time":      func(tx store.Reader) (string, int, error) { return tx.Now().String(), 30, nil },
		"a large value": func(store.Reader) (string, int, error) { return "", 1 << 20, nil },
	} {
		t.Run(name, func(t *testing.T) {
			db := storetest.Open(t)
			c := New(db, Options{Bytes: 1 << 20})
			built := 0
			for range 2 {
				err := db.View(context.Background(), shop, func(tx *store.ReadTx) error {
					_, err := Part(c, tx, Key{Route: "part"}, func(tx store.Reader) (string, int, error) {
						built++
						return build(tx)
					})
					return err
				})
				if (name == "an error") != errors.Is(err, broken) {
					t.Error(err)
				}
			}
			if built != 2 || c.Stats().Pages != 0 {
				t.Errorf("built %d times, %+v", built, c.Stats())
			}
		})
	}
}

// TestPartsAreCounted with the keys that they have read.
func TestPartsAreCounted(t *testing.T) {
	db := storetest.Open(t)
	c := New(db, Options{})
	err := db.View(context.Background(), shop, func(tx *store.ReadTx) error {
		_, err := Part(c, tx, Key{Route: "part"}, func(tx store.Reader) (int, int, error) {
			for n := range 100 {
				if _, err := store.Agents.Has(tx, agentID(n)); err != nil {
					return 0, 0, err
				}
			}
			return 1, 1_000, nil
		})
		return err
	})
	if s := c.Stats(); err != nil || s.Bytes < 1_000+entrySize+100*int64(linkSize+len(agentID(0))) {
		t.Errorf("%+v, %v", s, err)
	}
}

func wantOneMoment(t *testing.T, c *Cache, page string) {
	var part, own int64
	_, _, err := c.page(context.Background(), keyOf(page), func(tx store.Reader) (_ Page, err error) {
		part, err = Part(c, tx, Key{Route: "part"}, func(tx store.Reader) (int64, int, error) {
			a, err := store.Agents.Load(tx, agentID(1))
			return a.Popularity, 8, err
		})
		if err != nil {
			return Page{}, err
		}
		a, err := store.Agents.Load(tx, agentID(2))
		own = a.Popularity
		return Page{}, err
	})
	if err != nil || part != own {
		t.Errorf("a page shows %d and %d: %v", part, own, err)
	}
}
