package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/souk-market/souk/internal/catalog"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// buyer has an address that is known to be theirs.
func buyer(i int) *market.Account {
	return &market.Account{
		ID: market.AccountID(fmt.Sprintf("acc_buyer%d", i)), Email: fmt.Sprintf("buyer%d@example.com", i), Name: fmt.Sprintf("Buyer %d", i),
		Verified: time.Unix(1_790_000_000, 0),
	}
}

// sell makes a free sale of the agent to a buyer and returns its line.
func (at *atelier) sell(to *market.Account) (line market.LineID) {
	at.t.Helper()
	write(at.t, at.Catalog, func(tx *store.Tx) error {
		a, err := store.Agents.Load(tx, at.agent.ID)
		if err != nil {
			return err
		}
		nothing := market.Money{Currency: "USD"}
		ch := market.Checkout{ID: market.NewCheckoutID(tx.Now()), Receipt: market.NewSecret(), Number: market.NewSecret(), Email: to.Email, State: market.CheckoutCompleted, Total: nothing}
		o := market.Order{ID: market.NewOrderID(tx.Now()), Checkout: ch.ID, Seller: a.Seller, Email: to.Email, State: market.OrderFulfilled, Total: nothing}
		line = market.NewLineID(tx.Now())
		o.Lines = []market.Line{{ID: line, Agent: a.ID, Offer: a.Offer.ID, Name: a.Name, Price: nothing, Release: a.Release}}
		ch.Orders = []market.OrderID{o.ID}
		e := market.Entitlement{ID: market.NewEntitlementID(tx.Now()), Line: line, Order: o.ID, Checkout: ch.ID, State: market.EntitlementActive}
		return errors.Join(store.Checkouts.Insert(tx, &ch), store.Orders.Insert(tx, &o), store.Entitlements.Insert(tx, &e))
	})
	return line
}

func TestOnlyBuyersReviewAndOnce(t *testing.T) {
	at, ctx := newAtelier(t), context.Background()
	grace := buyer(1)
	line := at.sell(grace)
	unverified := *grace
	unverified.Verified = stranger.Verified
	for who, account := range map[string]*market.Account{"a stranger": stranger, "nobody": nobody, "another buyer": buyer(2), "an address unconfirmed": &unverified} {
		if _, err := at.Review(ctx, account, catalog.NewReview{Line: line, Stars: 1}); !market.Is(err, market.NotFound) {
			t.Errorf("%s: %v", who, err)
		}
	}
	for _, stars := range []int{0, 6, -1} {
		if _, err := at.Review(ctx, grace, catalog.NewReview{Line: line, Stars: stars}); !market.Is(err, market.Invalid) {
			t.Errorf("%d stars: %v", stars, err)
		}
	}
	r, err := at.Review(ctx, grace, catalog.NewReview{Line: line, Stars: 4, Title: "Good", Text: "It reads.\r\nFast."})
	if err != nil || r.Name != "Buyer 1" || r.Text != "It reads.\nFast." || r.Version != "1.2.0" || !r.Free {
		t.Fatalf("%+v, %v", r, err)
	}
	if _, err := at.Review(ctx, grace, catalog.NewReview{Line: line, Stars: 5}); !market.Is(err, market.Conflict) {
		t.Errorf("a second one: %v", err)
	}
	if err := at.Revise(ctx, buyer(2), r.ID, 1, "", ""); !market.Is(err, market.NotFound) {
		t.Errorf("revised by another: %v", err)
	}
	at.must(at.Revise(ctx, grace, r.ID, 2, "Hm", "It stopped."))
	at.must(at.Reply(ctx, at.ada, r.ID, "Mended in 1.3."))
	if err := at.Reply(ctx, operator, r.ID, "x"); !market.Is(err, market.Forbidden) {
		t.Errorf("a reply of the operator's: %v", err)
	}
	d := detail(t, at.Catalog, "csv-desk")
	if d.Rating.Mean() != 2 || d.Reviews.Total != 1 || d.Reviews.Reviews[0].Reply == "" || d.Reviews.Reviews[0].Updated.IsZero() {
		t.Errorf("%+v, %+v", d.Rating, d.Reviews)
	}
}

// TestRatingsFollowReviews makes random moves of reviews. The store's check, at the end,
// compares the rating with the reviews.
func TestRatingsFollowReviews(t *testing.T) {
	at, ctx := newAtelier(t), context.Background()
	rng := rand.New(rand.NewPCG(5, 7))
	var reviews []market.Review
	for i := range 8 {
		who := buyer(i)
		r, err := at.Review(ctx, who, catalog.NewReview{Line: at.sell(who), Stars: 1 + rng.IntN(5)})
		at.must(err)
		reviews = append(reviews, r)
	}
	all := []market.ReviewState{market.ReviewPublished, market.ReviewFlagged, market.ReviewExcluded, market.ReviewRemoved}
	for range 60 {
		i := rng.IntN(len(reviews))
		r := reviews[i]
		switch rng.IntN(3) {
		case 0:
			at.must(at.Revise(ctx, buyer(i), r.ID, 1+rng.IntN(5), "", ""))
		case 1:
			write(t, at.Catalog, func(tx *store.Tx) error { return catalog.ExcludeReviewOf(tx, r.Line) })
		case 2:
			if err := at.MoveReview(ctx, operator, r.ID, all[rng.IntN(len(all))]); err != nil && !market.Is(err, market.Conflict) {
				t.Fatal(err)
			}
		}
		d := detail(t, at.Catalog, "csv-desk")
		if d.Rating.Count() != d.Reviews.Total {
			t.Fatalf("the rating counts %d, and %d are shown", d.Rating.Count(), d.Reviews.Total)
		}
	}
}

func TestRefundedSalesLeaveTheRating(t *testing.T) {
	at, ctx := newAtelier(t), context.Background()
	var lines []market.LineID
	for i, stars := range []int{5, 1} {
		lines = append(lines, at.sell(buyer(i)))
		_, err := at.Review(ctx, buyer(i), catalog.NewReview{Line: lines[i], Stars: stars})
		at.must(err)
	}
	for range 2 { // a second refund of it changes nothing
		write(t, at.Catalog, func(tx *store.Tx) error { return catalog.ExcludeReviewOf(tx, lines[1]) })
		if got := at.now().Rating; got.Count() != 1 || got.Mean() != 5 {
			t.Errorf("%+v", got)
		}
	}
	write(t, at.Catalog, func(tx *store.Tx) error { return catalog.ExcludeReviewOf(tx, "lin_unreviewed") })
}
