package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/souk-market/souk/internal/market"
)

// inspect collects what a query yields: rows, and in their order the errors of damaged
// ones and of the end.
func inspect(t *testing.T, db *DB, q InspectQuery) (rows []Inspected, errs []error) {
	t.Helper()
	for row, err := range db.Inspect(t.Context(), q) {
		if err != nil {
			errs = append(errs, err)
		}
		if row.Key != "" {
			rows = append(rows, row)
		}
	}
	return rows, errs
}

// inspectAll is inspect for a query that has no errors; it returns "tenant/table/key"
// of each row.
func inspectAll(t *testing.T, db *DB, q InspectQuery) (keys []string) {
	t.Helper()
	rows, errs := inspect(t, db, q)
	if len(errs) > 0 {
		t.Fatalf("%+v: %v", q, errs)
	}
	for _, r := range rows {
		keys = append(keys, fmt.Sprintf("%s/%s/%s", r.Tenant, r.Table, r.Key))
	}
	return keys
}

func openStalls(t *testing.T) *DB {
	db := openTest(t, Options{})
	for _, name := range []market.TenantID{"ten_main", "ten_b"} {
		_, err := db.Update(t.Context(), name, Op{}, func(tx *Tx) error {
			return errors.Join(
				Accounts.Insert(tx, &market.Account{ID: "acc_2", Email: "b@example.com", Password: "$argon2id$x"}),
				Accounts.Insert(tx, &market.Account{ID: "acc_1", Email: "a@example.com"}),
				Accounts.Insert(tx, &market.Account{ID: "acc_10", Email: "j@example.com"}),
				Events.Insert(tx, &market.ProviderEvent{ID: "sandbox:e"}))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return db
}

func TestInspectFindsRecords(t *testing.T) {
	db := openStalls(t)
	for name, test := range map[string]struct {
		q    InspectQuery
		want []string
	}{
		"everything": {InspectQuery{}, []string{
			"ten_b/accounts/acc_1", "ten_b/accounts/acc_2", "ten_b/accounts/acc_10", "ten_b/events/sandbox:e",
			"ten_main/accounts/acc_1", "ten_main/accounts/acc_2", "ten_main/accounts/acc_10", "ten_main/events/sandbox:e"}},
		"one tenant":        {InspectQuery{Tenant: "ten_b", Table: "accounts"}, []string{"ten_b/accounts/acc_1", "ten_b/accounts/acc_2", "ten_b/accounts/acc_10"}},
		"the last tenant":   {InspectQuery{Tenant: "ten_main", Table: "events"}, []string{"ten_main/events/sandbox:e"}},
		"no such tenant":    {InspectQuery{Tenant: "ten_c"}, nil},
		"a table":           {InspectQuery{Table: "events"}, []string{"ten_b/events/sandbox:e", "ten_main/events/sandbox:e"}},
		"an empty table":    {InspectQuery{Table: "orders"}, nil},
		"a key":             {InspectQuery{Table: "accounts", ID: "acc_1"}, []string{"ten_b/accounts/acc_1", "ten_main/accounts/acc_1"}},
		"a key anywhere":    {InspectQuery{Tenant: "ten_main", ID: "sandbox:e"}, []string{"ten_main/events/sandbox:e"}},
		"no such key":       {InspectQuery{Table: "accounts", ID: "acc_3"}, nil},
		"a prefix":          {InspectQuery{Tenant: "ten_b", Prefix: "acc_1"}, []string{"ten_b/accounts/acc_1", "ten_b/accounts/acc_10"}},
		"a limit":           {InspectQuery{Limit: 2}, []string{"ten_b/accounts/acc_1", "ten_b/accounts/acc_2"}},
		"limit and a table": {InspectQuery{Table: "events", Limit: 1}, []string{"ten_b/events/sandbox:e"}},
	} {
		if diff := cmp.Diff(test.want, inspectAll(t, db, test.q)); diff != "" {
			t.Errorf("%s: want and got differ:\n%s", name, diff)
		}
	}
	_, errs := inspect(t, db, InspectQuery{Table: "agent"})
	if len(errs) != 1 {
		t.Fatalf("an unknown table: %v", errs)
	}
	wantSentence(t, errs[0], market.NotFound, `no table "agent"`, "accounts", "agents", "jobs")
	_, errs = inspect(t, db, InspectQuery{After: "junk"})
	if len(errs) != 1 || !market.Is(errs[0], market.Invalid) {
		t.Errorf("an unreadable cursor: %v", errs)
	}
}

// TestInspectPages: every page goes on where the one before ended, whatever is written
// or deleted in between, with masked keys, too.
func TestInspectPages(t *testing.T) {
	db := openTest(t, Options{})
	const n = 2*pageRows + 10
	update(t, db, Op{}, func(tx *Tx) error {
		for i := range n {
			if err := Sessions.Insert(tx, &market.Session{ID: market.SessionID(fmt.Sprintf("ses_%03d", i)), Account: "acc_1"}); err != nil {
				return err
			}
			if i == 300 { // the limit of a transaction
				break
			}
		}
		return Accounts.Insert(tx, &market.Account{ID: "acc_1", Email: "a@example.com"})
	})
	update(t, db, Op{}, func(tx *Tx) error {
		for i := 301; i < n; i++ {
			if err := Sessions.Insert(tx, &market.Session{ID: market.SessionID(fmt.Sprintf("ses_%03d", i)), Account: "acc_1"}); err != nil {
				return err
			}
		}
		return nil
	})
	for _, shown := range []bool{true, false} {
		var got []string
		var after Cursor
		for {
			rows, errs := inspect(t, db, InspectQuery{Table: "sessions", After: after, Limit: 100, Secrets: shown})
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			for _, r := range rows {
				got = append(got, r.Key)
				after = r.Cursor
			}
			if len(rows) < 100 {
				break
			}
		}
		slices.Sort(got)
		if got = slices.Compact(got); len(got) != n {
			t.Errorf("secrets shown: %t: the pages have %d records, want %d", shown, len(got), n)
		}
		for _, k := range got {
			if strings.HasPrefix(k, "ses_") != shown {
				t.Fatalf("secrets shown: %t: the key %s", shown, k)
			}
		}
		if all := inspectAll(t, db, InspectQuery{Table: "sessions"}); len(all) != n {
			t.Errorf("at once: %d records, want %d", len(all), n)
		}
	}
	// The record that a page ends with may go.
	for _, shown := range []bool{true, false} {
		rows, _ := inspect(t, db, InspectQuery{Table: "sessions", Limit: 1, Secrets: shown})
		all, _ := inspect(t, db, InspectQuery{Table: "sessions", Limit: 2, Secrets: true})
		update(t, db, Op{}, func(tx *Tx) error { return Sessions.Delete(tx, market.SessionID(all[0].Key)) })
		next, errs := inspect(t, db, InspectQuery{Table: "sessions", After: rows[0].Cursor, Limit: 1, Secrets: true})
		if shown && (len(errs) > 0 || next[0].Key != all[1].Key) {
			t.Errorf("after a deleted record: %v, %v, want %s", next, errs, all[1].Key)
		}
		if !shown && (len(errs) != 1 || !market.Is(errs[0], market.Conflict)) {
			t.Errorf("after a deleted record with a masked key: %v, %v", next, errs)
		}
	}
}

func TestInspectShowsWhatIsStored(t *testing.T) {
	db := openTest(t, Options{})
	at := time.Date(2026, 3, 1, 12, 0, 0, 5, time.UTC)
	update(t, db, Op{ID: "op", Class: Transaction}, func(tx *Tx) error {
		tx.SetResult([]byte{0xff, 1})
		type payload struct {
			To    string `cbor:"to"`
			Reset struct {
				Token string `cbor:"token"`
			} `cbor:"reset"`
		}
		p := payload{To: "ada"}
		p.Reset.Token = "s3cret"
		return errors.Join(
			Payments.Insert(tx, &market.Payment{ID: "pay_1", Amount: market.Money{Amount: 1900, Currency: "USD"}, State: market.PaymentCreated, Created: at}),
			Checkouts.Insert(tx, &market.Checkout{ID: "chk_1", Receipt: "s3cret", Cart: "s3cret", Number: "1", Payment: "pay_1", Created: at, Total: market.Money{Amount: 1900, Currency: "USD"}}),
			Enqueue(tx, "mail.reset", p))
	})
	rawSet(t, db, keyOf(tableEvents, recordKeys, texts("new")), must(encode(map[string]any{"id": "new", "later": []any{1, "x", true, nil}})))
	for key, want := range map[string]string{
		"pay_1": `{"amount":{"a":1900,"c":"USD"},"checkout":"","created":"2026-03-01T12:00:00.000000005Z","id":"pay_1","provider":"","state":"created"}`,
		"new":   `{"id":"new","later":[1,"x",true,null]}`,
	} {
		rows, errs := inspect(t, db, InspectQuery{ID: key})
		if len(errs) > 0 || len(rows) != 1 || string(rows[0].Record) != want {
			t.Errorf("%s is shown as %v (%v)\nwant %s", key, rows, errs, want)
		}
	}
	for table, fields := range map[string]map[string]string{
		"ops":       {"result": "0xff01"},
		"checkouts": {"receipt": mask, "cart": mask, "number": "1"},
		"jobs":      {"kind": "mail.reset", "payload": ""},
	} {
		rows, _ := inspect(t, db, InspectQuery{Table: table})
		var rec map[string]any
		if err := json.Unmarshal(rows[0].Record, &rec); err != nil {
			t.Fatal(err)
		}
		for name, want := range fields {
			if got, ok := rec[name].(string); ok && got != want || rec[name] == nil {
				t.Errorf("%s of %s is %v, want %q", name, table, rec[name], want)
			}
		}
		if strings.Contains(string(rows[0].Record), "s3cret") {
			t.Errorf("a secret is shown: %s", rows[0].Record)
		}
		rows, _ = inspect(t, db, InspectQuery{Table: table, Secrets: true})
		if shown := strings.Contains(string(rows[0].Record), "s3cret"); shown != (table != "ops") {
			t.Errorf("with secrets: %s", rows[0].Record)
		}
	}
	rawDelete(t, db, keyOf(tableEvents, recordKeys, texts("new")))
	db.Close() // the shop is no whole one
}

// TestInspectRawMasksEveryKey: none of the keys of a whole shop shows a secret.
func TestInspectRawMasksEveryKey(t *testing.T) {
	db := openShop(t)
	update(t, db, Op{}, func(tx *Tx) error { return Carts.Insert(tx, &market.Cart{ID: "crt_secret"}) })
	rows, errs := inspect(t, db, InspectQuery{Raw: true})
	shown, _ := inspect(t, db, InspectQuery{Raw: true, Secrets: true})
	if len(errs) > 0 || len(rows) != len(shown) || len(rows) < 60 {
		t.Fatalf("%d keys, %d with secrets: %v", len(rows), len(shown), errs)
	}
	found := map[string]bool{}
	for i := range rows {
		for _, s := range []string{"ses_1", "crt_secret", "/r1", market.HashLicenseKey("SOUK-0000-1111-2222-3333-4444-5555-6666")} {
			if strings.Contains(rows[i].Key, s) {
				t.Errorf("the key %s shows %s", rows[i].Key, s)
			}
			if strings.Contains(shown[i].Key, s) {
				found[s] = true
			}
		}
	}
	if len(found) != 4 {
		t.Errorf("with secrets only %v are shown", found)
	}
	got := inspectAll(t, db, InspectQuery{Raw: true, Table: "sellers", Secrets: true})
	want := []string{"ten_main/sellers/ten_main/sellers/records/sel_1", "ten_main/sellers/ten_main/sellers/index 1/ada", "ten_main/sellers/ten_main/sellers/index 2/acc_1/sel_1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the keys of the sellers, want and got:\n%s", diff)
	}
	got = inspectAll(t, db, InspectQuery{Raw: true, Prefix: "change log/"})
	if len(got) != int(db.LastLSN()) {
		t.Errorf("%d entries of the change log, want %d: %v", len(got), db.LastLSN(), got)
	}
	for _, own := range []string{"node", "schema version of the directory"} {
		if got := inspectAll(t, db, InspectQuery{Raw: true, ID: own}); len(got) != 1 {
			t.Errorf("%q is found %d times", own, len(got))
		}
	}
}

func TestInspectGoesOnAfterDamage(t *testing.T) {
	db := openRaw(t)
	for _, id := range []string{"a", "b", "c"} {
		putEvent(t, db, id, "")
	}
	rawSet(t, db, keyOf(tableEvents, recordKeys, texts("b")), []byte{0xff})
	rawSet(t, db, logKey(2), []byte{9})
	rows, errs := inspect(t, db, InspectQuery{})
	if len(rows) != 3 || len(errs) != 1 || rows[1].Key != "b" || rows[1].Record != nil || rows[2].Key != "c" {
		t.Errorf("rows %v, errors %v", rows, errs)
	}
	wantSentence(t, errs[0], market.Internal, "ten_main/events/records/b is damaged")
	var log []LSN
	for c, err := range db.InspectLog(t.Context(), 0, 0) {
		if (err != nil) != (c.LSN == 2) {
			t.Errorf("entry %d: %v", c.LSN, err)
		}
		log = append(log, c.LSN)
	}
	if !slices.Equal(log, []LSN{1, 2, 3}) {
		t.Errorf("the log has %v", log)
	}
}

func TestInspectLog(t *testing.T) {
	at := newClock()
	db := openTest(t, Options{Clock: at.Now, logKept: 5})
	for i := range 12 {
		putEvent(t, db, fmt.Sprint(i), "")
	}
	lsns := func(after LSN, limit int) (got []LSN) {
		for c, err := range db.InspectLog(t.Context(), after, limit) {
			if err != nil {
				t.Error(err)
			}
			got = append(got, c.LSN)
		}
		return got
	}
	if got := lsns(9, 0); !slices.Equal(got, []LSN{10, 11, 12}) {
		t.Errorf("after 9: %v", got)
	}
	if got := lsns(3, 2); !slices.Equal(got, []LSN{4, 5}) {
		t.Errorf("two after 3: %v", got)
	}
	if got := lsns(12, 0); got != nil {
		t.Errorf("after the last: %v", got)
	}
	if err := db.CutLog(); err != nil {
		t.Fatal(err)
	}
	if got := lsns(0, 1); !slices.Equal(got, []LSN{7}) {
		t.Errorf("the first that is kept: %v", got)
	}
	for c, err := range db.InspectLog(t.Context(), 11, 1) {
		if err != nil {
			t.Fatal(err)
		}
		got, err := json.Marshal(c)
		want := fmt.Sprintf(`{"lsn":12,"time":"2026-03-01T12:00:00Z","class":"transaction","chain":"%s","keys":["ten_main/events/records/11"]}`, c.Chain)
		if err != nil || string(got) != want {
			t.Errorf("the last entry is %s, %v\nwant %s", got, err, want)
		}
	}
}

func TestMaskFieldFollowsPaths(t *testing.T) {
	rec := map[string]any{"a": []any{map[string]any{"b": "x", "c": "y"}, map[string]any{"b": ""}}, "b": "z"}
	maskField(rec, []string{"a", "b"})
	want := map[string]any{"a": []any{map[string]any{"b": mask, "c": "y"}, map[string]any{"b": ""}}, "b": "z"}
	if diff := cmp.Diff(want, rec); diff != "" {
		t.Errorf("want and got differ:\n%s", diff)
	}
}

// notSecret are fields with a secret's name that open nothing.
var notSecret = []string{
	"drills.keys",       // how many there are
	"agents.facts.keys", // the names of variables
}

// TestSecretsAreMarked: whoever adds a field that is named like a secret says whether it
// is one.
func TestSecretsAreMarked(t *testing.T) {
	secretName := regexp.MustCompile(`(?i)key|secret|passw|token|receipt|cart|hash|session`)
	for _, table := range tables {
		rec, _, err := table.(sampled).decodeSample(must(encode(map[string]any{})))
		if err != nil {
			t.Fatal(err)
		}
		fields := cborFields(reflect.TypeOf(rec), "")
		for _, f := range fields {
			marked := slices.Contains(secrets[table.tableNumber()].fields, f.name)
			listed := slices.Contains(notSecret, table.tableName()+"."+f.name)
			if secretName.MatchString(f.name+f.goName+f.goType) && !marked && !listed {
				t.Errorf("%s.%s may be a secret: mark it in secrets, or list it in notSecret", table.tableName(), f.name)
			}
			if marked && listed {
				t.Errorf("%s.%s is both a secret and not", table.tableName(), f.name)
			}
		}
		for _, name := range secrets[table.tableNumber()].fields {
			if !slices.ContainsFunc(fields, func(f field) bool { return f.name == name }) {
				t.Errorf("%s has no field %s", table.tableName(), name)
			}
		}
	}
}

// field of a record: its stored name with those of what it is in, and its Go name and type.
type field struct{ name, goName, goType string }

// cborFields lists the fields of a type, and of what is in them.
func cborFields(t reflect.Type, in string) (fields []field) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return cborFields(t.Elem(), in)
	case reflect.Struct:
		for f := range t.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("cbor"), ",")
			if name == "" || name == "-" {
				continue
			}
			fields = append(fields, field{in + name, f.Name, f.Type.Name()})
			fields = append(fields, cborFields(f.Type, in+name+".")...)
		}
	}
	return fields
}

// TestKeysInErrorsAreMasked: an error about a receipt's index entry doesn't tell the receipt.
func TestKeysInErrorsAreMasked(t *testing.T) {
	const receipt = "0123456789abcdefghjkmnpqrstvwxyz"
	if got := Key(keyOf(tableCheckouts, CheckoutByReceipt.n, texts(receipt))).String(); strings.Contains(got, receipt) || !strings.HasPrefix(got, "ten_main/checkouts/index 1/masked:") {
		t.Errorf("the key prints as %q", got)
	}
	if got, want := Key(keyOf(tableAgents, recordKeys, texts("agt_1"))).String(), "ten_main/agents/records/agt_1"; got != want {
		t.Errorf("the key prints as %q, want %q", got, want)
	}
}
