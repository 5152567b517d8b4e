package ledger

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/store/storetest"
)

var start = time.Date(2026, 3, 1, 22, 30, 0, 0, time.UTC)

// books are a store with postings in order of time.
type books struct {
	testing.TB
	db     *store.DB
	posted []market.Posting
}

func openBooks(t testing.TB) *books {
	return &books{TB: t, db: storetest.Open(t)}
}

func (b *books) post(pp ...market.Posting) {
	b.Helper()
	_, err := b.db.Update(context.Background(), market.MainTenant, store.Op{ID: "post/" + string(pp[0].ID)}, func(tx *store.Tx) error {
		var errs []error
		for i := range pp {
			errs = append(errs, store.Post(tx, &pp[i]))
		}
		return errors.Join(errs...)
	})
	if err != nil {
		b.Fatal(err)
	}
	b.posted = append(b.posted, pp...)
}

func transfer(at time.Time, cause string, amount market.Money, from, to market.LedgerAccount) market.Posting {
	return market.Posting{ID: market.NewPostingID(at), Cause: cause, At: at, Entries: []market.Entry{
		{Account: to, Amount: amount}, {Account: from, Amount: amount.Neg()},
	}}
}

// random posts sales of several sellers in several currencies over some days, some of
// them taken back, the last at least a millisecond after the one before.
func (b *books) random(rng *rand.Rand, n int) {
	b.Helper()
	at := start
	for i := range n {
		at = at.Add(time.Duration(1 + rng.Int64N(int64(3*time.Hour)))).Truncate(time.Millisecond)
		currency := []market.Currency{"USD", "EUR", "JPY", "KWD"}[rng.IntN(4)]
		price := market.Money{Amount: 1 + rng.Int64N([]int64{9, 999, 1 << 40}[rng.IntN(3)]), Currency: currency}
		o := market.Order{
			ID: market.OrderID(fmt.Sprint("ord_", i)), Seller: market.SellerID(fmt.Sprint("sel_", rng.IntN(5))), Total: price,
			Lines: []market.Line{{Price: price, Commission: price.BasisPoints(rng.Int64N(10_001))}},
		}
		p, _, err := market.SalePosting(&o, []string{"stripe", "sand-box"}[rng.IntN(2)], at)
		if err != nil {
			b.Fatal(err)
		}
		p.Cause = fmt.Sprint("gift:", i) // there are no orders here
		if len(b.posted) > 0 && rng.IntN(5) == 0 {
			p = market.Reverse(&b.posted[rng.IntN(len(b.posted))], fmt.Sprint("reversal:", i), at)
		}
		b.post(p)
	}
}

// export returns what fn writes of the books as they are.
func (b *books) export(fn func(tx *store.ReadTx, w *bytes.Buffer) error) string {
	b.Helper()
	var out bytes.Buffer
	err := b.db.View(context.Background(), market.MainTenant, func(tx *store.ReadTx) error { return fn(tx, &out) })
	if err != nil {
		b.Fatal(err)
	}
	return out.String()
}

func (b *books) csv(s Span) string {
	b.Helper()
	return b.export(func(tx *store.ReadTx, w *bytes.Buffer) error { return ExportCSV(tx, w, s) })
}

func (b *books) beancount(s Span) string {
	b.Helper()
	return b.export(func(tx *store.ReadTx, w *bytes.Buffer) error { return ExportBeancount(tx, w, "Bazaar", s) })
}

// sumsOf adds up the postings of a span, without sums of nothing.
func (b *books) sumsOf(s Span) map[string]string {
	b.Helper()
	all := sums{}
	for i := range b.posted {
		if p := &b.posted[i]; !s.isBefore(p.At) && !s.isAfter(p.At) {
			if err := all.add(p); err != nil {
				b.Fatal(err)
			}
		}
	}
	texts := map[string]string{}
	for k, sum := range all {
		if !sum.IsZero() {
			texts[string(k.account)] += sum.String() + ";"
		}
	}
	for k := range texts { // the order of a map
		texts[k] = sorted(texts[k])
	}
	return texts
}

func sorted(list string) string {
	parts := strings.Split(strings.Trim(list, ";"), ";")
	for i := range parts {
		for j := range i {
			if parts[i] < parts[j] {
				parts[i], parts[j] = parts[j], parts[i]
			}
		}
	}
	return strings.Join(parts, ";")
}

// sumsOfCSV reads an export back and adds up its amounts.
func sumsOfCSV(t testing.TB, text string) (sums map[string]string, causes []string) {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(rows[0], ","); got != "posting,time,cause,account,amount,currency" {
		t.Errorf("the header is %s", got)
	}
	amounts := map[[2]string]market.Money{}
	last := time.Time{}
	for _, row := range rows[1:] {
		at, err := time.Parse(time.RFC3339, row[1])
		if err != nil || at.Before(last) {
			t.Errorf("the time %q after %v: %v", row[1], last, err)
		}
		last = at
		amount, err := market.ParseMoney(row[4] + " " + row[5])
		if err != nil || amount.Decimal() != row[4] {
			t.Errorf("the amount %q %q: %v", row[4], row[5], err)
		}
		k := [2]string{row[3], row[5]}
		if amounts[k], err = amounts[k].Add(amount); err != nil {
			t.Error(err)
		}
		if n := len(causes); n == 0 || causes[n-1] != row[2] {
			causes = append(causes, row[2])
		}
	}
	return textsOf(amounts), causes
}

func textsOf(amounts map[[2]string]market.Money) map[string]string {
	texts := map[string]string{}
	for k, amount := range amounts {
		if !amount.IsZero() {
			texts[k[0]] += amount.String() + ";"
		}
	}
	for k := range texts {
		texts[k] = sorted(texts[k])
	}
	return texts
}

// TestExportsAddUp: what is read back from an export of random books is the sums of the
// postings, for the whole and for any span of it.
func TestExportsAddUp(t *testing.T) {
	for seed := range uint64(8) {
		b := openBooks(t)
		rng := rand.New(rand.NewPCG(seed, 7))
		b.random(rng, 80)
		mid := b.posted[rng.IntN(len(b.posted))].At
		end := b.posted[rng.IntN(len(b.posted))].At.Add(time.Duration(rng.IntN(2)))
		if end.Before(mid) {
			mid, end = end, mid
		}
		for _, s := range []Span{{}, {From: mid}, {To: mid}, {From: mid.Add(1)}, {From: mid, To: end}, {From: mid, To: mid}, {To: start}, {From: start.AddDate(1, 0, 0)}} {
			got, causes := sumsOfCSV(t, b.csv(s))
			if diff := cmp.Diff(b.sumsOf(s), got); diff != "" {
				t.Errorf("seed %d, %v: CSV\n%s", seed, s, diff)
			}
			file := readBean(t, b.beancount(s))
			if diff := cmp.Diff(b.sumsOf(Span{To: s.To}), textsOf(file.sums)); diff != "" && len(file.sums) > 0 {
				t.Errorf("seed %d, %v: beancount\n%s", seed, s, diff)
			}
			if diff := cmp.Diff(textsOf(file.sums), textsOf(file.balances)); diff != "" {
				t.Errorf("seed %d, %v: beancount's balances\n%s", seed, s, diff)
			}
			if diff := cmp.Diff(causes, file.causes); diff != "" {
				t.Errorf("seed %d, %v: transactions\n%s", seed, s, diff)
			}
		}
	}
}

// TestBeancountAgrees lets beancount check a file, and the same file off by one minor
// unit in a balance or an entry.
func TestBeancountAgrees(t *testing.T) {
	b := openBooks(t)
	b.random(rand.New(rand.NewPCG(3, 7)), 60)
	b.post(transfer(b.posted[59].At, "odd \"names\" \\ and\nlines\x00", market.Money{Amount: 5, Currency: "JPY"}, "Pay Pal", "equity:__x"))
	whole, part := b.beancount(Span{}), b.beancount(Span{From: b.posted[30].At, To: b.posted[50].At})
	for _, text := range []string{whole, part, b.beancount(Span{To: start})} {
		if said := beanCheck(t, text); said != "" {
			t.Fatalf("beancount says %s", said)
		}
	}
	for name, line := range map[string]*regexp.Regexp{
		"balance": regexp.MustCompile(`(?m)^.* balance .*\.\d+ ~ 0 USD$`),
		"entry":   regexp.MustCompile(`(?m)^  [A-Z].*\.\d+ EUR$`),
		"yen":     regexp.MustCompile(`(?m)^.* balance .*\d ~ 0 JPY$`),
	} {
		at := line.FindStringIndex(whole)
		if at == nil {
			t.Fatalf("no %s in the file", name)
		}
		digit := strings.LastIndexAny(strings.TrimSuffix(whole[:at[1]], " ~ 0 "+whole[at[1]-3:at[1]]), "0123456789")
		wrong := whole[digit] + 1
		if wrong > '9' {
			wrong = '8'
		}
		off := whole[:digit] + string(wrong) + whole[digit+1:]
		if said := beanCheck(t, off); !strings.Contains(said, "balance") && !strings.Contains(said, "Balance") {
			t.Errorf("a wrong digit in a %s: beancount says %q", name, said)
		}
	}
}

// TestDifferenceIsSaid: books whose balances aren't the sums of their postings aren't
// handed out as if they were.
func TestDifferenceIsSaid(t *testing.T) {
	b := openBooks(t)
	b.random(rand.New(rand.NewPCG(1, 1)), 10)
	err := b.db.View(t.Context(), market.MainTenant, func(tx *store.ReadTx) error {
		all := sums{}
		for i := range b.posted[1:] {
			if err := all.add(&b.posted[1+i]); err != nil {
				return err
			}
		}
		return all.compare(tx)
	})
	if !market.Is(err, market.Internal) || !strings.Contains(fmt.Sprint(err), "souk check") {
		t.Errorf("%v, want Internal and what to do", err)
	}
}

func TestCSVCells(t *testing.T) {
	b := openBooks(t)
	causes := []string{
		"=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\n=1", "  =1", "＝1", `=HYPERLINK("http://x","y")`,
		`say "hi"`, "a,b", "two\nlines", "two\r\nlines", "plain", "a=b", "Ä,ö", "",
	}
	for i, cause := range causes[:len(causes)-1] {
		b.post(transfer(start.Add(time.Duration(i)*time.Millisecond), cause, market.Money{Amount: 100, Currency: "USD"}, "a", "=b"))
	}
	rows := readCSV(t, b.csv(Span{}))
	for i, cause := range causes[:len(causes)-1] {
		row, want := rows[1+2*i], cause
		if i < 10 {
			want = "'" + cause
		}
		if row[2] != want || row[3] != "'=b" || row[4] != "1.00" || rows[2+2*i][4] != "-1.00" {
			t.Errorf("the cause %q came back in %q", cause, row)
		}
	}
}

// readCSV reads RFC 4180 to the letter: encoding/csv changes line ends inside of cells.
func readCSV(t testing.TB, text string) (rows [][]string) {
	t.Helper()
	cell := regexp.MustCompile(`^(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)`)
	row := []string{}
	for text != "" {
		m := cell.FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("not CSV: %.60q", text)
		}
		text = text[len(m[0]):]
		if row = append(row, strings.ReplaceAll(m[1], `""`, `"`)+m[2]); m[3] == "\r\n" {
			rows = append(rows, row)
			row = []string{}
		}
	}
	return rows
}

func TestBeancountAccount(t *testing.T) {
	for account, want := range map[market.LedgerAccount]string{
		market.ProviderAccount("stripe"):   "Assets:Provider:Stripe",
		market.SellerAccount("sel_01j9xz"): "Liabilities:Seller:Sel-01j9xz",
		market.CommissionAccount:           "Income:Commission",
		"expenses:fee:4":                   "Expenses:Fee:4",
		"assets:a-b":                       "Assets:Hex--612d62",
		"assets:A":                         "Assets:Hex--41",
		"assets::a":                        "Assets:Hex--:A",
		"assets:a_":                        "Assets:Hex--615f",
		"assets:ä":                         "Assets:Hex--c3a4",
		"assets":                           "Equity:Account:Hex--617373657473--",
		"cash:a":                           "Equity:Account:Hex--636173683a61--",
		"":                                 "Equity:Account:Hex----",
	} {
		if got := beancountAccount(account); got != want {
			t.Errorf("%q is %s, want %s", account, got, want)
		}
	}
}

// FuzzBeancountAccount: every account has a name in beancount's grammar, and no two
// have the same.
func FuzzBeancountAccount(f *testing.F) {
	f.Add("assets:a_b", "assets:a-b")
	f.Add("equity:account:A", "A")
	f.Add("assets:hex:", "assets:Hex")
	name := regexp.MustCompile(`^` + beanName + `$`)
	f.Fuzz(func(t *testing.T, a, b string) {
		x, y := beancountAccount(market.LedgerAccount(a)), beancountAccount(market.LedgerAccount(b))
		if !name.MatchString(x) || (x == y) != (a == b) {
			t.Errorf("%q is %s, and %q is %s", a, x, b, y)
		}
	})
}

func TestSpanThatEndsBeforeItBegins(t *testing.T) {
	b := openBooks(t)
	err := b.db.View(t.Context(), market.MainTenant, func(tx *store.ReadTx) error {
		s := Span{From: start, To: start.Add(-1)}
		wantInvalid(t, ExportCSV(tx, &bytes.Buffer{}, s))
		wantInvalid(t, ExportBeancount(tx, &bytes.Buffer{}, "", s))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func wantInvalid(t *testing.T, err error) {
	t.Helper()
	if !market.Is(err, market.Invalid) {
		t.Errorf("%v, want Invalid", err)
	}
}

type brokenPipe struct{ after int }

func (w *brokenPipe) Write(p []byte) (int, error) {
	if w.after -= len(p); w.after < 0 {
		return 0, os.ErrClosed
	}
	return len(p), nil
}

func TestExportStopsWithItsWriter(t *testing.T) {
	b := openBooks(t)
	b.random(rand.New(rand.NewPCG(1, 1)), 50)
	for _, after := range []int{0, 5000} {
		err := b.db.View(t.Context(), market.MainTenant, func(tx *store.ReadTx) error {
			if err := ExportCSV(tx, &brokenPipe{after}, Span{}); !errors.Is(err, os.ErrClosed) {
				t.Errorf("CSV after %d bytes: %v", after, err)
			}
			if err := ExportBeancount(tx, &brokenPipe{after}, "", Span{}); !errors.Is(err, os.ErrClosed) {
				t.Errorf("beancount after %d bytes: %v", after, err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
