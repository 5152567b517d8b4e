package market

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// diagrams are all state machines, written down a second time: each state with those it
// may move to. The test tries every other move too.
var diagrams = map[string]struct {
	to    func(from, next string) (string, error)
	moves map[string]string
}{
	"ListingState": {try[ListingState], map[string]string{
		"draft": "published archived", "published": "paused suspended archived", "paused": "published archived",
		"suspended": "published removed", "removed": "", "archived": "",
	}},
	"CheckoutState": {try[CheckoutState], map[string]string{
		"open": "processing completed expired canceled", "processing": "open completed expired canceled",
		"completed": "", "expired": "completed", "canceled": "completed",
	}},
	"OrderState": {try[OrderState], map[string]string{
		"pending_payment": "paid expired canceled", "paid": "fulfilled", "fulfilled": "", "expired": "paid", "canceled": "paid",
	}},
	"PaymentState": {try[PaymentState], map[string]string{
		"created": "processing captured failed canceled", "processing": "captured failed canceled",
		"captured": "", "failed": "captured", "canceled": "captured",
	}},
	"EntitlementState": {try[EntitlementState], map[string]string{
		"active": "suspended revoked", "suspended": "active revoked", "revoked": "",
	}},
	"LicenseState": {try[LicenseState], map[string]string{
		"active": "suspended expired revoked", "suspended": "active revoked", "expired": "active revoked", "revoked": "",
	}},
}

type machine[S any] interface {
	~string
	To(S) (S, error)
}

func try[S machine[S]](from, next string) (string, error) {
	got, err := S(from).To(S(next))
	return string(got), err
}

func TestEveryMoveOfEveryStateMachine(t *testing.T) {
	for name, m := range diagrams {
		states := append(slices.Sorted(maps.Keys(m.moves)), "", "unknown")
		for _, from := range states {
			for _, next := range states {
				allowed := slices.Contains(strings.Fields(m.moves[from]), next)
				got, err := m.to(from, next)
				switch {
				case allowed && (err != nil || got != next):
					t.Errorf("%s: %q to %q gives %q, %v", name, from, next, got, err)
				case !allowed && (!Is(err, Conflict) || got != from):
					t.Errorf("%s: %q to %q gives %q, %v; want it refused", name, from, next, got, err)
				}
			}
		}
	}
}

// TestNoStateIsForgotten compares the diagrams with the constants of the package.
func TestNoStateIsForgotten(t *testing.T) {
	states := stateConstants(t)
	for name, m := range diagrams {
		if got, want := slices.Sorted(maps.Keys(m.moves)), slices.Sorted(slices.Values(states[name])); !slices.Equal(got, want) {
			t.Errorf("%s has the states %v, and the diagram %v", name, want, got)
		}
	}
	for name := range states {
		if _, ok := diagrams[name]; !ok && name != "GroupState" { // computed, never moved
			t.Errorf("there is no diagram of %s", name)
		}
	}
}

// stateConstants returns the values of the constants of every type named …State.
func stateConstants(t *testing.T) map[string][]string {
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	states := map[string][]string{}
	for _, name := range names {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		addStateConstants(t, f, states)
	}
	return states
}

func addStateConstants(t *testing.T, f *ast.File, states map[string][]string) {
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		typ, ok := spec.Type.(*ast.Ident)
		if !ok || !strings.HasSuffix(typ.Name, "State") {
			return true
		}
		value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		states[typ.Name] = append(states[typ.Name], value)
		return true
	})
}

func TestPaidAndOpen(t *testing.T) {
	for s, want := range map[OrderState]bool{OrderPendingPayment: false, OrderPaid: true, OrderFulfilled: true, OrderExpired: false, OrderCanceled: false, "": false} {
		if got := s.Paid(); got != want {
			t.Errorf("an order that is %q is paid: %t", s, got)
		}
	}
	for s, want := range map[PaymentState]bool{PaymentCreated: true, PaymentProcessing: true, PaymentCaptured: false, PaymentFailed: false, PaymentCanceled: false, "": false} {
		if got := s.Open(); got != want {
			t.Errorf("a payment that is %q is open: %t", s, got)
		}
	}
	for s, want := range map[ListingState]bool{ListingDraft: false, ListingPublished: true, ListingPaused: false, ListingSuspended: false, ListingRemoved: false, ListingArchived: false, "": false} {
		if got := (&Agent{State: s}).Visible(); got != want {
			t.Errorf("an agent that is %q is visible: %t", s, got)
		}
	}
}

func TestGroupOf(t *testing.T) {
	for orders, want := range map[string]GroupState{
		"":                               GroupCanceled,
		"fulfilled":                      GroupFulfilled,
		"paid":                           GroupPaid,
		"pending_payment":                GroupPending,
		"expired":                        GroupCanceled,
		"canceled expired":               GroupCanceled,
		"fulfilled paid":                 GroupPaid,
		"paid fulfilled":                 GroupPaid,
		"fulfilled fulfilled":            GroupFulfilled,
		"fulfilled canceled":             GroupFulfilled,
		"expired paid":                   GroupPaid,
		"fulfilled pending_payment":      GroupPending,
		"pending_payment canceled":       GroupPending,
		"paid expired pending_payment":   GroupPending,
		"fulfilled paid canceled":        GroupPaid,
		"fulfilled refunded_in_a_future": GroupPending, // a state that this binary doesn't know is no good news
	} {
		var os []Order
		for s := range strings.FieldsSeq(orders) {
			os = append(os, Order{State: OrderState(s)})
		}
		if got := GroupOf(os); got != want {
			t.Errorf("the group of %q is %s, want %s", orders, got, want)
		}
		slices.Reverse(os)
		if got := GroupOf(os); got != want {
			t.Errorf("the group of %q in reverse is %s, want %s", orders, got, want)
		}
	}
}
