package views

import (
	"strings"

	"github.com/souk-market/souk/internal/market"
)

func describedBy(hint, errorID, problem string) string {
	if problem == "" {
		return hint
	}
	return strings.TrimSpace(hint + " " + errorID)
}

// action is what the checkout's button does.
func (p Checkout) action() string {
	if p.Total.IsZero() {
		return "Get it for free"
	}
	return "Pay " + Amount(English, p.Total)
}

func (p Receipt) title() string {
	switch p.State {
	case Paid:
		return "It’s yours"
	case Declined:
		return "The payment was declined"
	case Expired:
		return "This checkout has expired"
	}
	return "Waiting for the payment"
}

// line says what the state means for the buyer.
func (p Receipt) line() string {
	switch p.State {
	case Paid:
		if p.Email == "" {
			return "Everything you bought is below."
		}
		return "Everything you bought is below. The receipt is on its way to " + p.Email + "."
	case Declined:
		if p.Reason != "" {
			return p.Reason + " Nothing was charged."
		}
		return "Nothing was charged. You can try again, with this or another card."
	case Expired:
		return "It was not paid in time. Nothing was charged, and your cart can be checked out again."
	}
	return "We are waiting to hear from the bank. This page looks again by itself; you can close it, and the receipt comes by e-mail."
}

func (p Receipt) retryText() string {
	switch p.State {
	case Confirming:
		return "Back to the payment page"
	case Expired:
		return "Back to your cart"
	}
	return "Try again"
}

// refresh is how many seconds the page waits until it asks again; only an open payment changes.
func (p Receipt) refresh() int {
	switch {
	case p.State != Confirming:
		return 0
	case p.Refresh > 0:
		return p.Refresh
	}
	return 3
}

func (l Goods) detail() string {
	var parts []string
	if l.Offer != "" {
		parts = append(parts, l.Offer)
	}
	if l.Version != "" {
		parts = append(parts, "version "+l.Version)
	}
	return strings.Join(parts, ", ")
}

// refunds are the refund terms that all lines were sold under; "" where they differ.
func (p Receipt) refunds() string {
	common, first := "", true
	for _, g := range p.Groups {
		for _, l := range g.Lines {
			if !first && l.Terms.Refunds != common {
				return ""
			}
			common, first = l.Terms.Refunds, false
		}
	}
	return common
}

// termsOf are a line's terms that aren't said for all of the receipt.
func (p Receipt) termsOf(l Goods) []Row {
	t := l.Terms
	if p.refunds() != "" {
		t.Refunds = ""
	}
	return termsRows(t)
}

func termsRows(t market.Terms) (rows []Row) {
	for _, r := range []Row{{"Refunds", t.Refunds}, {"Licence", t.License}} {
		if r.Value != "" {
			rows = append(rows, r)
		}
	}
	return rows
}
