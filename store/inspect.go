package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/souk-market/souk/internal/market"
)

// InspectQuery says what Inspect shows. The zero value is every record there is.
type InspectQuery struct {
	Tenant market.TenantID // "" for all
	Table  string          // the plural name of a table ("agents"); "" for all
	ID     string          // the record with exactly this key; "" for all
	Prefix string          // records whose keys begin with this
	After  Cursor          // of the last one seen: go on behind it
	Limit  int             // at most so many; 0 for no limit
	// Secrets shows what is masked otherwise: what opens something to whoever has it.
	Secrets bool
	// Raw shows keys of every kind with the size of their values instead of records:
	// index entries and counts, too, and without Tenant and Table the store's own and
	// the change log's. ID and Prefix are then of the whole key as Secrets prints it.
	Raw bool
}

// Inspected is a record, or with InspectQuery.Raw a key.
type Inspected struct {
	Tenant market.TenantID `json:"tenant,omitempty"`
	Table  string          `json:"table,omitempty"`
	// Key is the record's, or the whole key in print. Of a masked key it shows a hash.
	Key    string          `json:"key"`
	Record json.RawMessage `json:"record,omitempty"` // fields in alphabetical order; see recordJSON
	Size   int             `json:"size"`             // bytes of the stored value
	Cursor Cursor          `json:"cursor"`           // for InspectQuery.After
}

// TableNames lists the tables, in the order of their declaration.
func TableNames() []string {
	names := make([]string, len(tables))
	for i, t := range tables {
		names[i] = t.tableName()
	}
	return names
}

func tableByName(name string) (anyTable, error) {
	for _, t := range tables {
		if t.tableName() == name {
			return t, nil
		}
	}
	return nil, market.Errorf(market.NotFound, "There is no table %q. The tables are: %s.", name, strings.Join(TableNames(), ", "))
}

// Inspect yields records in the order of their keys: by tenant, table (in the order of
// their numbers) and key, shorter keys before longer ones. It reads a few hundred at a
// time, each time what is committed then.
//
// A record that can't be decoded comes with an error that names it, and the walk goes
// on. Any other error comes alone and is the last thing yielded: NotFound for an unknown
// table, Invalid for an unreadable After, Conflict for an After with a masked key whose
// record is gone.
func (db *DB) Inspect(ctx context.Context, q InspectQuery) iter.Seq2[Inspected, error] {
	return func(yield func(Inspected, error) bool) {
		w, err := db.newWalk(ctx, q)
		for n := 0; err == nil && w.from != nil; {
			var rows []inspectedRow
			rows, err = w.page(ctx)
			for _, row := range rows {
				if !yield(row.Inspected, row.err) {
					return
				}
				if n++; n == q.Limit {
					return
				}
			}
		}
		if err != nil {
			yield(Inspected{}, err)
		}
	}
}

type inspectedRow struct {
	Inspected
	err error // the record is damaged
}

// walk is an Inspect under way.
type walk struct {
	db    *DB
	q     InspectQuery
	table anyTable // nil for all
	from  []byte   // the next key to look at; nil at the end
}

func (db *DB) newWalk(ctx context.Context, q InspectQuery) (*walk, error) {
	w := &walk{db: db, q: q, from: []byte{spaceTenant}}
	if q.Raw && q.Tenant == "" && q.Table == "" {
		w.from = []byte{spaceEngine}
	}
	if q.Table != "" {
		var err error
		if w.table, err = tableByName(q.Table); err != nil {
			return nil, err
		}
	}
	if q.After == "" {
		return w, nil
	}
	last, err := db.inspectedAt(ctx, q.After)
	w.from = append(last, 0)
	return w, err
}

// A page ends with so many rows, or after looking at so many keys: no iterator stays
// open while they are printed, for it would keep old files on the disk.
const (
	pageRows = 256
	pageKeys = 1 << 14
)

// page reads on from w.from, and moves it.
func (w *walk) page(ctx context.Context) (rows []inspectedRow, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := w.db.gate.enter(); err != nil {
		return nil, err
	}
	defer w.db.gate.leave()
	it, err := w.db.engine.NewIter(&pebble.IterOptions{LowerBound: w.from, UpperBound: []byte{spaceTenant + 1}})
	if err != nil {
		return nil, fmt.Errorf("store: inspecting: %w", err)
	}
	defer it.Close()
	ok := it.First()
	for looked := 0; ok; looked++ {
		if len(rows) == pageRows || looked == pageKeys {
			w.from = bytes.Clone(it.Key())
			return rows, nil
		}
		next, wanted := w.next(it.Key())
		if wanted {
			row, err := w.row(it)
			if err != nil {
				return rows, err
			}
			if row != nil {
				rows = append(rows, *row)
			}
		}
		if next != nil {
			ok = it.SeekGE(next)
		} else {
			ok = it.Next()
		}
	}
	w.from = nil
	if err := it.Error(); err != nil {
		return rows, fmt.Errorf("store: inspecting: %w", err)
	}
	return rows, nil
}

// next reports whether the walk may want a key, and where to go on if that isn't the
// key after it.
func (w *walk) next(k Key) (to []byte, wanted bool) {
	tenant, id, kind, _, ok := k.parse()
	if !ok { // the store's own, or damaged
		return nil, w.q.Raw && w.q.Tenant == "" && w.table == nil
	}
	prefix := tenantPrefix(tenant)
	if w.q.Tenant != "" && tenant != w.q.Tenant {
		if mine := tenantPrefix(w.q.Tenant); bytes.Compare(k, mine) < 0 {
			return mine, false
		}
		return []byte{spaceTenant + 1}, false
	}
	if w.table != nil {
		switch its := w.table.tableNumber(); {
		case id < its:
			return append(prefix, byte(its)), false
		case id > its:
			return successor(prefix), false
		}
	}
	if w.q.Raw {
		return nil, true
	}
	prefix = append(prefix, byte(id))
	if kind != recordKeys {
		return successor(prefix), false
	}
	if w.q.ID == "" {
		return nil, true
	}
	switch exactly := append(prefix, recordKeys).text(w.q.ID); bytes.Compare(k, exactly) {
	case -1:
		return exactly, false
	case 1:
		return successor(append(prefix, recordKeys)), false
	}
	return nil, true
}

// row makes a row of what the iterator stands on; nil when the query doesn't want it.
func (w *walk) row(it *pebble.Iterator) (*inspectedRow, error) {
	k := Key(it.Key())
	tenant, id, _, rest, ok := k.parse()
	var table string
	if t := tableByID(id); ok && t != nil {
		table = t.tableName()
	}
	name := ""
	if w.q.Raw {
		name = k.print(true)
	} else if name, _, ok = cutText(rest); !ok || table == "" {
		return nil, nil // Check names it, and so does Raw
	}
	if w.q.ID != "" && name != w.q.ID || !strings.HasPrefix(name, w.q.Prefix) {
		return nil, nil
	}
	v, err := it.ValueAndErr()
	if err != nil {
		return nil, fmt.Errorf("store: inspecting %s: %w", k.print(w.q.Secrets), err)
	}
	row := &inspectedRow{Inspected: Inspected{Tenant: tenant, Table: table, Key: name, Size: len(v), Cursor: cursorOf(k, w.q.Secrets)}}
	switch {
	case w.q.Raw && !w.q.Secrets:
		row.Key = k.print(false)
	case !w.q.Secrets:
		row.Key = maskedKey(id, recordKeys, name)
	}
	if w.q.Raw {
		return row, nil
	}
	if row.Record, err = recordJSON(id, v, w.q.Secrets); err != nil {
		row.err = market.Errorf(market.Internal, "The record %s is damaged.", k.print(w.q.Secrets)).Because(err)
	}
	return row, nil
}

// cursorOf is the place of a key. One that is masked is given by where its kind begins
// and a hash.
func cursorOf(k Key, secrets bool) Cursor {
	if !secrets {
		if _, id, kind, rest, ok := k.parse(); ok && isSecretKey(id, kind) {
			place := append([]byte{cursorMasked}, fingerprint(rest)...)
			return cursorAt(append(place, k[:len(k)-len(rest)]...))
		}
	}
	return cursorAt(append([]byte{cursorPlain}, k...))
}

const (
	cursorPlain  = 0 // the key follows
	cursorMasked = 1 // the fingerprint of its end follows, and then its beginning
)

// inspectedAt returns the key that a cursor of Inspect stands on.
func (db *DB) inspectedAt(ctx context.Context, c Cursor) ([]byte, error) {
	place, ok := c.place()
	switch {
	case ok && len(place) > 1 && place[0] == cursorPlain:
		return place[1:], nil
	case ok && len(place) > 1+fingerprintSize && place[0] == cursorMasked:
		return db.maskedAt(ctx, place[1+fingerprintSize:], place[1:1+fingerprintSize])
	}
	return nil, market.FieldErrorf("after", "This cursor can't be read. Take it unchanged from the last row seen.")
}

// maskedAt looks for the key with a prefix whose end has a fingerprint.
func (db *DB) maskedAt(ctx context.Context, prefix, mark []byte) ([]byte, error) {
	if err := db.gate.enter(); err != nil {
		return nil, err
	}
	defer db.gate.leave()
	it, err := db.engine.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: successor(prefix)})
	if err != nil {
		return nil, fmt.Errorf("store: inspecting: %w", err)
	}
	defer it.Close()
	for ok := it.First(); ok && ctx.Err() == nil; ok = it.Next() {
		if bytes.Equal(fingerprint(it.Key()[len(prefix):]), mark) {
			return bytes.Clone(it.Key()), nil
		}
	}
	if err := it.Error(); err != nil {
		return nil, fmt.Errorf("store: inspecting: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return nil, market.Errorf(market.Conflict, "The record that this cursor stands on is gone, and its key is masked. Begin again, or show secrets.")
}

// print writes a key for people. Unlike String it knows the store's own keys and the
// parts of index entries; without secrets it masks what isn't for every eye.
func (k Key) print(secrets bool) string {
	tenant, id, kind, rest, ok := k.parse()
	if !ok {
		return k.printOwn()
	}
	name := fmt.Sprintf("table %d", id)
	if t := tableByID(id); t != nil {
		name = t.tableName()
	}
	what := "records"
	if kind >= countOf {
		what = fmt.Sprintf("counts %d", kind&^countOf)
	} else if kind != recordKeys {
		what = fmt.Sprintf("index %d", kind)
	}
	parts := printParts(rest)
	if !secrets {
		parts = maskedKey(id, kind, parts)
	}
	return fmt.Sprintf("%s/%s/%s/%s", tenant, name, what, parts)
}

// printOwn prints a key that is no tenant's.
func (k Key) printOwn() string {
	switch {
	case bytes.Equal(k, keyDataVersion):
		return "schema version of the data"
	case bytes.Equal(k, keySchema):
		return "schema version of the directory"
	case bytes.Equal(k, keyNode):
		return "node"
	case bytes.HasPrefix(k, logPrefix) && len(k) == len(logPrefix)+8:
		return fmt.Sprintf("change log/%d", binary.BigEndian.Uint64(k[len(logPrefix):]))
	}
	return fmt.Sprintf("%x", []byte(k))
}

// printParts prints the parts of a key, which don't say of what kind they are: a text
// where one can be read, else a number; of one that sorts downwards, ~ and the number.
// What is neither is printed in hexadecimal.
func printParts(b []byte) string {
	var parts []string
	for len(b) > 0 {
		if text, rest, ok := cutText(b); ok && text != "" && isPrintable(text) {
			parts, b = append(parts, text), rest
			continue
		}
		if len(b) < 8 {
			parts = append(parts, fmt.Sprintf("%x", b))
			break
		}
		n := binary.BigEndian.Uint64(b)
		if b = b[8:]; n>>63 == 1 {
			parts = append(parts, fmt.Sprintf("~%d", ^n))
		} else {
			parts = append(parts, fmt.Sprint(n))
		}
	}
	return strings.Join(parts, "/")
}

// InspectLog yields the durable entries of the change log after an LSN, at most limit of
// them (0 for all), beginning with the oldest kept when the log has been cut there. It
// doesn't wait for new ones. An entry that can't be read comes with an error that names
// it, and the walk goes on; another error is the last thing yielded.
func (db *DB) InspectLog(ctx context.Context, after LSN, limit int) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		for n := 0; ; {
			entries, err := db.logPage(ctx, after)
			for _, e := range entries {
				if !yield(e.Change, e.err) {
					return
				}
				if after, n = e.LSN, n+1; n == limit {
					return
				}
			}
			if err != nil {
				yield(Change{}, err)
			}
			if err != nil || len(entries) == 0 {
				return
			}
		}
	}
}

type loggedChange struct {
	Change
	err error // the entry is damaged; it has an LSN only
}

// logPage reads the first entries after an LSN; none at the end of the log.
func (db *DB) logPage(ctx context.Context, after LSN) (entries []loggedChange, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := db.gate.enter(); err != nil {
		return nil, err
	}
	defer db.gate.leave()
	upTo := db.DurableLSN()
	if after >= upTo {
		return nil, nil
	}
	it, err := db.engine.NewIter(&pebble.IterOptions{LowerBound: logKey(after + 1), UpperBound: logKey(upTo + 1)})
	if err != nil {
		return nil, fmt.Errorf("store: reading the change log: %w", err)
	}
	defer it.Close()
	keys := 0
	for ok := it.First(); ok && keys < feedKeys; ok = it.Next() {
		lsn := LSN(tupleUint(it.Key()[len(logPrefix):]))
		c, err := parseLogEntry(lsn, it.Value())
		c.LSN, c.More = lsn, lsn < upTo
		entries = append(entries, loggedChange{c, err})
		keys += 1 + len(c.Keys)
	}
	if err := it.Error(); err != nil {
		return entries, fmt.Errorf("store: reading the change log: %w", err)
	}
	return entries, nil
}

// MarshalJSON prints a change for people: the keys as Inspect prints them, masked.
func (c Change) MarshalJSON() ([]byte, error) {
	keys := make([]string, len(c.Keys))
	for i, k := range c.Keys {
		keys[i] = k.print(false)
	}
	first := c.First
	if first == c.LSN {
		first = 0
	}
	return json.Marshal(struct {
		First    LSN       `json:"first,omitempty"` // of a run of commits
		LSN      LSN       `json:"lsn"`
		Time     time.Time `json:"time"`
		Class    string    `json:"class"`
		Chain    string    `json:"chain"`
		Keys     []string  `json:"keys"`
		Unlisted bool      `json:"unlisted,omitempty"` // any key may have changed
	}{first, c.LSN, c.Time, c.Class.String(), c.Chain.String(), keys, c.unlisted})
}
