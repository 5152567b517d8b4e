package pagecache

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/store/storetest"
)

// TestPagesAreAsRendered follows random commits. A page that is kept is byte for byte the
// page that would be rendered, and most are kept over a commit.
func TestPagesAreAsRendered(t *testing.T) {
	for seed := range uint64(6) {
		rng := rand.New(rand.NewPCG(seed, 1))
		db := storetest.Open(t)
		c := New(db, Options{})
		for range 150 {
			for range 1 + rng.IntN(3) {
				someCommit(t, db, rng)
			}
			wantAllRight(t, c, db)
			wantWhole(t, c)
		}
		if s := c.Stats(); s.Hits < s.Misses || s.Drops == 0 {
			t.Errorf("seed %d: %+v", seed, s)
		}
	}
}

// TestOthersStay lists what a commit drops, and that everything else is answered as it
// was kept.
func TestOthersStay(t *testing.T) {
	for name, tc := range map[string]struct {
		commit  func(tx *store.Tx) error
		dropped string
	}{
		"a description": {func(tx *store.Tx) error {
			return store.Texts.Put(tx, &market.AgentText{Agent: agentID(7), Description: "new"})
		}, "agent/s07"},
		"a name below the best": {func(tx *store.Tx) error {
			a := anAgent(0, 1, "tool")
			a.Name = "new"
			return store.Agents.Put(tx, a)
		}, "agent/s00 newest"},
		"a popularity below the best": {func(tx *store.Tx) error {
			return store.Agents.Put(tx, anAgent(0, 2, "tool"))
		}, "agent/s00 newest"},
		"one more below the best": {func(tx *store.Tx) error {
			return store.Agents.Put(tx, anAgent(11, 0, "tool"))
		}, "agent/s11 count/tool counts newest"},
		"the best": {func(tx *store.Tx) error {
			return store.Agents.Put(tx, anAgent(11, 1000, "tool"))
		}, "agent/s11 best/tool next/tool count/tool parts/tool counts newest"},
		"what no page shows": {func(tx *store.Tx) error {
			return store.Events.Put(tx, &market.ProviderEvent{ID: "1"})
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			db := storetest.OpenWith(t, store.Options{})
			update(t, db, func(tx *store.Tx) error {
				for n := range 10 {
					if err := store.Agents.Put(tx, anAgent(n, int64(1+n*10), "tool")); err != nil {
						return err
					}
				}
				return nil
			})
			c := New(db, Options{})
			wantAllRight(t, c, db)
			update(t, db, tc.commit)
			var dropped []string
			for _, name := range allPages() {
				before := c.Stats().Misses
				body(t, c, name)
				if c.Stats().Misses > before {
					dropped = append(dropped, name)
				}
			}
			if got := strings.Join(dropped, " "); got != tc.dropped {
				t.Errorf("dropped %q, want %q", got, tc.dropped)
			}
		})
	}
}

// TestACommitIsVisibleAtOnce has writers and readers at once: no reader finds less than
// what was committed before they asked.
func TestACommitIsVisibleAtOnce(t *testing.T) {
	db := storetest.Open(t)
	c := New(db, Options{})
	const agents, commits = 3, 40
	var floor [agents]atomic.Int64
	var writers, readers sync.WaitGroup
	for n := range agents {
		writers.Go(func() {
			for i := range int64(commits) {
				update(t, db, func(tx *store.Tx) error { return store.Agents.Put(tx, anAgent(n, i+1, "tool")) })
				floor[n].Store(i + 1)
			}
		})
	}
	var done atomic.Bool
	for range 4 {
		readers.Go(func() {
			for n := 0; !done.Load(); n = (n + 1) % agents {
				wantAtLeast(t, c, n, floor[n].Load())
			}
		})
	}
	writers.Wait()
	done.Store(true)
	readers.Wait()
	wantAllRight(t, c, db)
	wantWhole(t, c)
}

// wantAtLeast asks for the page of an agent and for a listing that it is in.
func wantAtLeast(t *testing.T, c *Cache, n int, floor int64) {
	if floor == 0 {
		return
	}
	for _, name := range []string{"agent/" + slug(n), "best/tool"} {
		e, _, err := c.page(context.Background(), keyOf(name), show(name))
		if err != nil {
			t.Error(err)
			return
		}
		var got int64
		_, rest, _ := strings.Cut(string(e.page.Body), fmt.Sprint("Agent ", n, " "))
		if _, err := fmt.Sscan(rest, &got); err != nil || got < floor {
			t.Errorf("%s shows %d after %d was committed: %v", name, got, floor, err)
		}
	}
}

// outside returns how to do something outside of the bubble of a test: the engine syncs on
// goroutines of its own.
func outside(t *testing.T) (do func(func())) {
	work, done := make(chan func()), make(chan struct{})
	t.Cleanup(func() { close(work) })
	go func() {
		for f := range work {
			f()
			done <- struct{}{}
		}
	}()
	return func(f func()) {
		work <- f
		<-done
	}
}

// flock has many ask for one page at once, whose rendering waits for release.
type flock struct {
	cache    *Cache
	renders  atomic.Int32
	release  chan struct{}
	done     sync.WaitGroup
	errs     chan error
	versions chan string
}

func newFlock(c *Cache) *flock {
	return &flock{cache: c, release: make(chan struct{}), errs: make(chan error, 100), versions: make(chan string, 100)}
}

// ask has one more ask, and returns when they wait for something.
func (f *flock) ask(ctx context.Context, render Render) {
	f.done.Go(func() {
		defer func() {
			if v := recover(); v != nil {
				f.errs <- fmt.Errorf("panic: %v", v)
			}
		}()
		e, _, err := f.cache.page(ctx, keyOf("agent/s01"), func(tx store.Reader) (Page, error) {
			p, err := show("agent/s01")(tx)
			if f.renders.Add(1) == 1 {
				<-f.release
			}
			if err == nil && render != nil {
				return render(tx)
			}
			return p, err
		})
		if err != nil {
			f.errs <- err
			return
		}
		f.versions <- string(e.page.Body)
	})
	synctest.Wait()
}

func (f *flock) end() (versions map[string]int, errs []error) {
	close(f.release)
	f.done.Wait()
	close(f.errs)
	close(f.versions)
	versions = map[string]int{}
	for v := range f.versions {
		versions[v]++
	}
	for err := range f.errs {
		errs = append(errs, err)
	}
	return versions, errs
}

func TestOneRendersForAll(t *testing.T) {
	db := storetest.Open(t)
	update(t, db, func(tx *store.Tx) error { return store.Agents.Put(tx, anAgent(1, 5, "tool")) })
	synctest.Test(t, func(t *testing.T) {
		f := newFlock(New(db, Options{}))
		for range 20 {
			f.ask(context.Background(), nil)
		}
		versions, errs := f.end()
		if f.renders.Load() != 1 || len(versions) != 1 || len(errs) > 0 {
			t.Errorf("%d renderings, %v, %v", f.renders.Load(), versions, errs)
		}
		if s := f.cache.Stats(); s.Misses != 1 || s.Shared != 19 || s.Pages != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// TestACommitDuringARendering: who asked before it gets the page as it was, who asked
// after it the new one, and only the new one is kept.
func TestACommitDuringARendering(t *testing.T) {
	db := storetest.Open(t)
	put := func(popularity int64) {
		update(t, db, func(tx *store.Tx) error { return store.Agents.Put(tx, anAgent(1, popularity, "tool")) })
	}
	put(5)
	do := outside(t)
	synctest.Test(t, func(t *testing.T) {
		f := newFlock(New(db, Options{}))
		f.ask(context.Background(), nil)
		f.ask(context.Background(), nil)
		do(func() { put(6) })
		f.ask(context.Background(), nil)
		f.ask(context.Background(), nil)
		versions, errs := f.end()
		if len(errs) > 0 || versions["agent/s01\nAgent 1 5 \n"] != 2 || versions["agent/s01\nAgent 1 6 \n"] != 2 || f.renders.Load() != 2 {
			t.Errorf("%d renderings: %v, %v", f.renders.Load(), versions, errs)
		}
		if got := body(t, f.cache, "agent/s01"); got != "agent/s01\nAgent 1 6 \n" || f.cache.Stats().Misses != 2 {
			t.Errorf("%q is kept, %+v", got, f.cache.Stats())
		}
	})
}

func TestAnUnrelatedCommitDuringARendering(t *testing.T) {
	db := storetest.Open(t)
	update(t, db, func(tx *store.Tx) error { return store.Agents.Put(tx, anAgent(1, 5, "tool")) })
	do := outside(t)
	synctest.Test(t, func(t *testing.T) {
		f := newFlock(New(db, Options{}))
		f.ask(context.Background(), nil)
		do(func() {
			update(t, db, func(tx *store.Tx) error { return store.Agents.Put(tx, anAgent(2, 5, "tool")) })
		})
		f.ask(context.Background(), nil)
		if versions, errs := f.end(); len(errs) > 0 || len(versions) != 1 || f.renders.Load() != 1 || f.cache.Stats().Pages != 1 {
			t.Errorf("%d renderings, %v, %v, %+v", f.renders.Load(), versions, errs, f.cache.Stats())
		}
	})
}

// TestFailuresAreSharedAndNotKept covers errors and panics in a rendering.
func TestFailuresAreSharedAndNotKept(t *testing.T) {
	db := storetest.Open(t)
	update(t, db, func(tx *store.Tx) error { return store.Agents.Put(tx, anAgent(1, 5, "tool")) })
	broken := errors.New("broken")
	for name, render := range map[string]Render{
		"error": func(store.Reader) (Page, error) { return Page{}, broken },
		"panic": func(store.Reader) (Page, error) { panic(broken) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFlock(New(db, Options{}))
				for range 5 {
					f.ask(context.Background(), render)
				}
				versions, errs := f.end()
				if len(errs) != 5 || len(versions) != 0 || f.renders.Load() != 1 {
					t.Errorf("%d renderings, %v, %v", f.renders.Load(), versions, errs)
				}
				if got := body(t, f.cache, "agent/s01"); got != "agent/s01\nAgent 1 5 \n" {
					t.Errorf("afterwards it is %q", got)
				}
			})
		})
	}
}

// TestWhoLeavesEndsTheirOwnWait: one of those who wait leaves, and the one who renders too.
func TestWhoLeavesEndsTheirOwnWait(t *testing.T) {
	db := storetest.Open(t)
	update(t, db, func(tx *store.Tx) error { return store.Agents.Put(tx, anAgent(1, 5, "tool")) })
	synctest.Test(t, func(t *testing.T) {
		f := newFlock(New(db, Options{}))
		first, leave := context.WithCancel(context.Background())
		second, leaveToo := context.WithCancel(context.Background())
		f.ask(first, nil)
		f.ask(second, nil)
		f.ask(context.Background(), nil)
		leave()
		leaveToo()
		synctest.Wait()
		if err := <-f.errs; !errors.Is(err, context.Canceled) {
			t.Errorf("who left got %v", err)
		}
		versions, errs := f.end()
		if len(errs) > 0 || versions["agent/s01\nAgent 1 5 \n"] != 2 || f.renders.Load() != 1 {
			t.Errorf("%d renderings, %v, %v", f.renders.Load(), versions, errs)
		}
	})
}

func TestAPageOfTheTimeIsNotKept(t *testing.T) {
	db := storetest.Open(t)
	c := New(db, Options{})
	for range 3 {
		_, kept, err := c.page(context.Background(), keyOf("time"), func(tx store.Reader) (Page, error) {
			return Page{Body: []byte(tx.Now().String())}, nil
		})
		if kept || err != nil {
			t.Errorf("kept: %v, %v", kept, err)
		}
	}
}

// TestTenantsApart has two tenants with the same address and other agents there.
func TestTenantsApart(t *testing.T) {
	db := storetest.Open(t)
	c := New(db, Options{})
	for round, tenant := range []market.TenantID{"a", "b", "a", "b"} {
		if round < 2 {
			_, err := db.Update(context.Background(), tenant, store.Op{ID: string(tenant)}, func(tx *store.Tx) error {
				return store.Agents.Put(tx, anAgent(1, int64(round), "tool"))
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		k := keyOf("agent/s01")
		k.Tenant = tenant
		e, kept, err := c.page(context.Background(), k, show("agent/s01"))
		if want := fmt.Sprint("agent/s01\nAgent 1 ", round%2, " \n"); err != nil || string(e.page.Body) != want || kept != (round >= 2) {
			t.Errorf("%s: %q, %v, %v, want %q", tenant, e.page.Body, kept, err, want)
		}
	}
}
