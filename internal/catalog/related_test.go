package catalog

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/search"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/store/storetest"
)

// kin is a catalogue whose related agents are kept.
type kin struct {
	*Catalog
	t *testing.T
}

func newKin(t *testing.T) *kin {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	db := storetest.Open(t)
	index, err := search.Open(search.Options{Dir: t.TempDir(), DB: db, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	k := &kin{&Catalog{Store: db, Tenant: market.MainTenant, Index: index, Logger: log}, t}
	k.write(func(tx *store.Tx) error {
		return store.Sellers.Put(tx, &market.Seller{ID: "sel_1", Slug: "attic", Name: "Attic"})
	})
	k.background(index.Run)
	t.Cleanup(func() { relatedSettle = settle })
	relatedSettle = 0
	return k
}

var settle = relatedSettle

// background runs something until the test ends, or stop.
func (k *kin) background(run func(ctx context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := run(ctx); err != nil {
			k.t.Error(err)
		}
	})
	stop = func() { cancel(); wg.Wait() }
	k.t.Cleanup(stop)
	return stop
}

func (k *kin) write(fn func(tx *store.Tx) error) {
	k.t.Helper()
	if _, err := k.Store.Update(context.Background(), k.Tenant, store.Op{}, fn); err != nil {
		k.t.Fatal(err)
	}
}

// list lists agents of a name, with a tag.
func (k *kin) list(tag market.Tag, names ...string) {
	k.t.Helper()
	k.write(func(tx *store.Tx) (err error) {
		for i, name := range names {
			err = errors.Join(err, store.Agents.Put(tx, &market.Agent{
				ID: market.AgentID("agt_" + name), Slug: name, Name: name, Seller: "sel_1", Category: "tool", Tags: []market.Tag{tag},
				Popularity: int64(i), State: market.ListingPublished, Release: market.Release{File: market.File{OnDemand: true}},
			}))
		}
		return err
	})
}

// wait waits until the agents of a name are the nearest of another.
func (k *kin) wait(name string, nearest ...market.AgentID) {
	k.t.Helper()
	ctx, cancel := context.WithCancel(k.t.Context())
	defer cancel()
	for range k.Store.Feed(ctx, 0) {
		var got []market.AgentID
		err := k.Store.View(ctx, k.Tenant, func(tx *store.ReadTx) (err error) {
			got, err = RelatedTo(tx, market.AgentID("agt_"+name))
			return err
		})
		if err != nil {
			k.t.Fatal(err)
		}
		if len(got) >= len(nearest) {
			got = slices.Sorted(slices.Values(got[:len(nearest)]))
		}
		if slices.Equal(got, nearest) {
			return
		}
	}
	k.t.Errorf("related to %s never were %q", name, nearest)
}

// TestKeepRelated: those that were there when it began, those that came or changed meanwhile,
// and those that it finds without when it begins anew.
func TestKeepRelated(t *testing.T) {
	k := newKin(t)
	k.list("maps", "atlas", "globe", "chart")
	k.list("mail", "post", "letter", "stamp")
	stop := k.background(k.KeepRelated)
	k.wait("atlas", "agt_chart", "agt_globe")
	k.wait("post", "agt_letter", "agt_stamp")
	k.list("maps", "plan")
	k.wait("plan", "agt_atlas", "agt_chart", "agt_globe")
	k.list("mail", "globe")
	k.wait("globe", "agt_letter", "agt_post", "agt_stamp")
	stop()
	k.write(func(tx *store.Tx) error { return store.Related.Delete(tx, "agt_atlas") })
	k.background(k.KeepRelated)
	k.wait("atlas", "agt_chart", "agt_plan")
}

// TestKeepRelatedWritesDifferences: what is found as it is kept is not written, so that an
// idle marketplace has no commits.
func TestKeepRelatedWritesDifferences(t *testing.T) {
	k := newKin(t)
	k.list("maps", "atlas", "globe")
	r := relating{Catalog: k.Catalog}
	var lsns []store.LSN
	for range 2 {
		if err := errors.Join(k.Index.WaitFor(t.Context(), k.Store.DurableLSN()), r.relate(t.Context(), []market.AgentID{"agt_atlas", "agt_none"})); err != nil {
			t.Fatal(err)
		}
		lsns = append(lsns, k.Store.LastLSN())
	}
	if lsns[0] != 3 || lsns[1] != 3 {
		t.Errorf("commits after looking once and twice: %d", lsns)
	}
	k.wait("atlas", "agt_globe")
}
