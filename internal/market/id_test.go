package market

import (
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var idForm = regexp.MustCompile(`^[a-z]{3}_[0-7][0-9abcdefghjkmnpqrstvwxyz]{25}$`)

// kind is one kind of ID for tests that go through all.
type kind struct {
	prefix string
	make   func(time.Time) string
	parse  func(string) error
	time   func(string) time.Time
}

func kindOf[T ID](prefix string) kind {
	return kind{
		prefix, func(t time.Time) string { return string(NewID[T](t)) },
		func(s string) error { _, err := ParseID[T](s); return err },
		func(s string) time.Time { return IDTime(T(s)) },
	}
}

// kinds are all kinds with their prefixes, which are stored and never change.
var kinds = map[string]kind{
	"TenantID": kindOf[TenantID]("ten"), "AccountID": kindOf[AccountID]("acc"), "SellerID": kindOf[SellerID]("sel"), "AgentID": kindOf[AgentID]("agt"),
	"OfferID": kindOf[OfferID]("off"), "ReleaseID": kindOf[ReleaseID]("rel"), "ChangeID": kindOf[ChangeID]("chg"), "CheckoutID": kindOf[CheckoutID]("chk"),
	"OrderID": kindOf[OrderID]("ord"), "LineID": kindOf[LineID]("lin"), "PaymentID": kindOf[PaymentID]("pay"), "RefundID": kindOf[RefundID]("rfd"),
	"DisputeID": kindOf[DisputeID]("dsp"), "EntitlementID": kindOf[EntitlementID]("ent"), "LicenseID": kindOf[LicenseID]("lic"),
	"ActivationID": kindOf[ActivationID]("act"), "SubscriptionID": kindOf[SubscriptionID]("sub"), "InvoiceID": kindOf[InvoiceID]("inv"),
	"WalletID": kindOf[WalletID]("wal"), "PostingID": kindOf[PostingID]("pst"), "PayoutID": kindOf[PayoutID]("pyo"), "PayeeID": kindOf[PayeeID]("pye"),
	"ReviewID": kindOf[ReviewID]("rev"), "CaseID": kindOf[CaseID]("cas"), "EndpointID": kindOf[EndpointID]("whk"), "DeliveryID": kindOf[DeliveryID]("dlv"),
	"DrillID": kindOf[DrillID]("drl"), "JobID": kindOf[JobID]("job"), "NodeID": kindOf[NodeID]("nod"),
}

// TestEveryKindOfID: each has its prefix, reads its own and no other's, and tells its time.
func TestEveryKindOfID(t *testing.T) {
	prefixes := map[string]string{}
	for name, k := range kinds {
		id := k.make(at)
		if !idForm.MatchString(id) || id[:4] != k.prefix+"_" {
			t.Errorf("a %s is %s", name, id)
		}
		if other, dup := prefixes[k.prefix]; dup {
			t.Errorf("%s and %s both begin with %s", name, other, k.prefix)
		}
		prefixes[k.prefix] = name
		if got := k.time(id); !got.Equal(at) {
			t.Errorf("%s is of %v, want %v", id, got, at)
		}
		for other, o := range kinds {
			if err := o.parse(id); (err == nil) != (other == name) || err != nil && !Is(err, Invalid) {
				t.Errorf("%s read as %s: %v", id, other, err)
			}
			if got := o.time(id); other != name && !got.IsZero() {
				t.Errorf("%s read as %s is of %v", id, other, got)
			}
		}
	}
}

// TestNoKindOfIDIsForgotten compares the table above with the methods of the package.
func TestNoKindOfIDIsForgotten(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "id.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Name.Name != "prefix" {
			continue
		}
		n++
		if name := fn.Recv.List[0].Type.(*ast.Ident).Name; kinds[name].make == nil {
			t.Errorf("no test makes a %s", name)
		}
	}
	if n != len(kinds) {
		t.Errorf("%d kinds have a prefix, and %d are tested", n, len(kinds))
	}
}

func TestIDsNeverCollide(t *testing.T) {
	const n = 100_000
	seen := make(map[AgentID]bool, 2*n)
	for i := range 2 * n {
		id := NewAgentID(at.Add(time.Duration(min(i, n)) * time.Millisecond)) // half of them in one
		if seen[id] {
			t.Fatalf("%s was drawn twice", id)
		}
		seen[id] = true
	}
}

// TestIDsSortInTheOrderTheyWereMade: those of one millisecond too, also when IDs of other
// times and kinds are made in between.
func TestIDsSortInTheOrderTheyWereMade(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var last [50]string
	for i := range 100_000 {
		ms := rng.IntN(len(last))
		when := at.Add(time.Duration(ms) * time.Millisecond)
		agent, order := string(NewAgentID(when))[prefixLen:], string(NewOrderID(when))[prefixLen:]
		if agent <= last[ms] || order <= agent {
			t.Fatalf("ID %d of millisecond %d is %s, then %s, after %s", i, ms, agent, order, last[ms])
		}
		last[ms] = order
	}
	if !slices.IsSorted(last[:]) {
		t.Errorf("of one millisecond each, IDs are in the order %v", last)
	}
}

// TestIDsOfManyGoroutines: each sees its own in order, and none sees another's.
func TestIDsOfManyGoroutines(t *testing.T) {
	ids := make([][]JobID, 8)
	var wg sync.WaitGroup
	for g := range ids {
		wg.Go(func() {
			for range 5_000 {
				ids[g] = append(ids[g], NewJobID(at))
			}
		})
	}
	wg.Wait()
	for g := range ids {
		if !slices.IsSorted(ids[g]) {
			t.Errorf("goroutine %d has its IDs in another order", g)
		}
	}
	all := slices.Concat(ids...)
	slices.Sort(all)
	if got := len(slices.Compact(all)); got != 40_000 {
		t.Errorf("%d of 40000 IDs differ", got)
	}
}

func TestIDForm(t *testing.T) {
	// The times of a clock that was never set, of the last ULID, and of no bits at all.
	for _, c := range []struct {
		at   time.Time
		want string
	}{
		{time.Time{}, "0000000000"}, {time.UnixMilli(0), "0000000000"}, {time.UnixMilli(1), "0000000001"}, {time.UnixMilli(1<<48 - 1), "7zzzzzzzzz"},
	} {
		id := NewAgentID(c.at)
		if got := string(id)[4:14]; got != c.want {
			t.Errorf("the time %v is %s, want %s", c.at, got, c.want)
		}
		if got, want := IDTime(id).UnixMilli(), max(c.at.UnixMilli(), 0); got != want {
			t.Errorf("%s is of %d, want %d", id, got, want)
		}
	}
	if got := encodeID("xyz", ulid{0x0001020304050607, 0x08090a0b0c0d0e0f}); got != "xyz_00041061050r3gg28a1c60t3gf" {
		t.Errorf("the bytes 0 to 15 are %s", got)
	}
	if got := encodeID("xyz", ulid{math.MaxUint64, math.MaxUint64}); got != "xyz_7zzzzzzzzzzzzzzzzzzzzzzzzz" {
		t.Errorf("the last ID is %s", got)
	}
}

func TestParseIDRefuses(t *testing.T) {
	const good = "agt_00041061050r3gg28a1c60t3gf"
	if id, err := ParseID[AgentID](good); err != nil || id != good {
		t.Fatalf("%q is %q, %v", good, id, err)
	}
	for name, s := range map[string]string{
		"nothing": "", "the prefix": "agt_", "short": good[:29], "long": good + "0", "another kind": "ord" + good[3:], "upper case": strings.ToUpper(good),
		"no underscore": "agt-" + good[4:], "an i": "agt_0i041061050r3gg28a1c60t3gf", "an l at the end": good[:29] + "l", "more than 128 bits": "agt_8" + good[5:],
		"a space": " " + good[:29], "not ASCII": good[:28] + "é", "a tenant's name": string(MainTenant), "a cart": string(NewCartID()),
		"an i in the middle": good[:15] + "i" + good[16:],
	} {
		if id, err := ParseID[AgentID](s); !Is(err, Invalid) || id != "" {
			t.Errorf("%s: %q is the ID %q, %v", name, s, id, err)
		}
		if got := IDTime(AgentID(s)); !got.IsZero() {
			t.Errorf("%s: %q is of %v", name, s, got)
		}
	}
	if _, err := ParseID[TenantID](string(MainTenant)); !Is(err, Invalid) {
		t.Errorf("the main tenant's name is an ID: %v", err)
	}
}

func FuzzParseID(f *testing.F) {
	for _, k := range kinds {
		f.Add(k.make(at))
	}
	f.Add("agt_8zzzzzzzzzzzzzzzzzzzzzzzzz")
	f.Add("agt_0000000000000000000000000\xff")
	f.Fuzz(func(t *testing.T, s string) {
		read := 0
		for name, k := range kinds {
			if err := k.parse(s); err != nil {
				continue
			}
			read++
			when := k.time(s)
			if !idForm.MatchString(s) || s[:3] != k.prefix || when.IsZero() {
				t.Errorf("%q is a %s of %v", s, name, when)
			}
			if again := k.make(when); again[:14] != s[:14] {
				t.Errorf("%q is of %v, which is written %q", s, when, again[:14])
			}
		}
		if read > 1 {
			t.Errorf("%q is of %d kinds", s, read)
		}
	})
}

func BenchmarkNewID(b *testing.B) {
	now := time.Now()
	b.Run("in one millisecond", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			NewAgentID(now)
		}
	})
	b.Run("one a millisecond", func(b *testing.B) {
		b.ReportAllocs()
		for at := now; b.Loop(); at = at.Add(time.Millisecond) {
			NewAgentID(at)
		}
	})
}

func BenchmarkParseID(b *testing.B) {
	id := string(NewAgentID(time.Now()))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseID[AgentID](id); err != nil {
			b.Fatal(err)
		}
	}
}

func TestSecretsAreLongAndDiffer(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		for _, s := range []string{NewSecret(), string(NewCartID())[4:]} {
			if len(s) != 32 || seen[s] {
				t.Fatalf("the secret %q (seen: %t)", s, seen[s])
			}
			seen[s] = true
		}
	}
}

func TestOrderNumber(t *testing.T) {
	form := regexp.MustCompile(`^S-[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}$`)
	var all []string
	for range 1000 {
		n := NewOrderNumber()
		if !form.MatchString(n) {
			t.Fatalf("the number %q", n)
		}
		all = append(all, n)
	}
	slices.Sort(all)
	if got := len(slices.Compact(all)); got != 1000 {
		t.Errorf("only %d of 1000 numbers differ", got)
	}
}
