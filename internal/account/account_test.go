package account

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/store/storetest"
)

const (
	address  = "Ada@example.com"
	password = "correct horse battery"
	home     = "192.0.2.7:4242"
)

// inn is a roster on a store of its own, with a clock that tests move.
type inn struct {
	*Roster
	t      testing.TB
	db     *store.DB
	hashes atomic.Int64
	now    atomic.Int64 // Unix seconds
}

func newInn(t testing.TB) *inn {
	t.Helper()
	in := &inn{t: t}
	in.now.Store(1_790_000_000)
	clock := func() time.Time { return time.Unix(in.now.Load(), 0) }
	in.db = storetest.OpenWith(t, store.Options{Dir: t.TempDir(), Clock: clock, Faults: store.NewFaults(uint64(time.Now().UnixNano()))})
	in.Roster = New(Config{Store: in.db, Tenant: market.MainTenant, Clock: clock, Logger: slog.New(slog.DiscardHandler)})
	in.hasher.ran = func() { in.hashes.Add(1) }
	return in
}

func (in *inn) pass(d time.Duration) { in.now.Add(int64(d / time.Second)) }

func (in *inn) create(n NewAccount) market.Account {
	in.t.Helper()
	if n.Password == "" {
		n.Password = password
	}
	a, err := in.Create(context.Background(), n)
	if err != nil {
		in.t.Fatal(err)
	}
	return a
}

func (in *inn) signIn(at Attempt) SignedIn {
	in.t.Helper()
	if at.Remote == "" {
		at.Remote = home
	}
	s, err := in.SignIn(context.Background(), at)
	if err != nil {
		in.t.Fatal(err)
	}
	return s
}

// session makes a session without a password.
func (in *inn) session(a market.Account) string {
	in.t.Helper()
	s, err := in.begin(context.Background(), &a, "", Attempt{})
	if err != nil {
		in.t.Fatal(err)
	}
	return s.Token
}

func (in *inn) update(fn func(tx *store.Tx) error) {
	in.t.Helper()
	if _, err := in.db.Update(context.Background(), market.MainTenant, store.Op{}, fn); err != nil {
		in.t.Error(err)
	}
}

// want checks whose session a token is; nobody's when id is empty.
func (in *inn) want(token string, id market.AccountID) {
	in.t.Helper()
	a, err := in.Who(context.Background(), token)
	if id == "" && !market.Is(err, market.Unauthorized) {
		in.t.Errorf("a session that should have ended is %q's, %v", a.ID, err)
	}
	if id != "" && (err != nil || a.ID != id) {
		in.t.Errorf("the session is %q's, %v; want %s", a.ID, err, id)
	}
}

func TestSignInWithAddressInAnyCase(t *testing.T) {
	in := newInn(t)
	a := in.create(NewAccount{Email: address})
	for _, typed := range []string{address, "ada@example.com", " ADA@EXAMPLE.COM "} {
		s := in.signIn(Attempt{Email: typed, Password: password})
		in.want(s.Token, a.ID)
	}
	in.want("", "")
	in.want(market.NewSecret(), "")
}

func TestAddressesAreUnique(t *testing.T) {
	in := newInn(t)
	in.create(NewAccount{Email: address})
	_, err := in.Create(context.Background(), NewAccount{Email: "ada@EXAMPLE.com", Password: password})
	if !market.Is(err, market.Conflict) {
		t.Errorf("a second account with the address: %v, want Conflict", err)
	}
	in.create(NewAccount{Email: "ad\u212Aa@example.com"}) // a Kelvin sign is no k to a mail server
	in.create(NewAccount{Email: "adka@example.com"})
}

func TestRefusedAccounts(t *testing.T) {
	in := newInn(t)
	for name, c := range map[string]struct {
		NewAccount
		field string
	}{
		"no address":      {NewAccount{Email: "ada", Password: password}, "email"},
		"short password":  {NewAccount{Email: address, Password: "123456789"}, "password"},
		"long password":   {NewAccount{Email: address, Password: strings.Repeat("x", 1025)}, "password"},
		"reserved seller": {NewAccount{Email: address, Password: password, Seller: "Imported"}, "seller"},
		"nameless seller": {NewAccount{Email: address, Password: password, Seller: "  "}, "seller"},
		"long name":       {NewAccount{Email: address, Password: password, Name: strings.Repeat("x", 201)}, "name"},
	} {
		_, err := in.Create(context.Background(), c.NewAccount)
		var problem *market.Error
		if problem, _ = err.(*market.Error); problem == nil || problem.Kind != market.Invalid || problem.Field != c.field {
			t.Errorf("%s: %v, want Invalid beside %q", name, err, c.field)
		}
	}
}

func TestSellersHaveTheirOwnSlugs(t *testing.T) {
	in := newInn(t)
	for i, want := range []string{"the-attic", "the-attic-2", "the-attic-3"} {
		a := in.create(NewAccount{Email: fmt.Sprintf("%d@example.com", i), Seller: "The Attic"})
		ss, err := in.Sellers(context.Background(), a.ID)
		if err != nil || len(ss) != 1 || ss[0].Slug != want {
			t.Errorf("sellers %v, %v; want one with the slug %s", ss, err, want)
		}
	}
}

func TestSignInTellsNothingAboutAddresses(t *testing.T) {
	in := newInn(t)
	in.create(NewAccount{Email: address})
	in.update(func(tx *store.Tx) error {
		return store.Accounts.Insert(tx, &market.Account{ID: market.NewAccountID(tx.Now()), Email: "imported@localhost"})
	})
	var answers []string
	for _, email := range []string{address, "nobody@example.com", "imported@localhost"} {
		in.hashes.Store(0)
		_, err := in.SignIn(context.Background(), Attempt{Email: email, Password: "not the password", Remote: home})
		problem, ok := err.(*market.Error)
		if !ok {
			t.Fatalf("%s: %v", email, err)
		}
		answers = append(answers, fmt.Sprint(problem.Kind, problem.Field, problem.Message, problem.Err, in.hashes.Load()))
	}
	if answers[0] != answers[1] || answers[0] != answers[2] {
		t.Errorf("the answers differ:\n%s", strings.Join(answers, "\n"))
	}
	if in.hashes.Load() != 1 {
		t.Errorf("an attempt took %d hashes, want 1", in.hashes.Load())
	}
}

func TestSignInRotatesTheSession(t *testing.T) {
	in := newInn(t)
	a := in.create(NewAccount{Email: address})
	first := in.signIn(Attempt{Email: address, Password: password})
	second := in.signIn(Attempt{Email: address, Password: password, Session: first.Token})
	in.want(first.Token, "")
	in.want(second.Token, a.ID)

	planted := "a-token-somebody-chose-for-the-victim"
	third := in.signIn(Attempt{Email: address, Password: password, Session: planted})
	in.want(planted, "")
	in.want(third.Token, a.ID)
	in.want(second.Token, a.ID) // another browser's stays
}

func TestSessionsAreStoredAsHashes(t *testing.T) {
	in := newInn(t)
	s := in.signIn(Attempt{Email: in.create(NewAccount{Email: address}).Email, Password: password})
	snap, err := in.db.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	keys := 0
	for kv, err := range snap.All() {
		if err != nil {
			t.Fatal(err)
		}
		keys++
		for _, secret := range []string{s.Token, s.Device, password} {
			if strings.Contains(string(kv.Key)+string(kv.Value), secret) {
				t.Errorf("the key %s has %q in it", kv.Key, secret)
			}
		}
	}
	if keys < 5 {
		t.Errorf("only %d keys were read", keys)
	}
}

func TestSignOutEndsTheSessionOnTheServer(t *testing.T) {
	in := newInn(t)
	a := in.create(NewAccount{Email: address})
	here, there := in.session(a), in.session(a)
	if err := in.SignOut(context.Background(), here); err != nil {
		t.Fatal(err)
	}
	in.want(here, "")
	in.want(there, a.ID)
}

func TestSessionsEnd(t *testing.T) {
	in := newInn(t)
	a := in.create(NewAccount{Email: address})
	idle, used := in.session(a), in.session(a)
	for range 4 {
		in.pass(6 * 24 * time.Hour)
		in.want(used, a.ID)
	}
	in.want(idle, "")
	in.pass(5*24*time.Hour + 23*time.Hour)
	in.want(used, a.ID) // one hour before thirty days
	in.pass(time.Hour)
	in.want(used, "")
}

func TestUnusedSessionEndsAfterAWeek(t *testing.T) {
	in := newInn(t)
	a := in.create(NewAccount{Email: address})
	token := in.session(a)
	in.pass(idleLife - time.Second)
	in.want(token, a.ID)
	in.pass(idleLife)
	in.want(token, "")
}

func TestLookingIsNotWriting(t *testing.T) {
	in := newInn(t)
	a := in.create(NewAccount{Email: address})
	token := in.session(a)
	before := in.db.LastLSN()
	in.pass(seenEvery - time.Second)
	in.want(token, a.ID)
	if got := in.db.LastLSN(); got != before {
		t.Errorf("LSN %d after looking, want %d", got, before)
	}
}

func TestRolesAndAccountsAreReadAfresh(t *testing.T) {
	in := newInn(t)
	a := in.create(NewAccount{Email: address, Operator: true})
	token := in.session(a)
	if who, err := in.Who(context.Background(), token); err != nil || !who.Has(market.RoleOperator) {
		t.Fatalf("%v, %v; want an operator", who, err)
	}
	in.update(func(tx *store.Tx) error {
		a.Roles = nil
		return store.Accounts.Put(tx, &a)
	})
	if who, err := in.Who(context.Background(), token); err != nil || who.Has(market.RoleOperator) {
		t.Errorf("%v, %v; want no operator any more", who, err)
	}
}

func TestPasswordChangeEndsAllSessions(t *testing.T) {
	in := newInn(t)
	ctx := context.Background()
	a, b := in.create(NewAccount{Email: address}), in.create(NewAccount{Email: "bob@example.com"})
	tokens := []string{in.session(a), in.session(a), in.session(a)}
	others := in.session(b)

	err := in.ChangePassword(ctx, a.ID, "not the password", "another good password", home)
	if e, ok := err.(*market.Error); !ok || e.Field != "current" {
		t.Errorf("with a wrong current password: %v", err)
	}
	in.want(tokens[0], a.ID)
	if err := in.ChangePassword(ctx, a.ID, password, "another good password", home); err != nil {
		t.Fatal(err)
	}
	for _, token := range tokens {
		in.want(token, "")
	}
	in.want(others, b.ID)
	if _, err := in.SignIn(ctx, Attempt{Email: address, Password: password, Remote: home}); !market.Is(err, market.Invalid) {
		t.Errorf("with the old password: %v", err)
	}
	in.signIn(Attempt{Email: address, Password: "another good password"})
}

func TestPasswordChangedWhileSigningIn(t *testing.T) {
	in := newInn(t)
	a := in.create(NewAccount{Email: address})
	in.hasher.ran = func() { // the right password is being checked
		in.update(func(tx *store.Tx) error {
			a.Password = phc{today, make([]byte, saltSize), []byte(strings.Repeat("k", keySize))}.encode()
			return store.Accounts.Put(tx, &a)
		})
	}
	if s, err := in.SignIn(context.Background(), Attempt{Email: address, Password: password, Remote: home}); err == nil {
		t.Errorf("a session began with a password that had just been changed: %v", s.Account.ID)
	}
}

func TestSessionsOfAnAccountAreBounded(t *testing.T) {
	in := newInn(t)
	a := in.create(NewAccount{Email: address})
	var tokens []string
	for range maxSessions + 3 {
		tokens = append(tokens, in.session(a))
		in.pass(time.Second)
	}
	for i, token := range tokens {
		id := a.ID
		if i < 3 {
			id = ""
		}
		in.want(token, id)
	}
	if err := in.SetPassword(context.Background(), a.ID, password); err != nil {
		t.Fatal(err)
	}
	in.want(tokens[len(tokens)-1], "")
}

func TestPruneForgetsEndedSessionsOnly(t *testing.T) {
	in := newInn(t)
	a := in.create(NewAccount{Email: address})
	for range 3 {
		in.session(a)
	}
	in.pass(idleLife)
	young := in.session(a)
	if err := in.Prune(context.Background()); err != nil {
		t.Fatal(err)
	}
	n := 0
	err := in.db.View(context.Background(), market.MainTenant, func(tx *store.ReadTx) (err error) {
		n, err = store.SessionsOfAccount.Count(tx, a.ID)
		return err
	})
	if err != nil || n != 1 {
		t.Errorf("%d sessions, %v; want 1", n, err)
	}
	in.want(young, a.ID)
	before := in.db.LastLSN()
	if err := in.Prune(context.Background()); err != nil || in.db.LastLSN() != before {
		t.Errorf("pruning nothing wrote: %v", err)
	}
}

func TestGuessesAtOnceAreCounted(t *testing.T) {
	in := newInn(t)
	in.create(NewAccount{Email: address})
	in.hashes.Store(0)
	var wg sync.WaitGroup
	var refused atomic.Int64
	for range 20 {
		wg.Go(func() {
			_, err := in.SignIn(context.Background(), Attempt{Email: address, Password: "not the password", Remote: home})
			if market.Is(err, market.RateLimited) {
				refused.Add(1)
			}
		})
	}
	wg.Wait()
	if burst := int64(paces[perAddressNetwork].burst); in.hashes.Load() != burst || refused.Load() != 20-burst {
		t.Errorf("%d of 20 guesses were looked at and %d refused, want %d looked at", in.hashes.Load(), refused.Load(), burst)
	}
}

func TestRightPasswordsCostNothing(t *testing.T) {
	in := newInn(t)
	in.create(NewAccount{Email: address})
	for range paces[perAddressNetwork].burst + 2 {
		in.signIn(Attempt{Email: address, Password: password})
	}
}

// drain uses an address's allowance up from many networks, as a botnet would.
func (in *inn) drain(email string) {
	for i := range paces[perAddress].burst {
		in.throttle.take(in.Clock(), in.throttle.charges(market.EmailKey(email), fmt.Sprintf("10.%d.%d.1:1", i/250, i%250), ""))
	}
}

func TestStrangersDontLockTheOwnerOut(t *testing.T) {
	in := newInn(t)
	in.create(NewAccount{Email: address})
	device := in.signIn(Attempt{Email: address, Password: password}).Device
	in.drain(address)

	_, err := in.SignIn(context.Background(), Attempt{Email: address, Password: password, Remote: home})
	if !market.Is(err, market.RateLimited) {
		t.Fatalf("from a browser never seen: %v, want RateLimited", err)
	}
	again := in.signIn(Attempt{Email: address, Password: password, Device: device})
	if again.Device != device {
		t.Error("a mark that is good was replaced")
	}
	in.pass(paces[perAddress].interval)
	in.signIn(Attempt{Email: address, Password: password})
}

func TestDeviceMarksAreTheOwnersAlone(t *testing.T) {
	in := newInn(t)
	in.create(NewAccount{Email: address})
	in.create(NewAccount{Email: "mallory@example.com", Password: "mallory's password"})
	theirs := in.signIn(Attempt{Email: "mallory@example.com", Password: "mallory's password"}).Device
	ours := in.signIn(Attempt{Email: address, Password: password}).Device
	in.drain(address)
	forged := []byte(ours)
	forged[3] ^= 1
	for name, device := range map[string]string{"another account's": theirs, "a changed one": string(forged), "nonsense": "???"} {
		_, err := in.SignIn(context.Background(), Attempt{Email: address, Password: password, Remote: home, Device: device})
		if !market.Is(err, market.RateLimited) {
			t.Errorf("with %s: %v, want RateLimited", name, err)
		}
	}
	// A stolen mark guesses no faster than anybody.
	refused := 0
	for range paces[perDevice].burst + 2 {
		if _, err := in.SignIn(context.Background(), Attempt{Email: address, Password: "not the password", Device: ours}); market.Is(err, market.RateLimited) {
			refused++
		}
	}
	if refused != 2 {
		t.Errorf("%d guesses with a mark were refused, want 2", refused)
	}
}

func TestHashesDontPrint(t *testing.T) {
	a := market.Account{Email: address, Password: "$argon2id$v=19$secret"}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("made", "account", a, "hash", a.Password)
	text := fmt.Sprintf("%v %+v %s", a, &a, a.Password) + log.String()
	if strings.Contains(text, "secret") {
		t.Errorf("a password's hash was printed: %s", text)
	}
}
