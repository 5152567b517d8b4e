package store

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/souk-market/souk/internal/market"
)

// CheckOptions of Check.
type CheckOptions struct {
	// Blob reports what is wrong with a blob (missing, another size); nil skips blobs.
	Blob func(sha256 string, size int64) error
	// Progress is called now and then with the number of keys read; nil for none.
	Progress func(keys int)
	// Total is called once the keys have been counted, with about how many reads of keys
	// there will be in all; nil for none.
	Total  func(keys int)
	Digest bool // make the report's digest, too
}

// Report is what Check found.
type Report struct {
	LSN      LSN
	Chain    Chain    // at LSN
	Digest   [32]byte // at LSN, see Snapshot.Digest; zero if it wasn't asked for
	Keys     int
	Records  map[string]int // by table
	Problems []string       // the first maxProblems of them, each a sentence
	More     int            // problems beyond those

	brokenOff bool // what seems wrong from here on may be what wasn't read
}

// OK reports whether the database is whole.
func (r *Report) OK() bool { return len(r.Problems) == 0 }

const maxProblems = 100

func (r *Report) problem(format string, args ...any) {
	if r.brokenOff {
		return
	}
	if len(r.Problems) == maxProblems {
		r.More++
		return
	}
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

// tables are all tables, in the order of their declaration.
var tables []anyTable

// anyTable is a table whatever its record type.
type anyTable interface {
	tableName() string
	tableNumber() tableID
	// hasKind reports whether the table has keys of a kind: records, an index, counts.
	hasKind(kind byte) bool
	// check verifies a tenant's records, index entries and counts.
	check(c *checker, r *reader)
}

func tableByID(id tableID) anyTable {
	for _, t := range tables {
		if t.tableNumber() == id {
			return t
		}
	}
	return nil
}

type checker struct {
	ctx    context.Context
	opts   CheckOptions
	report *Report

	keys, records int   // of all tenants
	damaged       error // of the last read that failed for a damaged file
	failed        int   // reads that did
}

func (c *checker) step() bool {
	c.report.Keys++
	if c.report.Keys%4096 != 0 {
		return true
	}
	if c.opts.Progress != nil {
		c.opts.Progress(c.report.Keys)
	}
	c.report.brokenOff = c.ctx.Err() != nil
	return !c.report.brokenOff
}

// unreadable notes that something can't be read. What damaged files are the cause of is
// said once, by reportDamage.
func (c *checker) unreadable(what string, err error) {
	if pebble.IsCorruptionError(err) {
		c.damaged = err
		c.failed++
		return
	}
	c.report.problem("%s can't be read: %v.", what, err)
}

// reportDamage names the damaged files that kept the check from reading something.
func (c *checker) reportDamage(files []string) {
	if c.damaged == nil {
		return
	}
	if len(files) == 0 {
		c.report.problem("What is in a damaged file can't be read: %v.", c.damaged)
	}
	for _, name := range files {
		c.report.problem("The file %s is damaged, and what is in it can't be read: %v.", name, c.damaged)
	}
}

// paths lists the files that were found damaged.
func (d *damage) paths() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.files))
}

// Check verifies the whole database at one snapshot: the change log has no holes, every
// key belongs to a table and every record decodes, indexes and counts match records,
// and the invariants of the market hold (see checkMarket). The error is for a check
// that couldn't be finished, Unavailable when the database is closed meanwhile; what is
// wrong with the data is in the report.
func (db *DB) Check(ctx context.Context, o CheckOptions) (*Report, error) {
	ctx, leave, err := db.stay(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	snap, err := db.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	c := &checker{ctx: ctx, opts: o, report: &Report{LSN: snap.lsn, Chain: snap.chain, Records: map[string]int{}}}
	c.checkLog(snap)
	c.checkSpaces(snap)
	tenants, err := c.checkKeys(snap)
	if err != nil {
		return c.report, err
	}
	if o.Total != nil { // tables read every key again, and the market most records
		o.Total(c.report.Keys + c.keys + c.records)
	}
	for _, tenant := range tenants {
		r := &reader{from: snap.snap, prefix: tenantPrefix(tenant), tenant: tenant, now: db.now()}
		for _, t := range tables {
			t.check(c, r)
		}
		c.checkMarket(&ReadTx{*r})
	}
	if o.Digest {
		if c.report.Digest, err = snap.Digest(ctx); err != nil && ctx.Err() == nil {
			c.unreadable("The digest's keys", err)
		}
	}
	c.reportDamage(db.damage.paths())
	return c.report, context.Cause(ctx)
}

// checkLog verifies that the log's entries follow each other up to the snapshot's LSN.
func (c *checker) checkLog(snap *Snapshot) {
	it, err := snap.snap.NewIter(&pebble.IterOptions{LowerBound: logPrefix, UpperBound: logEnd})
	if err != nil {
		c.unreadable("The change log", err)
		return
	}
	defer it.Close()
	var last LSN
	for ok := it.First(); ok && c.step(); ok = it.Next() {
		lsn := LSN(tupleUint(it.Key()[len(logPrefix):]))
		e, err := parseLogEntry(lsn, it.Value())
		if err != nil {
			c.report.problem("%v.", err)
			e.First = lsn
		}
		if last != 0 && e.First != last+1 {
			c.report.problem("The change log jumps from %d to %d.", last, e.First)
		}
		last = lsn
	}
	if err := it.Error(); err != nil {
		c.unreadable("The change log", err)
		return
	}
	if last != snap.lsn {
		c.report.problem("The change log ends at %d instead of %d.", last, snap.lsn)
	}
}

// checkSpaces verifies that there is nothing but what doc.go lists outside the space of
// the tenants.
func (c *checker) checkSpaces(snap *Snapshot) {
	it, err := snap.snap.NewIter(nil)
	if err != nil {
		c.unreadable("The keys", err)
		return
	}
	defer it.Close()
	for ok := it.First(); ok && c.step(); {
		switch k := it.Key(); {
		case bytes.HasPrefix(k, logPrefix): // checkLog reads them
			ok = it.SeekGE(logEnd)
			continue
		case k[0] == spaceTenant: // and checkKeys these
			ok = it.SeekGE([]byte{spaceTenant + 1})
			continue
		case !bytes.Equal(k, keySchema) && !bytes.Equal(k, keyNode):
			c.report.problem("The key %x belongs to nothing.", k)
		}
		ok = it.Next()
	}
	if err := it.Error(); err != nil {
		c.unreadable("The keys", err)
	}
}

// checkQueue verifies that every job is in a state from which it goes on, and that no
// operation was done after the last commit.
func (c *checker) checkQueue(tx *ReadTx) {
	for j := range recordsOf(c, tx, jobs) {
		if j.State != JobQueued && j.State != JobRunning && j.State != JobDead {
			c.report.problem("Job %s is in the state %q, in which nobody runs it.", j.ID, j.State)
		}
	}
	for o := range recordsOf(c, tx, ops) {
		if o.LSN > c.report.LSN {
			c.report.problem("The operation %s was done in commit %d, and the last one is %d.", o.ID, o.LSN, c.report.LSN)
		}
	}
}

// checkKeys verifies that every key belongs to a table, and lists the tenants.
func (c *checker) checkKeys(snap *Snapshot) ([]market.TenantID, error) {
	tenants := map[market.TenantID]bool{}
	for kv, err := range snap.All() {
		if err != nil {
			c.unreadable("A key", err)
			if all, err := tenantsIn(snap.snap); err == nil {
				return all, nil
			}
			break
		}
		if !c.step() {
			return nil, context.Cause(c.ctx)
		}
		if bytes.Equal(kv.Key, keyDataVersion) {
			c.checkDataVersion(kv.Value)
			continue
		}
		tenant, id, kind, _, ok := kv.Key.parse()
		var table anyTable
		if ok {
			table = tableByID(id)
		}
		switch {
		case table == nil:
			c.report.problem("The key %s belongs to no table.", kv.Key)
			continue
		case !table.hasKind(kind):
			c.report.problem("The key %s belongs to no index of its table.", kv.Key)
		}
		tenants[tenant] = true
		c.keys++
		if kind == recordKeys {
			c.records++
		}
	}
	return slices.Sorted(maps.Keys(tenants)), nil
}

func (c *checker) checkDataVersion(v []byte) {
	if !bytes.Equal(v, dataVersion()) {
		c.report.problem("The data says that its schema version is %x instead of %x.", v, dataVersion())
	}
}

func (t *Table[K, R]) tableName() string    { return t.name }
func (t *Table[K, R]) tableNumber() tableID { return t.id }

func (t *Table[K, R]) hasKind(kind byte) bool {
	for _, ix := range t.indexes {
		if kind == ix.number() || kind == countOf|ix.number() && ix.keepsCounts() {
			return true
		}
	}
	return kind == recordKeys
}

// check reads every record, looks for each of its index entries, and compares the
// numbers: as many entries as records want, and all of those found, is a bijection.
func (t *Table[K, R]) check(c *checker, r *reader) {
	failed := c.failed
	wanted := map[byte]int{}
	counts := map[string]int64{}
	lower := r.table(t.id, recordKeys)
	for k, v := range r.scan(lower, successor(lower)) {
		if v.err != nil {
			c.unreadable("A record of "+t.name, v.err)
			break
		}
		if !c.step() {
			return
		}
		var rec R
		if err := v.decode(&rec); err != nil {
			c.report.problem("The record %s can't be read: %v.", Key(k), err)
			continue
		}
		c.report.Records[t.name]++
		id := t.key(&rec)
		if !bytes.Equal(k, t.recordKey(r, id)) {
			c.report.problem("The record %s says that its key is %s.", Key(k), id)
		}
		for _, ix := range t.indexes {
			entry, ok := t.entryKey(r, ix, &rec)
			if !ok {
				continue
			}
			wanted[ix.number()]++
			if key, ok := ix.counted(r.table(t.id, countOf|ix.number()), &rec); ok {
				counts[string(key)]++
			}
			if got, err := r.value(entry); err != nil {
				c.unreadable("An index entry", err)
			} else if string(got) != string(id) {
				c.report.problem("The index of %s by %s has %q where %s should be.", t.name, ix.label(), got, id)
			}
		}
	}
	if c.failed > failed { // the numbers are of what could be read
		return
	}
	for _, ix := range t.indexes {
		t.checkIndexSize(c, r, ix, wanted[ix.number()])
		if ix.keepsCounts() {
			t.checkCounts(c, r, ix, counts)
		}
	}
	for k, n := range counts {
		c.report.problem("The count %s is missing; it should be %d.", Key(k), n)
	}
}

func (t *Table[K, R]) checkIndexSize(c *checker, r *reader, ix indexWriter[R], want int) {
	lower, got := r.table(t.id, ix.number()), 0
	for _, v := range r.scan(lower, successor(lower)) {
		if v.err != nil {
			c.unreadable("The index of "+t.name+" by "+ix.label(), v.err)
			return
		}
		if !c.step() {
			return
		}
		got++
	}
	if got != want {
		c.report.problem("The index of %s by %s has %d entries, and the records make %d.", t.name, ix.label(), got, want)
	}
}

// checkCounts compares an index's stored counts with those of the records, and takes
// the ones it met out of counts.
func (t *Table[K, R]) checkCounts(c *checker, r *reader, ix indexWriter[R], counts map[string]int64) {
	lower := r.table(t.id, countOf|ix.number())
	for k, v := range r.scan(lower, successor(lower)) {
		if v.err != nil {
			c.unreadable("The counts of "+t.name+" by "+ix.label(), v.err)
			return
		}
		if got, want := countIn(v.bytes), counts[string(k)]; got != want {
			c.report.problem("The count %s is %d, and the records make %d.", Key(k), got, want)
		}
		delete(counts, string(k))
	}
}
