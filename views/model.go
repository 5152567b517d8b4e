package views

import (
	"time"

	"github.com/souk-market/souk/internal/market"
)

// Snippet is something to copy: a command or a piece of configuration.
type Snippet struct {
	Title string // "With pip"
	Code  string
}

// Cart is the cart's page: CartPage(site, Cart{...}). No groups is an empty cart.
type Cart struct {
	Meta    Meta
	Groups  []Group
	Total   market.Money
	TaxNote string // "No tax is added." Named even when there is none
	Notice  string // what just happened: "Removed chroma-mcp from your cart."
	Popular []Card // offered when the cart is empty
}

// Group is what a cart or an order holds of one seller.
type Group struct {
	Seller   Seller
	Lines    []Line
	Subtotal market.Money
}

// Line is one thing in a cart or an order.
type Line struct {
	AgentID string
	OfferID string
	Slug    string
	Seed    string
	Name    string
	Offer   string // the offer's name; "" when there is only one
	Price   market.Money
	Per     string
	Was     *market.Money // the price when it was added, if that has changed since
	Terms   market.Terms  // those that it is sold under; of a receipt, that it was
}

// Checkout is the last page before paying: CheckoutPage(site, Checkout{...}). Its form
// posts token, email, terms ("yes") and total (Total as market.ParseMoney reads it: what
// the buyer saw) to /checkout.
type Checkout struct {
	Meta    Meta
	Token   string // names this attempt, so that sending it twice is once
	Groups  []Group
	Total   market.Money
	TaxNote string

	Email      string
	Terms      string // what is agreed to: "I have read the licence and refund terms …"
	TermsHref  string
	Agreed     bool
	EmailError string
	TermsError string
	FormError  string // about the whole: a price that changed, a seller that closed
	Provider   string // who takes the payment: "the test bank", "Stripe"
}

// State is how far a checkout has come.
type State string

const (
	Paid       State = "paid"
	Confirming State = "confirming" // the payment's outcome isn't known yet
	Declined   State = "declined"
	Expired    State = "expired" // not paid in time; nothing was charged
)

// Receipt is a checkout's page after paying: ReceiptPage(site, Receipt{...}).
type Receipt struct {
	Meta    Meta
	State   State
	Number  string // of the order group, as people say it: "S-4K7Q2"
	Date    time.Time
	Email   string // where the receipt went
	Paid    string // what paid: "Visa ending in 4242"; "" for a free order
	Groups  []ReceiptGroup
	Total   market.Money
	TaxNote string

	Reason  string // Declined: what the bank said, as a sentence
	Retry   string // Declined, Expired: where to try again
	Refresh int    // Confirming: seconds until the page asks again; 0 is 3
	Support Link   // how to ask for help; may be empty
	Address string // of this page, with the host; printed, for it can't be read off paper otherwise
}

// ReceiptGroup is one seller's order.
type ReceiptGroup struct {
	Seller   Seller
	Order    string // the order's number
	Lines    []Goods
	Subtotal market.Money
}

// Goods is a bought line and what it gives.
type Goods struct {
	Line
	Version string
	Keys    []string
	Files   []File
	Setup   []Snippet
}

// Problem is the page for what went wrong: ProblemPage(site, Problem{...}).
type Problem struct {
	Meta      Meta
	Status    int    // HTTP status
	Title     string // what happened, as a heading; "" is chosen by Status
	Message   string // what happened and what to do
	RequestID string
	Action    Link   // what to do next; may be empty
	Query     string // put into the search field
}

// Message is a plain page of text: MessagePage(site, Message{...}).
type Message struct {
	Meta   Meta
	Title  string
	Body   []string // paragraphs
	Action Link     // may be empty
}

// Outbox is the list of mails that would have been sent: OutboxPage(site, Outbox{...}).
type Outbox struct {
	Meta  Meta
	Mails []Mail // newest first
	Next  string // address of the older ones; "" at the end
}

// Mail is one mail of the outbox: MailPage(site, Mail{...}).
type Mail struct {
	Meta    Meta
	Href    string // its page
	From    string
	To      string
	Subject string
	Time    time.Time
	Text    string // the text part
	HTML    string // address of the HTML part, shown in a sandboxed frame; "" when it has none
}
