package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/souk-market/souk/internal/market"
)

// testReplica confirms commits when a test says so.
type testReplica struct {
	mu        sync.Mutex
	confirmed LSN
	asked     []LSN
	err       error // instead of waiting
	change    chan struct{}
}

func newTestReplica() *testReplica { return &testReplica{change: make(chan struct{})} }

// wait is for RequireAck.
func (r *testReplica) wait(ctx context.Context, lsn LSN) error {
	r.mu.Lock()
	r.asked = append(r.asked, lsn)
	r.mu.Unlock()
	for {
		r.mu.Lock()
		confirmed, err, change := r.confirmed, r.err, r.change
		r.mu.Unlock()
		if confirmed >= lsn || err != nil {
			return err
		}
		select {
		case <-change:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (r *testReplica) set(confirmed LSN, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.confirmed, r.err, r.asked = confirmed, err, nil
	close(r.change)
	r.change = make(chan struct{})
}

func (r *testReplica) wasAsked() []LSN {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked
}

// moneyWrites are transactions, and whether they are of money.
var moneyWrites = map[string]struct {
	money bool
	fn    func(tx *Tx) error
}{
	"an order": {true, func(tx *Tx) error { return Orders.Put(tx, &market.Order{ID: "ord_1", Checkout: "chk_1"}) }},
	"a payment": {true, func(tx *Tx) error {
		return Payments.Put(tx, &market.Payment{ID: "pay_1", Checkout: "chk_1", State: market.PaymentCaptured})
	}},
	"an entitlement": {true, func(tx *Tx) error { return Entitlements.Put(tx, &market.Entitlement{ID: "ent_1", Line: "lin_1"}) }},
	"a license":      {true, func(tx *Tx) error { return Licenses.Put(tx, &market.License{ID: "lic_1", KeyHash: "h"}) }},
	"a deleted one":  {true, func(tx *Tx) error { return Licenses.Delete(tx, "lic_1") }},
	"a posting": {true, func(tx *Tx) error {
		p := market.Posting{ID: market.NewPostingID(tx.Now()), At: tx.Now(), Cause: "test", Entries: []market.Entry{
			{Account: "a", Amount: market.Money{Amount: 1, Currency: "EUR"}}, {Account: "b", Amount: market.Money{Amount: -1, Currency: "EUR"}},
		}}
		return Post(tx, &p)
	}},
	"a listing": {false, func(tx *Tx) error { return Agents.Put(tx, &market.Agent{ID: "agt_1", Slug: "one"}) }},
	"a session": {false, func(tx *Tx) error { return Sessions.Put(tx, &market.Session{ID: "ses_1"}) }},
	"a listing that looks at an order": {false, func(tx *Tx) error {
		if _, err := Orders.Has(tx, "ord_1"); err != nil {
			return err
		}
		return Agents.Put(tx, &market.Agent{ID: "agt_1", Slug: "one"})
	}},
}

// TestRequireAck: transactions of money, and no others, answer after a replica has
// confirmed them; when it hasn't, the answer says so and the commit stays.
func TestRequireAck(t *testing.T) {
	for name, c := range moneyWrites {
		db, replica := openRaw(t), newTestReplica()
		update(t, db, Op{}, func(tx *Tx) error { return Licenses.Put(tx, &market.License{ID: "lic_1", KeyHash: "h"}) })
		db.RequireAck(replica.wait)
		replica.set(0, errors.New("the bucket is away"))
		_, err := db.Update(t.Context(), tenant, Op{}, c.fn)
		if !c.money {
			if err != nil || len(replica.wasAsked()) > 0 {
				t.Errorf("%s: %v, the replica was asked for %v", name, err, replica.wasAsked())
			}
			continue
		}
		if !errors.Is(err, ErrNotConfirmed) || !errors.Is(err, ErrUnknownOutcome) || !strings.Contains(err.Error(), "the bucket is away") {
			t.Errorf("%s, not confirmed: %v", name, err)
		}
		wantSentence(t, err, market.Unavailable, "not confirmed yet", "pending")
		if strings.Contains(strings.ToLower(market.Message(err)), "fail") {
			t.Errorf("%s: the message says that it failed: %q", name, market.Message(err))
		}
		if db.DurableLSN() != 2 {
			t.Errorf("%s: durable up to %d", name, db.DurableLSN())
		}
		replica.set(1<<60, nil)
		res, err := db.Update(t.Context(), tenant, Op{}, c.fn)
		if name != "a posting" && name != "a deleted one" && (err != nil || len(replica.wasAsked()) != 1 || replica.wasAsked()[0] != res.LSN) {
			t.Errorf("%s, confirmed: %v, commit %d, the replica was asked for %v", name, err, res.LSN, replica.wasAsked())
		}
		replica.set(0, errors.New("the bucket is away"))
		db.RequireAck(nil)
		if _, err := db.Update(t.Context(), tenant, Op{}, func(tx *Tx) error { return Orders.Put(tx, &market.Order{ID: "ord_2"}) }); err != nil {
			t.Errorf("%s, no longer required: %v", name, err)
		}
	}
}

// TestAckComesAfterTheDisk: a replica is asked for what is on disk, and what has been
// asked once is answered when it has come.
func TestAckComesAfterTheDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, replica := open(t, Options{FS: vfs.NewMem(), Dir: "db"}), newTestReplica()
		db.RequireAck(func(ctx context.Context, lsn LSN) error {
			if db.DurableLSN() < lsn {
				t.Errorf("the replica is asked for commit %d, and durable is %d", lsn, db.DurableLSN())
			}
			return replica.wait(ctx, lsn)
		})
		var done sync.WaitGroup
		answered := false
		done.Go(func() {
			update(t, db, Op{}, moneyWrites["an order"].fn)
			answered = true
		})
		synctest.Wait()
		if answered {
			t.Error("the order is acknowledged, and no replica has it")
		}
		putEvent(t, db, "others go on", "")
		replica.set(1, nil)
		done.Wait()
	})
}

// TestRepeatedOperationWaits: who repeats an operation, looks whether it has been done, or
// shows its result waits for its acknowledgement, too; who looks at something else doesn't.
func TestRepeatedOperationWaits(t *testing.T) {
	db, replica := openRaw(t), newTestReplica()
	away := errors.New("the bucket is away")
	db.RequireAck(replica.wait)
	replica.set(0, away)
	order := moneyWrites["an order"].fn
	loadOrder := func(tx Reader) error { _, err := Orders.Load(tx, "ord_1"); return err }
	loadAgent := func(tx Reader) error { _, err := Agents.Has(tx, "agt_1"); return err }
	if _, err := db.Update(t.Context(), tenant, Op{ID: "order"}, order); !errors.Is(err, ErrNotConfirmed) {
		t.Fatal(err)
	}
	agent := Op{ID: "agent"}
	update(t, db, agent, moneyWrites["a listing"].fn)
	update(t, db, Op{}, func(tx *Tx) error { return Enqueue(tx, "mail", "x") })
	claim := func(tx *Tx) error {
		_, err := ClaimJobs(tx, []Claim{{Kind: "mail", Max: 1, Lease: time.Minute}})
		return err
	}
	alert := func(tx *Tx) error {
		return errors.Join(Enqueue(tx, "alert", "x"), errOfClaim(tx, Claim{Kind: "alert", Max: 1, Lease: time.Minute, NoAck: true}))
	}
	for name, c := range map[string]struct {
		waits bool
		do    func() error
	}{
		"the operation again": {true, func() error { return errOf(db.Update(t.Context(), tenant, Op{ID: "order"}, order)) }},
		"an Update that finds it done": {true, func() error {
			return errOf(db.Update(t.Context(), tenant, Op{}, func(tx *Tx) error { return loadOrder(tx) }))
		}},
		"a receipt": {true, func() error {
			return db.ViewDurable(t.Context(), tenant, func(tx *ReadTx) error { return loadOrder(tx) })
		}},
		"a job":    {true, func() error { return errOf(db.Update(t.Context(), tenant, Op{}, claim)) }},
		"an alert": {false, func() error { return errOf(db.Update(t.Context(), tenant, Op{}, alert)) }},
		"a page":   {false, func() error { return db.View(t.Context(), tenant, func(tx *ReadTx) error { return loadOrder(tx) }) }},
		"a listing": {false, func() error {
			return db.ViewDurable(t.Context(), tenant, func(tx *ReadTx) error { return loadAgent(tx) })
		}},
		"another one": {false, func() error { return errOf(db.Update(t.Context(), tenant, agent, moneyWrites["a listing"].fn)) }},
		"an Update that finds a listing": {false, func() error {
			return errOf(db.Update(t.Context(), tenant, Op{}, func(tx *Tx) error { return loadAgent(tx) }))
		}},
	} {
		replica.set(0, away)
		err := c.do()
		if got := errors.Is(err, ErrNotConfirmed); got != c.waits || !c.waits && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if asked := replica.wasAsked(); c.waits && (len(asked) != 1 || asked[0] != 1) || !c.waits && len(asked) > 0 {
			t.Errorf("%s: the replica was asked for %v", name, asked)
		}
		replica.set(1, nil)
		if err := c.do(); err != nil {
			t.Errorf("%s, confirmed: %v", name, err)
		}
	}
}

func errOfClaim(tx *Tx, c Claim) error {
	_, err := ClaimJobs(tx, []Claim{c})
	return err
}

func errOf(_ Result, err error) error { return err }

// TestAckAfterReopening: what was committed before the database was opened may be money.
func TestAckAfterReopening(t *testing.T) {
	disk := &testDisk{t, Options{Dir: "db", FS: vfs.NewMem()}}
	db := open(t, disk.opts)
	update(t, db, Op{ID: "order"}, moneyWrites["an order"].fn)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db, replica := open(t, disk.opts), newTestReplica()
	db.RequireAck(replica.wait)
	replica.set(0, errors.New("the bucket is away"))
	if _, err := db.Update(t.Context(), tenant, Op{ID: "order"}, moneyWrites["an order"].fn); !errors.Is(err, ErrNotConfirmed) {
		t.Errorf("the operation again: %v", err)
	}
	err := db.ViewDurable(t.Context(), tenant, func(tx *ReadTx) error { _, err := Orders.Load(tx, "ord_1"); return err })
	if !errors.Is(err, ErrNotConfirmed) {
		t.Errorf("a receipt: %v", err)
	}
}

// TestWaitingForAckEnds: the caller's context, SetReadOnly and Close end the wait.
func TestWaitingForAckEnds(t *testing.T) {
	for name, end := range map[string]func(db *DB, cancel func()) error{
		"context":   func(db *DB, cancel func()) error { cancel(); return context.Canceled },
		"read-only": func(db *DB, cancel func()) error { db.SetReadOnly(errMoved); return errMoved },
		"close":     func(db *DB, cancel func()) error { return errors.Join(db.Close(), errStopping) },
	} {
		synctest.Test(t, func(t *testing.T) {
			db, replica := open(t, Options{FS: vfs.NewMem(), Dir: "db"}), newTestReplica()
			db.RequireAck(replica.wait)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			result := make(chan error, 1)
			go func() {
				_, err := db.Update(ctx, tenant, Op{}, moneyWrites["an order"].fn)
				result <- err
			}()
			synctest.Wait()
			why := end(db, cancel)
			if err := <-result; !errors.Is(err, ErrNotConfirmed) || !strings.Contains(fmt.Sprint(err), fmt.Sprint(why)) {
				t.Errorf("%s: the order is answered with %v, want %v", name, err, why)
			}
			if name == "read-only" {
				db.SetReadOnly(nil)
				replica.set(9, nil)
				update(t, db, Op{}, moneyWrites["an order"].fn)
			}
		})
	}
}

// TestRefuseMoney: while it is refused, no money is committed, and all else goes on.
func TestRefuseMoney(t *testing.T) {
	broken := market.Errorf(market.Unavailable, "Nothing can be bought at the moment.")
	for name, c := range moneyWrites {
		db := openRaw(t)
		update(t, db, Op{}, func(tx *Tx) error { return Licenses.Put(tx, &market.License{ID: "lic_1", KeyHash: "h"}) })
		db.RefuseMoney(func() error { return broken })
		_, err := db.Update(t.Context(), tenant, Op{ID: "op"}, c.fn)
		if c.money && (err != broken || db.LastLSN() != 1) || !c.money && (err != nil || db.LastLSN() != 2) {
			t.Errorf("%s: %v, and the last commit is %d", name, err, db.LastLSN())
		}
		db.RefuseMoney(nil)
		if res, err := db.Update(t.Context(), tenant, Op{ID: "op"}, c.fn); err != nil || res.Repeated == c.money {
			t.Errorf("%s, no longer refused: %+v, %v", name, res, err)
		}
	}
}
