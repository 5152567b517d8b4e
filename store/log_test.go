package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/souk-market/souk/internal/market"
)

// clock is a machine's clock that a test sets.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func newClock() *clock { return &clock{time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func update(t testing.TB, db *DB, op Op, fn func(tx *Tx) error) Result {
	t.Helper()
	res, err := db.Update(t.Context(), tenant, op, fn)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func putEvent(t testing.TB, db *DB, id, value string) LSN {
	t.Helper()
	return update(t, db, Op{}, func(tx *Tx) error {
		return Events.Put(tx, &market.ProviderEvent{ID: id, Quarantine: value})
	}).LSN
}

// history writes one and the same history into a database, but for the value of the
// commit that differs (0 for none).
func history(t *testing.T, differs int) *DB {
	at := newClock()
	db := openTest(t, Options{Clock: at.Now})
	for i := 1; i <= 20; i++ {
		at.now = at.now.Add(time.Second)
		value := fmt.Sprint("value ", i)
		if i == differs {
			value += "!"
		}
		update(t, db, Op{ID: fmt.Sprint(i), Class: Class(i % 3)}, func(tx *Tx) error {
			a := market.Account{ID: market.AccountID(fmt.Sprint("acc_", i)), Email: fmt.Sprintf("%d@example.com", i), Name: value}
			return Accounts.Insert(tx, &a)
		})
	}
	return db
}

func chains(t *testing.T, db *DB) (all []Chain) {
	t.Helper()
	for lsn := LSN(0); lsn <= db.LastLSN(); lsn++ {
		c, err := db.ChainAt(lsn)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	return all
}

func digest(t testing.TB, db *DB) [32]byte {
	t.Helper()
	snap, err := db.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	sum, err := snap.Digest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func TestOneHistoryMakesOneChain(t *testing.T) {
	a, b := history(t, 0), history(t, 0)
	if got, want := chains(t, a), chains(t, b); !slices.Equal(got, want) {
		t.Errorf("the chains of one history differ:\n%v\n%v", got, want)
	}
	if digest(t, a) != digest(t, b) {
		t.Error("the digests of one history differ")
	}
	// One byte of one value, and everything from there on is another history.
	other := history(t, 7)
	for lsn, c := range chains(t, other) {
		same, err := a.ChainAt(LSN(lsn))
		if err != nil {
			t.Fatal(err)
		}
		if (c == same) != (lsn < 7) {
			t.Errorf("the chains at %d are %v and %v; they fork at 7", lsn, c, same)
		}
	}
	if digest(t, a) == digest(t, other) {
		t.Error("two histories have one digest")
	}
}

func TestReopenedDatabaseGoesOnWhereItStood(t *testing.T) {
	disk := newDisk(t)
	db := disk.open()
	for i := range 5 {
		putEvent(t, db, fmt.Sprint(i), "x")
	}
	node, chain, sum := db.Node(), chains(t, db), digest(t, db)
	disk.close(db)
	db = disk.open()
	if got := db.Node(); got.ID != node.ID || !got.Created.Equal(node.Created) || got.Fenced || got.Origin != nil {
		t.Errorf("the node is %+v, want %+v", got, node)
	}
	if db.LastLSN() != 5 || db.DurableLSN() != 5 || !slices.Equal(chains(t, db), chain) || digest(t, db) != sum {
		t.Errorf("reopened at %d (%d durable) with another chain or digest", db.LastLSN(), db.DurableLSN())
	}
	if got := putEvent(t, db, "next", "x"); got != 6 {
		t.Errorf("the next LSN is %d, want 6", got)
	}
}

func TestCommitTimesFollowTheClockButNeverBack(t *testing.T) {
	at := newClock()
	disk := newDisk(t)
	disk.opts.Clock = at.Now
	db := disk.open()
	start := at.now
	var want []time.Time
	for i, step := range []time.Duration{0, 0, time.Millisecond, -365 * 24 * time.Hour, time.Hour, 366 * 24 * time.Hour} {
		at.now = at.now.Add(step)
		putEvent(t, db, fmt.Sprint(i), "x")
		last := at.now
		if len(want) > 0 && last.Before(want[len(want)-1]) {
			last = want[len(want)-1]
		}
		want = append(want, last)
	}
	// A restart forgets nothing of it.
	disk.close(db)
	at.now = start
	db = disk.open()
	putEvent(t, db, "after", "x")
	want = append(want, want[len(want)-1])
	for c, err := range db.Feed(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if !c.Time.Equal(want[c.LSN-1]) {
			t.Errorf("commit %d is of %v, want %v", c.LSN, c.Time, want[c.LSN-1])
		}
		if !c.More {
			break
		}
	}
	// Many commits in a millisecond don't run ahead of the clock.
	if got := want[1]; !got.Equal(start) {
		t.Errorf("the second commit of a moment is of %v, want %v", got, start)
	}
}

func TestChangedInNamesRecordsOnly(t *testing.T) {
	db := openTest(t, Options{})
	a := market.Account{ID: "acc_1", Email: "a@example.com"}
	update(t, db, Op{ID: "op"}, func(tx *Tx) error { return Accounts.Insert(tx, &a) })
	if _, err := db.Update(t.Context(), "ten_b", Op{}, func(tx *Tx) error { return Accounts.Insert(tx, &a) }); err != nil {
		t.Fatal(err)
	}
	update(t, db, Op{}, func(tx *Tx) error { return Accounts.Delete(tx, a.ID) })
	wants := [][]RecordKey[market.AccountID]{{{tenant, "acc_1"}}, {{"ten_b", "acc_1"}}, {{tenant, "acc_1"}}}
	for c, err := range db.Feed(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		got := slices.Collect(Accounts.ChangedIn(c.Keys))
		if !slices.Equal(got, wants[c.LSN-1]) {
			t.Errorf("change %d is of %v, want %v", c.LSN, got, wants[c.LSN-1])
		}
		if !slices.IsSortedFunc(c.Keys, func(a, b Key) int { return bytes.Compare(a, b) }) {
			t.Errorf("the keys of change %d aren't sorted: %v", c.LSN, c.Keys)
		}
		for range Accounts.ChangedIn(c.Keys) { // stopping early is fine
			break
		}
		if JobsChangedIn(c.Keys) {
			t.Errorf("change %d says that a job changed", c.LSN)
		}
		if !c.More {
			break
		}
	}
}

func TestLogIsCutBehindTheSlowestFollower(t *testing.T) {
	db := openTest(t, Options{logKept: 10})
	slow, fast := db.Retain("slow", 0), db.Retain("fast", 0)
	for i := range 50 {
		putEvent(t, db, fmt.Sprint(i), "x")
	}
	first := func() LSN {
		t.Helper()
		if err := db.CutLog(); err != nil {
			t.Fatal(err)
		}
		for lsn := LSN(1); ; lsn++ {
			if _, err := db.ChainAt(lsn); err == nil {
				return lsn
			} else if !errors.Is(err, ErrLogCut) {
				t.Fatal(err)
			}
		}
	}
	for _, step := range []struct {
		name string
		do   func()
		want LSN
	}{
		{"nobody has followed", func() {}, 1},
		{"only one has followed", func() { fast.Advance(50) }, 1},
		{"both have, within what is kept", func() { slow.Advance(10) }, 1},
		{"both have", func() { slow.Advance(30) }, 20},
		{"the slow one has gone", func() { slow.Release() }, 40},
		{"cut again", func() {}, 40},
	} {
		step.do()
		if got := first(); got != step.want {
			t.Errorf("%s: the log begins at %d, want %d", step.name, got, step.want)
		}
	}
	for _, after := range []LSN{0, 38} {
		for _, err := range db.Feed(t.Context(), after) {
			if !errors.Is(err, ErrLogCut) {
				t.Errorf("the feed after %d: %v, want ErrLogCut", after, err)
			}
		}
		snap, err := db.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := snap.Changes(after, 100); !errors.Is(err, ErrLogCut) {
			t.Errorf("the changes after %d: %v, want ErrLogCut", after, err)
		}
		snap.Close()
	}
	for c, err := range db.Feed(t.Context(), 39) {
		if err != nil || c.LSN != 40 {
			t.Errorf("the feed after 39 begins with %d, %v", c.LSN, err)
		}
		break
	}
	if got := putEvent(t, db, "next", "x"); got != 51 {
		t.Errorf("the next LSN is %d, want 51", got)
	}
}

// TestFeedReadsAhead follows more keys than are read at once, while the log is cut.
func TestFeedReadsAhead(t *testing.T) {
	db := openTest(t, Options{logKept: 1})
	const commits, keys = 30, 400
	for i := range commits {
		update(t, db, Op{}, func(tx *Tx) error {
			for k := range keys {
				if err := Events.Put(tx, &market.ProviderEvent{ID: fmt.Sprintf("%d/%d", i, k)}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	hold := db.Retain("us", 0)
	n := 0
	for c, err := range db.Feed(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		events := len(slices.Collect(Events.ChangedIn(c.Keys)))
		if n++; c.LSN != LSN(n) || events != keys || c.More != (n < commits) {
			t.Errorf("change %d: LSN %d with %d events, more: %t", n, c.LSN, events, c.More)
		}
		hold.Advance(c.LSN)
		if err := db.CutLog(); err != nil {
			t.Fatal(err)
		}
		if !c.More {
			break
		}
	}
}

func TestChangesAreFolded(t *testing.T) {
	db := openTest(t, Options{})
	snap := snapshotOfFive(t, db)
	defer snap.Close()
	foldedInto(t, db, snap)
	valuesOfChanges(t, snap)
	keysOfAll(t, snap)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := db.Snapshot(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a snapshot for a canceled context: %v", err)
	}
}

// snapshotOfFive is a snapshot after five commits of several classes, and before a sixth:
// each but the last writes an event and the one that all write, the last deletes one.
func snapshotOfFive(t *testing.T, db *DB) *Snapshot {
	t.Helper()
	classes := []Class{Ephemeral, UserData, Ephemeral, Transaction, UserData}
	for i, class := range classes {
		update(t, db, Op{Class: class}, func(tx *Tx) error {
			if i == 4 {
				return Events.Delete(tx, "e0")
			}
			for _, id := range []string{"hot", fmt.Sprint("e", i)} {
				if err := Events.Put(tx, &market.ProviderEvent{ID: id, Quarantine: fmt.Sprint("from ", i)}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	snap, err := db.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	putEvent(t, db, "hot", "after the snapshot")
	if snap.LSN() != 5 {
		t.Fatalf("the snapshot is of %d, want 5", snap.LSN())
	}
	return snap
}

// foldedInto asks for spans of the five commits.
func foldedInto(t *testing.T, db *DB, snap *Snapshot) {
	t.Helper()
	for _, c := range []struct {
		after    LSN
		n        int
		min, max LSN
		class    Class
		ids      []string
	}{
		{0, 100, 1, 5, Transaction, []string{"e0", "e1", "e2", "e3", "hot"}},
		{0, 1, 1, 1, Ephemeral, []string{"e0", "hot"}},
		{0, 3, 1, 3, UserData, []string{"e0", "e1", "e2", "hot"}},
		{3, 1, 4, 4, Transaction, []string{"e3", "hot"}},
		{4, 7, 5, 5, UserData, []string{"e0"}},
	} {
		cs, err := snap.Changes(c.after, c.n)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for k := range Events.ChangedIn(cs.Keys) {
			ids = append(ids, k.ID)
		}
		chain, err := db.ChainAt(c.max)
		if err != nil {
			t.Fatal(err)
		}
		if cs.Min != c.min || cs.Max != c.max || cs.Class != c.class || cs.Chain != chain || cs.Time.IsZero() || !slices.Equal(ids, c.ids) {
			t.Errorf("%d changes after %d: %d to %d, %v, %v; want %d to %d, %v, %v",
				c.n, c.after, cs.Min, cs.Max, cs.Class, ids, c.min, c.max, c.class, c.ids)
		}
	}
}

// valuesOfChanges reads what changed: nothing of what was deleted, and of what was written
// often what it was at the snapshot.
func valuesOfChanges(t *testing.T, snap *Snapshot) {
	t.Helper()
	cs, err := snap.Changes(0, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range cs.Keys {
		if bytes.Equal(k, keyDataVersion) {
			continue
		}
		v, ok, err := snap.Value(k)
		if err != nil {
			t.Fatal(err)
		}
		id, _, _ := cutText(k[len(tenantPrefix(tenant))+2:])
		var e market.ProviderEvent
		if ok {
			if err := decode(v, &e); err != nil {
				t.Fatal(err)
			}
		}
		if ok != (id != "e0") || id == "hot" && e.Quarantine != "from 3" {
			t.Errorf("%s is %q in the snapshot (there: %t)", k, e.Quarantine, ok)
		}
	}
}

// keysOfAll wants everything of the snapshot, in the order of the keys.
func keysOfAll(t *testing.T, snap *Snapshot) {
	t.Helper()
	var keys []Key
	for kv, err := range snap.All() {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, bytes.Clone(kv.Key))
	}
	if len(keys) != 5 || // the four events, and the data's version
		!bytes.Equal(keys[0], keyDataVersion) || !slices.IsSortedFunc(keys, func(a, b Key) int { return bytes.Compare(a, b) }) {
		t.Errorf("the snapshot has the keys %v", keys)
	}
}

// TestDigestTellsKeysFromValues: the same bytes cut elsewhere are other data.
func TestDigestTellsKeysFromValues(t *testing.T) {
	seen := map[[32]byte]string{}
	for _, kv := range [][2]string{{"ab", "c"}, {"a", "bc"}, {"abc", ""}, {"", "abc"}} {
		db := openRaw(t)
		rawSet(t, db, append([]byte{spaceTenant}, kv[0]...), []byte(kv[1]))
		sum := digest(t, db)
		if other, ok := seen[sum]; ok {
			t.Errorf("%q has the digest of %s", kv, other)
		}
		seen[sum] = fmt.Sprintf("%q", kv)
	}
}

func FuzzLogEntry(f *testing.F) {
	entry := appendLogEntry(nil, UserData, time.UnixMilli(1_790_000_000_000), Chain{1, 2, 3}, [][]byte{[]byte("\x01ab"), []byte("\x01abc"), []byte("\x01b")})
	f.Add(entry)
	f.Add(appendLogEntry(nil, Ephemeral, time.UnixMilli(-1), Chain{}, nil))
	var some, all span
	some.add([]byte("\x01ab"))
	some.add([]byte("\x01b"))
	all.unlist()
	f.Add(some.entry(3, 7, time.UnixMilli(1_790_000_000_000), Chain{1, 2, 3}))
	f.Add(all.entry(7, 7, time.UnixMilli(1_790_000_000_000), Chain{}))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := parseLogEntry(7, b)
		if err != nil {
			return
		}
		keys := make([][]byte, len(c.Keys))
		for i, k := range c.Keys {
			keys[i] = k
			_ = k.String()
		}
		if c.First < 1 || c.First > c.LSN {
			t.Errorf("%x stands for the commits %d to %d", b, c.First, c.LSN)
		}
		again, err := parseLogEntry(7, appendLogEntry(nil, c.Class, c.Time, c.Chain, keys))
		if err != nil || again.Class != c.Class || !again.Time.Equal(c.Time) || again.Chain != c.Chain ||
			!slices.EqualFunc(again.Keys, c.Keys, func(a, b Key) bool { return bytes.Equal(a, b) }) {
			t.Errorf("%x reads as %+v, and that as %+v, %v", b, c, again, err)
		}
	})
}

// FuzzTuple: texts and numbers come back from a key as they went in, and numbers sort.
func FuzzTuple(f *testing.F) {
	f.Add("ten_main", "agt_1", uint64(7), int64(9))
	f.Add("", "\x00\xff", uint64(1)<<63, int64(0))
	f.Fuzz(func(t *testing.T, a, b string, n uint64, m int64) {
		key := Key(append(tenantPrefix(market.TenantID(a)), byte(tableAgents), recordKeys))
		key = Key(tuple(key).text(b).uint(n))
		gotTenant, table, kind, rest, ok := key.parse()
		text, tail, ok2 := cutText(rest)
		if !ok || !ok2 || string(gotTenant) != a || table != tableAgents || kind != recordKeys || text != b || tupleUint(tail) != n {
			t.Errorf("%x reads as %q %d %d %q %d", key, gotTenant, table, kind, text, tupleUint(tail))
		}
		m = max(m, 0)
		if m > 0 && largestFirst(m).n >= largestFirst(m-1).n {
			t.Errorf("%d sorts behind %d", m, m-1)
		}
		if end := successor(key); bytes.Compare(key, end) >= 0 || bytes.HasPrefix(end, key) {
			t.Errorf("the successor of %x is %x", key, end)
		}
	})
}

func TestTextsSortByLengthThenBytes(t *testing.T) {
	var last []byte
	for _, s := range []string{"", "a", "b", "aa", "ab", string(bytes.Repeat([]byte{'a'}, 127))} {
		if k := tuple(nil).text(s); bytes.Compare(last, k) >= 0 {
			t.Errorf("%q sorts before what is before it", s)
		} else {
			last = k
		}
	}
	if n := oldestFirst(time.Unix(-5, 0)).n; n != 0 {
		t.Errorf("a time before 1970 sorts as %d, want 0", n)
	}
}
