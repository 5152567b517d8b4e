package views

import "github.com/souk-market/souk/internal/market"

// SignIn is the page where an account's owner signs in: SignInPage(site, SignIn{...}).
// Its form posts email, password and next to /sign-in. What was typed as a password is
// never shown again.
type SignIn struct {
	Meta  Meta
	Email string
	Next  string // path to go on to; "" is the account's page

	EmailError    string
	PasswordError string
	FormError     string // about the whole: too many attempts
}

// Account is the page of who is signed in: AccountPage(site, Account{...}).
type Account struct {
	Meta      Meta
	Email     string
	Name      string // "" when they gave none
	Role      string // "Operator"; "" for everyone else
	Purchases []Purchase
	Total     int    // purchases on all pages
	Closed    string // why there are no purchases to see, when that isn't for having none
	Newest    string // address of the first page; "" on it
	Older     string // address of the next page; "" on the last
	Desks     []Desk // one for each seller that the account is
}

// Purchase is a checkout in its buyer's list.
type Purchase struct {
	Href   string // of its receipt
	Number string
	Date   When
	Seed   string   // what the tile of its first agent is drawn from
	Names  []string // of the agents
	Total  market.Money
}

// Desk is what a seller sees of their business at a glance.
type Desk struct {
	Seller   Seller
	Balance  []market.Money // owed to the seller, by currency
	Listings int
	Sales    int
	Latest   []Sale // newest first
}

// Sale is an order in its seller's list.
type Sale struct {
	Number string
	Date   When
	Seed   string
	Names  []string // of the agents
	Total  market.Money
}
