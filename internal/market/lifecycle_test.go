package market

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// yes checks a question that is asked of states: the words are those that say yes, and
// all others of the machine and unknown ones say no.
func yes[S ~string](t *testing.T, machine, question string, ask func(S) bool, words string) {
	t.Helper()
	states := append(slices.Collect(maps.Keys(diagrams(t)[machine].states)), "", "unknown")
	for _, s := range states {
		if got, want := ask(S(s)), slices.Contains(strings.Fields(words), s); got != want {
			t.Errorf("a %s that is %q %s: %t", machine, s, question, got)
		}
	}
	for w := range strings.FieldsSeq(words) {
		if !slices.Contains(states, w) {
			t.Errorf("no %s is %q", machine, w)
		}
	}
}

func TestWhatStatesMean(t *testing.T) {
	yes(t, "order", "is paid", OrderState.Paid, "paid on_hold fulfilling fulfilled closed partially_refunded refunded")
	yes(t, "payment", "is open", PaymentState.Open, "created requires_action requires_method processing authorized")
	yes(t, "listing", "is visible", func(s ListingState) bool { return (&Agent{State: s}).Visible() }, "published")
	yes(t, "refund", "counts", RefundState.Counts, "submitted pending succeeded manual")
	yes(t, "dispute", "takes money", DisputeState.TakesMoney, "needs_response under_review lost")
	yes(t, "review", "is visible to all", func(s ReviewState) bool { return s.Visible(false) }, "published flagged")
	yes(t, "review", "is visible to its author", func(s ReviewState) bool { return s.Visible(true) }, "published flagged pending excluded")
	yes(t, "payout", "is on its way", func(s PayoutState) bool { return s.Bucket() == BucketInPayout }, "scheduled held processing in_transit")
	yes(t, "payout", "is paid out", func(s PayoutState) bool { return s.Bucket() == BucketPaidOut }, "paid")
	yes(t, "payout", "gives back", func(s PayoutState) bool { return s.Bucket() == BucketAvailable }, "failed canceled returned")
}

func TestAccess(t *testing.T) {
	grace := at.Add(time.Hour)
	for _, c := range []struct {
		name   string
		now    time.Time
		paused bool
		want   string
	}{
		{"in grace", at, false, "active trialing past_due"},
		{"at the end of grace", grace, false, "active trialing"},
		{"paused ones keep it", grace, true, "active trialing paused"},
	} {
		yes(t, "subscription", "gives access "+c.name, func(s SubscriptionState) bool { return s.Access(c.now, grace, c.paused) }, c.want)
	}
}

// TestDialects has PRODUCT.md B.5's words for agents.
func TestDialects(t *testing.T) {
	for s, want := range map[CheckoutState]string{
		"open": "not_ready_for_payment incomplete", "ready": "ready_for_payment ready_for_complete", "action_required": "authentication_required requires_escalation",
		"processing": "in_progress complete_in_progress", "completed": "completed completed", "expired": "canceled canceled", "canceled": "canceled canceled", "unknown": " ",
	} {
		if got := s.ACP() + " " + s.UCP(); got != want {
			t.Errorf("a checkout that is %q is %q, want %q", s, got, want)
		}
	}
	for s := range diagrams(t)["order"].states {
		if !slices.Contains(strings.Fields("created confirmed manual_review processing completed canceled"), OrderState(s).ACP()) {
			t.Errorf("an order that is %q is %q", s, OrderState(s).ACP())
		}
	}
}

func TestGroupOf(t *testing.T) {
	for orders, want := range map[string]GroupState{
		"":                               GroupCanceled,
		"fulfilled":                      GroupFulfilled,
		"closed":                         GroupFulfilled,
		"paid":                           GroupPaid,
		"on_hold":                        GroupPaid,
		"fulfilling":                     GroupPaid,
		"pending_payment":                GroupPending,
		"payment_processing":             GroupPending,
		"expired":                        GroupCanceled,
		"canceled expired":               GroupCanceled,
		"fulfilled paid":                 GroupPartiallyFulfilled,
		"closed fulfilling":              GroupPartiallyFulfilled,
		"fulfilled fulfilled":            GroupFulfilled,
		"fulfilled closed":               GroupFulfilled,
		"fulfilled canceled":             GroupFulfilled,
		"expired paid":                   GroupPaid,
		"fulfilled pending_payment":      GroupPending,
		"pending_payment canceled":       GroupPending,
		"paid expired pending_payment":   GroupPending,
		"fulfilled paid canceled":        GroupPartiallyFulfilled,
		"fulfilled refunded":             GroupPartiallyRefunded,
		"partially_refunded":             GroupPartiallyRefunded,
		"partially_refunded refunded":    GroupPartiallyRefunded,
		"refunded refunded":              GroupRefunded,
		"refunded expired":               GroupRefunded,
		"refunded pending_payment":       GroupPending,
		"fulfilled!open":                 GroupDisputed,
		"refunded!open":                  GroupDisputed,
		"fulfilled!won":                  GroupFulfilled,
		"fulfilled!lost paid":            GroupPartiallyFulfilled,
		"pending_payment fulfilled!open": GroupPending,
		"fulfilled returned_in_a_future": GroupPending, // a state that this binary doesn't know is no good news
	} {
		var os []Order
		for o := range strings.FieldsSeq(orders) {
			state, dispute, _ := strings.Cut(o, "!")
			os = append(os, Order{State: OrderState(state), Dispute: OrderDispute(dispute)})
		}
		if got := GroupOf(os); got != want {
			t.Errorf("the group of %q is %s, want %s", orders, got, want)
		}
	}
}

// TestGroupOfProperties: the order of orders and those that came to nothing don't count,
// and a group of equals is what each of them is.
func TestGroupOfProperties(t *testing.T) {
	states := slices.Sorted(maps.Keys(diagrams(t)["order"].states))
	property(t, func(t *testing.T, rng *rand.Rand) {
		os := make([]Order, 1+rng.IntN(5))
		for i := range os {
			os[i].State = OrderState(states[rng.IntN(len(states))])
			os[i].Dispute = []OrderDispute{OrderDisputeNone, OrderDisputeNone, OrderDisputeOpen, OrderDisputeLost}[rng.IntN(4)]
		}
		want := GroupOf(os)
		shuffled := slices.Clone(os)
		rng.Shuffle(len(os), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if got := GroupOf(append(shuffled, Order{State: OrderExpired}, Order{State: OrderCanceled, Dispute: OrderDisputeOpen})); got != want {
			t.Errorf("the group of %v is %s, and shuffled with nothing %s", os, want, got)
		}
		if got := GroupOf([]Order{os[0], os[0], os[0]}); got != GroupOf(os[:1]) {
			t.Errorf("one order that is %q is %s, and three are %s", os[0].State, GroupOf(os[:1]), got)
		}
	})
}

func TestDisputeOf(t *testing.T) {
	for disputes, want := range map[string]OrderDispute{
		"": OrderDisputeNone, "early_warning": OrderDisputeNone, "prevented": OrderDisputeNone, "needs_response": OrderDisputeOpen, "under_review": OrderDisputeOpen,
		"won": OrderDisputeWon, "lost": OrderDisputeLost, "won lost": OrderDisputeLost, "lost won": OrderDisputeLost, "lost under_review": OrderDisputeOpen, "prevented won": OrderDisputeWon,
	} {
		var ds []DisputeState
		for d := range strings.FieldsSeq(disputes) {
			ds = append(ds, DisputeState(d))
		}
		if got := DisputeOf(ds...); got != want {
			t.Errorf("the flag of %q is %q, want %q", disputes, got, want)
		}
	}
}

func TestRefundable(t *testing.T) {
	part := func(s RefundState, n int64) RefundPart { return RefundPart{s, Money{n, "USD"}} }
	for name, c := range map[string]struct {
		refunds []RefundPart
		want    int64 // -1 is refused
	}{
		"none":           {nil, 1000},
		"one":            {[]RefundPart{part(RefundSucceeded, 300)}, 700},
		"all":            {[]RefundPart{part(RefundSucceeded, 300), part(RefundPending, 700)}, 0},
		"too much":       {[]RefundPart{part(RefundSucceeded, 300), part(RefundPending, 701)}, -1},
		"failed":         {[]RefundPart{part(RefundFailed, 300), part(RefundDeclined, 200)}, 1000},
		"not sent":       {[]RefundPart{part(RefundRequested, 300), part(RefundApproved, 200)}, 1000},
		"not known":      {[]RefundPart{part(RefundSubmitted, 300)}, 700},
		"by hand":        {[]RefundPart{part(RefundManual, 300)}, 700},
		"other currency": {[]RefundPart{{RefundPending, Money{1, "EUR"}}}, -1},
	} {
		got, err := Refundable(Money{1000, "USD"}, c.refunds...)
		if c.want < 0 && !Is(err, Invalid) || c.want >= 0 && (err != nil || got != Money{c.want, "USD"}) {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
}

func TestQuantity(t *testing.T) {
	for q, want := range map[Quantity]bool{
		{1, 1, 0}: true, {3, 3, 3}: true, {3, 1, 3}: true, {3, 0, 0}: true,
		{}: false, {-1, 0, 0}: false, {1, 2, 0}: false, {1, 1, 2}: false, {1, -1, 0}: false, {1, 1, -1}: false,
	} {
		if got := q.Valid(); got != want {
			t.Errorf("%+v is valid: %t", q, got)
		}
	}
}

func TestMayApproveItself(t *testing.T) {
	for changes, want := range map[string]bool{
		"": false, "price_cut": true, "typo price_cut": true, "more_permissions": false, "typo more_permissions": false, "price_rise": false, "text": false, "files": false,
		"less_permissions": false, "something_new": false,
	} {
		var cs []Change
		for c := range strings.FieldsSeq(changes) {
			cs = append(cs, Change(c))
		}
		if got := MayApproveItself(cs...); got != want {
			t.Errorf("%q may approve itself: %t", changes, got)
		}
	}
}

// TestSuspensionMatrix is PRODUCT.md B.5's table: sales, renewals, access, keys, payouts,
// search.
func TestSuspensionMatrix(t *testing.T) {
	matrix := map[Suspension]string{
		"payout_problem":    "hold keep keep keep hold keep",
		"quality":           "stop keep keep keep keep hide",
		"suspected_fraud":   "stop pause keep keep hold hide",
		"confirmed_malware": "stop cancel_and_refund block_and_warn revoke_with_notice hold_for_refunds tombstone",
		"seller_left":       "stop cancel_at_period_end keep_last_version keep_offline final_after_disputes remove",
	}
	for s, want := range matrix {
		p, err := s.DefaultPolicy()
		got := strings.Join([]string{string(p.Sales), string(p.Renewals), string(p.Access), string(p.Keys), string(p.Payouts), string(p.Search)}, " ")
		if err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", s, got, err, want)
		}
	}
	constants, _ := declared(t)
	if got, want := len(constants["Suspension"]), len(matrix); got != want {
		t.Errorf("there are %d suspensions, and %d are tested", got, want)
	}
	for _, s := range []Suspension{"", "unknown"} {
		if p, err := s.DefaultPolicy(); !Is(err, Invalid) {
			t.Errorf("the policy of %q is %+v", s, p)
		}
	}
}
