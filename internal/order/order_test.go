package order_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/souk-market/souk/internal/blob"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/order"
	"github.com/souk-market/souk/payments"
	"github.com/souk-market/souk/payments/sandbox"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/store/storetest"
)

// stall is a marketplace with two sellers and a bank, whose webhooks arrive only when a
// test hands them over.
type stall struct {
	*order.Shop
	t      *testing.T
	db     *store.DB
	bank   *sandbox.Bank
	site   *httptest.Server
	agents map[string]market.AgentID
	events chan payments.Event
}

func newStall(t *testing.T) *stall {
	t.Helper()
	s := &stall{t: t, db: storetest.Open(t), agents: map[string]market.AgentID{}, events: make(chan payments.Event, 100)}
	bank, err := sandbox.Open(sandbox.Options{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	s.bank = bank
	mux := http.NewServeMux()
	mux.Handle("/sandbox/", bank)
	mux.HandleFunc("POST /webhooks/sandbox", func(w http.ResponseWriter, r *http.Request) {
		ev, err := bank.ParseWebhook(r.Context(), r.Header, body(t, r))
		if err != nil {
			t.Error(err)
		}
		s.events <- ev
	})
	s.site = httptest.NewServer(mux)
	bank.SetBaseURL(s.site.URL)
	bank.SetWebhookURL(s.site.URL + "/webhooks/sandbox")
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := bank.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		s.site.Close()
		if err := bank.Close(); err != nil {
			t.Error(err)
		}
	})
	blobs, err := blob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s.Shop = order.New(order.Config{
		Store: s.db, Tenant: market.MainTenant, Blobs: blobs, Provider: bank, BaseURL: s.site.URL, Commission: 1000, Currency: "USD",
		Logger: slog.New(slog.DiscardHandler),
	})
	s.stock()
	return s
}

func (s *stall) stock() {
	at := time.Unix(1_790_000_000, 0)
	s.update(func(tx *store.Tx) error {
		for _, name := range []string{"ada", "bob"} {
			seller := market.Seller{ID: market.NewSellerID(at), Slug: name, Name: name}
			if err := store.Sellers.Insert(tx, &seller); err != nil {
				return err
			}
			for kind, price := range map[string]int64{"free": 0, "paid": 900, "odd": 333} {
				a := market.Agent{
					ID: market.NewAgentID(at), Seller: seller.ID, Slug: name + "-" + kind, Name: name + "-" + kind, Category: "other",
					State: market.ListingPublished, Release: market.Release{File: market.File{Name: "a.json", SHA256: "00", Size: 1}},
					Offer: market.Offer{ID: market.NewOfferID(at), Price: market.Money{Amount: price, Currency: "USD"}, License: price > 0},
				}
				if err := store.Agents.Insert(tx, &a); err != nil {
					return err
				}
				s.agents[a.Slug] = a.ID
			}
		}
		return store.Blobs.Put(tx, &market.Blob{SHA256: "00", Size: 1})
	})
}

func (s *stall) update(fn func(tx *store.Tx) error) {
	s.t.Helper()
	if _, err := s.db.Update(context.Background(), market.MainTenant, store.Op{}, fn); err != nil {
		s.t.Fatal(err)
	}
}

// fill puts agents into a new cart.
func (s *stall) fill(slugs ...string) (id market.CartID) {
	s.t.Helper()
	for _, slug := range slugs {
		var err error
		if id, _, err = s.Add(context.Background(), id, s.agents[slug], ""); err != nil {
			s.t.Fatal(err)
		}
	}
	return id
}

func (s *stall) placement(cart market.CartID) order.Placement {
	s.t.Helper()
	c, err := s.Cart(context.Background(), cart)
	if err != nil {
		s.t.Fatal(err)
	}
	return order.Placement{Cart: cart, Email: "grace@example.com", Terms: true, Token: order.PageToken("", &c), Shown: c.Total}
}

// place checks a cart out and returns where the buyer is sent.
func (s *stall) place(cart market.CartID) string {
	s.t.Helper()
	next, err := s.Place(context.Background(), s.placement(cart))
	if err != nil {
		s.t.Fatal(err)
	}
	return next
}

// pay types a card into the bank's page and returns the answer, redirects not followed.
func (s *stall) pay(page, card string) *http.Response {
	s.t.Helper()
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.PostForm(page, url.Values{"number": {card}, "expiry": {"12/39"}, "cvc": {"123"}})
	if err != nil {
		s.t.Fatal(err)
	}
	resp.Body.Close()
	return resp
}

// event waits for the bank's next webhook.
func (s *stall) event() payments.Event {
	s.t.Helper()
	select {
	case ev := <-s.events:
		return ev
	case <-time.After(30 * time.Second):
		s.t.Fatal("no webhook came")
		return payments.Event{}
	}
}

// only returns the one checkout there is.
func (s *stall) only() market.Checkout {
	s.t.Helper()
	var found []market.Checkout
	err := s.db.View(context.Background(), market.MainTenant, func(tx *store.ReadTx) error {
		found = nil
		for c, err := range store.Checkouts.All(tx, "") {
			if err != nil {
				return err
			}
			found = append(found, c)
		}
		return nil
	})
	if err != nil || len(found) != 1 {
		s.t.Fatalf("%d checkouts, want 1 (%v)", len(found), err)
	}
	return found[0]
}

func (s *stall) receiptOf(c market.Checkout) *order.Receipt {
	s.t.Helper()
	r, err := s.ReceiptOf(context.Background(), c.ID)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

func (s *stall) balance(account market.LedgerAccount) int64 {
	s.t.Helper()
	var b market.Balance
	err := s.db.View(context.Background(), market.MainTenant, func(tx *store.ReadTx) (err error) {
		b, err = store.BalanceOf(tx, account, "USD")
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return b.Amount.Amount
}

func (s *stall) jobs() int {
	s.t.Helper()
	var n int
	err := s.db.View(context.Background(), market.MainTenant, func(tx *store.ReadTx) error {
		counts, err := store.JobCounts(tx)
		n = counts[store.JobQueued]
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// wantSettledOnce checks everything that one settled checkout of ada-paid, bob-odd and
// ada-free leaves behind.
func (s *stall) wantSettledOnce() {
	s.t.Helper()
	r := s.receiptOf(s.only())
	if r.State != market.GroupFulfilled || r.Payment.State != market.PaymentCaptured {
		s.t.Fatalf("group %s, payment %s", r.State, r.Payment.State)
	}
	keys := 0
	for _, o := range r.Orders {
		for _, it := range o.Items {
			if it.Entitlement == nil {
				s.t.Errorf("%s has no entitlement", it.Name)
			}
			if it.License != nil {
				keys++
			}
		}
	}
	if keys != 2 {
		s.t.Errorf("%d keys, want 2", keys)
	}
	if got := s.balance(market.ProviderAccount("sandbox")); got != 1233 {
		s.t.Errorf("the provider holds %d, want 1233", got)
	}
	if got := s.balance(market.CommissionAccount); got != -(90 + 33) {
		s.t.Errorf("commission %d, want -123", got)
	}
	if got := s.jobs(); got != 1 {
		s.t.Errorf("%d mail jobs, want 1", got)
	}
}

const goodCard, declinedCard = "4242 4242 4242 4242", "4000 0000 0000 0002"

func TestPurchaseByWebhookAlone(t *testing.T) {
	s := newStall(t)
	page := s.place(s.fill("ada-paid", "bob-odd", "ada-free"))
	if resp := s.pay(page, goodCard); resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("paying: %s", resp.Status)
	}
	ev := s.event()
	var wg sync.WaitGroup
	for range 50 { // the same event, again and again, at once
		wg.Go(func() {
			if err := s.HandleEvent(context.Background(), ev); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	s.wantSettledOnce()
}

func TestPurchaseByReturnReconcileAndWebhook(t *testing.T) {
	s := newStall(t)
	page := s.place(s.fill("ada-paid", "bob-odd", "ada-free"))
	s.pay(page, goodCard)
	ev := s.event()
	receipt := s.only().Receipt
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if _, err := s.Receipt(context.Background(), receipt); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if err := s.ReconcileAll(context.Background()); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if err := s.HandleEvent(context.Background(), ev); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	s.wantSettledOnce()
}

func TestDeclinedCardCanBeTriedAgain(t *testing.T) {
	s := newStall(t)
	page := s.place(s.fill("ada-paid"))
	if resp := s.pay(page, declinedCard); resp.StatusCode == http.StatusSeeOther {
		t.Fatalf("a declined card was let through")
	}
	if got := s.receiptOf(s.only()).State; got != market.GroupPending {
		t.Errorf("after the decline: %s", got)
	}
	s.pay(page, goodCard)
	if err := s.HandleEvent(context.Background(), s.event()); err != nil {
		t.Fatal(err)
	}
	if got := s.receiptOf(s.only()).State; got != market.GroupFulfilled {
		t.Errorf("after the second card: %s", got)
	}
}

func TestFreeCheckoutNeedsNoProvider(t *testing.T) {
	s := newStall(t)
	s.bank.SetFaults(sandbox.Faults{Away: true})
	next := s.place(s.fill("ada-free", "bob-free"))
	if !strings.HasPrefix(next, s.site.URL+"/o/") {
		t.Fatalf("sent to %s, want the receipt", next)
	}
	r := s.receiptOf(s.only())
	if r.State != market.GroupFulfilled || r.Payment != nil || len(r.Orders) != 2 {
		t.Errorf("group %s with %d orders", r.State, len(r.Orders))
	}
}

func TestPlacingTwiceIsOnce(t *testing.T) {
	s := newStall(t)
	p := s.placement(s.fill("ada-paid"))
	var wg sync.WaitGroup
	var mu sync.Mutex
	pages := map[string]bool{}
	for range 20 {
		wg.Go(func() {
			next, err := s.Place(context.Background(), p)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			pages[next] = true
		})
	}
	wg.Wait()
	s.only()
	if len(pages) != 1 {
		t.Errorf("%d payment pages, want 1: %v", len(pages), pages)
	}
}

func TestProviderAwayWhilePlacing(t *testing.T) {
	for name, faults := range map[string]sandbox.Faults{"away": {Away: true}, "answer lost": {LoseAnswers: 1}} {
		t.Run(name, func(t *testing.T) {
			s := newStall(t)
			s.bank.SetFaults(faults)
			p := s.placement(s.fill("ada-paid"))
			if _, err := s.Place(context.Background(), p); !market.Is(err, market.Unavailable) {
				t.Fatalf("placing: %v, want unavailable", err)
			}
			s.bank.SetFaults(sandbox.Faults{})
			next, err := s.Place(context.Background(), p)
			if err != nil {
				t.Fatal(err)
			}
			s.pay(next, goodCard)
			if err := s.HandleEvent(context.Background(), s.event()); err != nil {
				t.Fatal(err)
			}
			if got := s.receiptOf(s.only()).State; got != market.GroupFulfilled {
				t.Errorf("group %s", got)
			}
		})
	}
}

func TestNobodyPaysMoreThanWasShown(t *testing.T) {
	s := newStall(t)
	p := s.placement(s.fill("ada-paid"))
	s.update(func(tx *store.Tx) error {
		a, err := store.Agents.Load(tx, s.agents["ada-paid"])
		if err != nil {
			return err
		}
		a.Offer.Price.Amount = 1000
		return store.Agents.Put(tx, &a)
	})
	_, err := s.Place(context.Background(), p)
	if !market.Is(err, market.Conflict) || !strings.Contains(market.Message(err), "9.00 USD to 10.00 USD") {
		t.Errorf("placing at the old price: %v", err)
	}
}

func TestEventsThatDoNotFitAreSetAside(t *testing.T) {
	s := newStall(t)
	page := s.place(s.fill("ada-paid"))
	s.pay(page, goodCard)
	good := s.event()
	for name, spoil := range map[string]func(*payments.Event){
		"amount":    func(ev *payments.Event) { ev.Session.Amount.Amount = 1 },
		"currency":  func(ev *payments.Event) { ev.Session.Amount.Currency = "JPY" },
		"reference": func(ev *payments.Event) { ev.Session.Reference = "chk_none" },
		"mode":      func(ev *payments.Event) { ev.Session.Live = true },
		"session":   func(ev *payments.Event) { ev.Session.ID = "other" },
	} {
		t.Run(name, func(t *testing.T) {
			ev := good
			ev.ID = "evt_" + name
			spoil(&ev)
			var log bytes.Buffer
			s.Logger = slog.New(slog.NewTextHandler(&log, nil))
			for range 2 {
				if err := s.HandleEvent(context.Background(), ev); err != nil {
					t.Fatal(err)
				}
			}
			if got := strings.Count(log.String(), ev.ID); got != 1 {
				t.Errorf("the operator is told %d times, want once: %s", got, &log)
			}
			if got := s.receiptOf(s.only()).State; got != market.GroupPending {
				t.Errorf("group %s, want pending", got)
			}
			err := s.db.View(context.Background(), market.MainTenant, func(tx *store.ReadTx) error {
				rec, err := store.Events.Load(tx, "sandbox:"+ev.ID)
				if err == nil && rec.Quarantine == "" {
					t.Error("the event isn't in quarantine")
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestExpiredCheckoutThatIsPaidLate(t *testing.T) {
	s := newStall(t)
	page := s.place(s.fill("ada-paid"))
	s.pay(page, goodCard)
	paid := s.event()
	expired := paid
	expired.ID, expired.Type = "evt_expired", payments.EventSessionExpired
	expired.Session.Status, expired.Session.Paid = payments.SessionExpired, false
	if err := s.HandleEvent(context.Background(), expired); err != nil {
		t.Fatal(err)
	}
	if got := s.receiptOf(s.only()).State; got != market.GroupCanceled {
		t.Fatalf("after expiry: %s", got)
	}
	if err := s.HandleEvent(context.Background(), paid); err != nil {
		t.Fatal(err)
	}
	if got := s.receiptOf(s.only()).State; got != market.GroupFulfilled {
		t.Errorf("after the late money: %s", got)
	}
}

func TestDownloadNeedsItsOwnReceipt(t *testing.T) {
	s := newStall(t)
	s.place(s.fill("ada-free"))
	mine := s.only()
	id := s.receiptOf(mine).Orders[0].Items[0].Entitlement.ID
	if f, err := s.Download(context.Background(), mine.Receipt, id); err != nil || f.SHA256 != "00" {
		t.Errorf("own download: %v, %v", f, err)
	}
	for name, args := range map[string][2]string{
		"another receipt":     {market.NewSecret(), string(id)},
		"another entitlement": {mine.Receipt, "ent_none"},
	} {
		if _, err := s.Download(context.Background(), args[0], market.EntitlementID(args[1])); !market.Is(err, market.NotFound) {
			t.Errorf("%s: %v, want not found", name, err)
		}
	}
}

func TestFileMadeOnDemandIsInTheBlobStore(t *testing.T) {
	s := newStall(t)
	s.update(func(tx *store.Tx) error {
		a, err := store.Agents.Load(tx, s.agents["ada-free"])
		if err != nil {
			return err
		}
		a.ExternalID, a.Release.Version = "pypi:ada", "1.0.0"
		a.Release.File, _ = market.SetupFile(&a)
		return store.Agents.Put(tx, &a)
	})
	s.place(s.fill("ada-free"))
	ch := s.only()
	f, err := s.Download(context.Background(), ch.Receipt, s.receiptOf(ch).Orders[0].Items[0].Entitlement.ID)
	if err != nil {
		t.Fatal(err)
	}
	sum, err := blob.ParseSum(f.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Blobs.Verify(context.Background(), sum); err != nil {
		t.Errorf("the file %s: %v", f.Name, err)
	}
}
