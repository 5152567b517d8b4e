package store_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// testContext is for histories, which end by themselves.
var testContext = context.Background()

func (h *history) randomTransaction() *transaction {
	return randomTransaction(h.rng, func() int { h.payloads++; return h.payloads })
}

// update runs a transaction. Several may run at once.
func (h *history) update(t *transaction) {
	t.res, t.err = h.db.Update(testContext, t.tenant, t.op, t.run)
	for t.err == nil {
		before := h.acked.Load()
		if uint64(t.res.LSN) <= before || h.acked.CompareAndSwap(before, uint64(t.res.LSN)) {
			return
		}
	}
}

// count counts what became of a transaction.
func (h *history) count(t *transaction) {
	if t.err == nil {
		h.stats.acknowledged++
	}
	for _, o := range t.outcomes {
		if o.taken == nil && o.kind != 0 {
			h.stats.conflicts++
		}
	}
}

// transaction runs a transaction alone, so that the model knows all of it beforehand.
func (h *history) transaction() {
	t := h.randomTransaction()
	h.update(t)
	h.count(t)
	before := h.now().world
	if errors.Is(t.err, store.ErrTimeLimit) { // the machine stood still
		return
	}
	if h.asRepeated(t, before) {
		return
	}
	after, commits, wrong := t.replay(before)
	h.problems = append(h.problems, wrong...)
	if t.drop {
		h.stats.dropped++
		if !errors.Is(t.err, errDropped) {
			h.wrong("a dropped transaction: %v", t.err)
		}
	} else if t.err != nil || string(t.res.Value) != t.result {
		h.wrong("a transaction: %+v, %v; want %q", t.res, t.err, t.result)
	}
	last := h.now().lsn
	if commits {
		last++
	}
	if got := h.db.LastLSN(); got != last || h.db.DurableLSN() != last {
		h.wrong("the store is at %d (durable %d), want %d", got, h.db.DurableLSN(), last)
		return
	}
	h.observe(func(store.Change) world { return after })
}

// asRepeated reports whether the transaction's operation had been done before; then it
// must have had no effect but the first one's result.
func (h *history) asRepeated(t *transaction, before world) bool {
	result, repeated := before[t.tenant].done[t.op.ID]
	if !repeated {
		return false
	}
	h.stats.repeated++
	if t.err != nil || string(t.res.Value) != result || !t.res.Repeated {
		h.wrong("repeating %s of %s: %+v, %v, want %q", t.op.ID, t.tenant, t.res, t.err, result)
	}
	return true
}

// callers is how many run transactions at once in a round, and each how many one runs.
const callers, each = 4, 3

// round runs transactions of several callers at once, perhaps beside a compaction or a
// cut of the log. The change log tells their order, in which the model does them again.
func (h *history) round() {
	h.stats.rounds++
	byMarker := map[string]*transaction{}
	var wg sync.WaitGroup
	for range callers {
		var own []*transaction
		for range each {
			t := h.randomTransaction()
			h.markers++
			t.marker = fmt.Sprint("round ", h.markers)
			byMarker[t.marker] = t
			own = append(own, t)
		}
		wg.Go(func() {
			for _, t := range own {
				h.update(t)
			}
		})
	}
	if beside := h.rng.IntN(6); beside < 3 {
		h.maintain(beside)
	}
	wg.Wait()
	before, committed := h.now().world, map[*transaction]bool{}
	h.observe(func(c store.Change) world {
		world := h.now().world
		t := markedIn(c, byMarker)
		if t == nil {
			h.wrong("commit %d is of nobody's: %v", c.LSN, c.Keys)
			return world
		}
		committed[t] = true
		after, _, wrong := t.replay(world)
		h.problems = append(h.problems, wrong...)
		if t.drop || t.err != nil || string(t.res.Value) != t.result || !t.res.Repeated && t.res.LSN != c.LSN {
			h.wrong("commit %d (dropped: %t) was answered with %+v, %v", c.LSN, t.drop, t.res, t.err)
		}
		return after
	})
	for _, t := range byMarker {
		h.count(t)
		if !committed[t] {
			h.uncommitted(t, before)
		}
	}
}

// markedIn returns the transaction whose event a commit has written.
func markedIn(c store.Change, byMarker map[string]*transaction) *transaction {
	for k := range store.Events.ChangedIn(c.Keys) {
		return byMarker[k.ID]
	}
	return nil
}

// uncommitted checks a transaction that left nothing behind: its function wanted that, or
// its operation had been done, before the round or by another caller in it.
func (h *history) uncommitted(t *transaction, before world) {
	switch {
	case errors.Is(t.err, store.ErrTimeLimit):
	case errors.Is(t.err, errDropped):
		h.stats.dropped++
		if _, done := before[t.tenant].done[t.op.ID]; done || !t.drop {
			h.wrong("operation %q of %s, done %t, to be dropped %t: %v", t.op.ID, t.tenant, done, t.drop, t.err)
		}
	default:
		if !h.asRepeated(t, h.now().world) {
			h.wrong("a transaction wasn't committed: %+v, %v", t.res, t.err)
		}
	}
}

// observe adds the moments since the last one, for each of which world tells the model,
// and looks at the keys and values of the newest.
func (h *history) observe(world func(store.Change) world) {
	snap, err := h.db.Snapshot(testContext)
	if err != nil {
		h.wrong("a snapshot: %v", err)
		return
	}
	defer snap.Close()
	raw := maps.Clone(h.now().raw)
	for lsn := h.now().lsn + 1; lsn <= snap.LSN(); lsn++ {
		cs, err := snap.Changes(lsn-1, 1)
		if err != nil || cs.Max != lsn {
			h.wrong("the change log at %d: %+v, %v", lsn, cs, err)
			return
		}
		c := store.Change{First: lsn, LSN: lsn, Time: cs.Time, Class: cs.Class, Chain: cs.Chain, Keys: cs.Keys}
		if n := len(h.known); n > 0 && c.Time.Before(h.known[n-1].Time) {
			h.wrong("commit %d is of %v, before the last one", lsn, c.Time)
		}
		h.known = append(h.known, c)
		for _, k := range c.Keys {
			v, ok, err := snap.Value(k)
			if err != nil {
				h.wrong("reading %s: %v", k, err)
			}
			if delete(raw, string(k)); ok {
				raw[string(k)] = string(v)
			}
		}
		h.past = append(h.past, moment{lsn: lsn, world: world(c)})
	}
	h.now().raw = raw
}

// recover compares what was found on the disk with what must be there, and goes on with it.
func (h *history) recover(acked store.LSN) {
	found, base := h.db.LastLSN(), h.past[0].lsn
	if found < acked || found < base {
		h.stats.losses++
		h.wrong("%d commits were acknowledged and %d are there", max(acked, base), found)
		return
	}
	if found > h.now().lsn {
		h.wrong("commit %d is there, and only %d were made", found, h.now().lsn)
		return
	}
	if found > acked {
		h.stats.beyondTheAcks++
	}
	if h.db.DurableLSN() != found {
		h.wrong("durable up to %d of %d", h.db.DurableLSN(), found)
	}
	h.compareLog(found)
	raw := h.compareRaw(found)
	h.past = []moment{{found, h.past[found-base].world, raw}}
	h.known = h.known[:found]
	for _, tenant := range modelTenants {
		h.compare(tenant)
	}
	rep, err := h.db.Check(testContext, store.CheckOptions{})
	if err != nil || !rep.OK() {
		h.wrong("the check says %v, %v", rep, err)
	}
}

func (h *history) compare(tenant market.TenantID) {
	c := comparison{db: h.db, tenant: tenant, want: h.now().world[tenant]}
	c.run()
	h.stats.records += c.records
	h.problems = append(h.problems, c.problems...)
}

// compareLog reads the change log, which begins no later than where it was cut and goes
// on without holes up to the last commit, as followers have read it before.
func (h *history) compareLog(last store.LSN) {
	first := store.LSN(1)
	for ; first <= last; first++ {
		if _, err := h.db.ChainAt(first); err == nil {
			break
		} else if !errors.Is(err, store.ErrLogCut) {
			h.wrong("the chain at %d: %v", first, err)
			return
		}
	}
	if uncut := h.now().lsn - min(h.now().lsn, h.kept); first > uncut+1 {
		h.wrong("the change log begins at %d, and it was cut up to %d at most", first, uncut)
	}
	if first > last {
		return
	}
	for c, err := range h.db.Feed(testContext, first-1) {
		if err != nil {
			h.wrong("the feed: %v", err)
			return
		}
		want := h.known[c.LSN-1]
		c.More = false
		if !reflect.DeepEqual(want, c) { // Diff is slow where there is none
			h.wrong("commit %d is another one now:\n%s", c.LSN, gocmp.Diff(want, c))
		}
		if h.stats.commits++; c.LSN == last {
			return
		}
	}
}

// compareRaw compares all keys and values with those of the moment, and returns them.
func (h *history) compareRaw(last store.LSN) map[string]string {
	snap, err := h.db.Snapshot(testContext)
	if err != nil {
		h.wrong("a snapshot: %v", err)
		return nil
	}
	defer snap.Close()
	got := map[string]string{}
	for kv, err := range snap.All() {
		if err != nil {
			h.wrong("reading all: %v", err)
			return nil
		}
		got[string(kv.Key)] = string(kv.Value)
	}
	h.stats.records += len(got)
	at := int(last - h.past[0].lsn)
	want := h.past[at].raw
	if want == nil {
		want = h.between(at, got)
	}
	if !maps.Equal(want, got) {
		h.wrong("the keys and values at %d differ:\n%s", last, gocmp.Diff(want, got))
	}
	h.stats.digests++
	if sum, err := snap.Digest(testContext); err != nil || sum != digest(want) {
		h.wrong("the digest at %d is %x, %v", last, sum, err)
	}
	if last > 0 && snap.Chain() != h.known[last-1].Chain {
		h.wrong("the chain at %d is %v, want %v", last, snap.Chain(), h.known[last-1].Chain)
	}
	return got
}

// between is what must be there at a moment amid a round. Keys that changed only before
// or only after it are known; what others held just then only the model knows, and for
// them got is believed.
func (h *history) between(at int, got map[string]string) map[string]string {
	from, to := at, at
	for h.past[from].raw == nil {
		from--
	}
	for h.past[to].raw == nil {
		to++
	}
	before, after := h.changed(from, at), h.changed(at, to)
	want := maps.Clone(h.past[from].raw)
	for k := range before {
		source := h.past[to].raw
		if after[k] {
			source = got
		}
		v, ok := source[k]
		if delete(want, k); ok {
			want[k] = v
		}
	}
	return want
}

// changed are the keys that changed after one moment up to another.
func (h *history) changed(from, to int) map[string]bool {
	keys := map[string]bool{}
	for _, m := range h.past[from+1 : to+1] {
		for _, k := range h.known[m.lsn-1].Keys {
			keys[string(k)] = true
		}
	}
	return keys
}

// digest is Snapshot.Digest of a plain map.
func digest(raw map[string]string) [32]byte {
	hash := sha256.New()
	for _, k := range slices.Sorted(maps.Keys(raw)) {
		lengths := binary.BigEndian.AppendUint64(nil, uint64(len(k)))
		hash.Write(binary.BigEndian.AppendUint64(lengths, uint64(len(raw[k]))))
		hash.Write([]byte(k))
		hash.Write([]byte(raw[k]))
	}
	return [32]byte(hash.Sum(nil))
}
