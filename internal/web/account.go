package web

import (
	"errors"
	"math"
	"net/http"
	"net/url"
	"strconv"

	"github.com/souk-market/souk/internal/account"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/order"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/views"
)

const (
	purchasesPage = 20
	latestSales   = 10
	accountPath   = "/account"
)

func (s *Server) signInPage(w http.ResponseWriter, r *http.Request) error {
	next := localPath(r.URL.Query().Get("next"))
	_, err := s.visitor(r)
	switch {
	case market.Is(err, market.Unauthorized):
		return s.showSignIn(w, r, views.SignIn{Next: next}, http.StatusOK)
	case err != nil:
		return err
	}
	w.Header().Set("Cache-Control", "private, no-store")
	http.Redirect(w, r, orAccount(next), http.StatusSeeOther)
	return nil
}

func (s *Server) showSignIn(w http.ResponseWriter, r *http.Request, page views.SignIn, status int) error {
	page.Meta = views.Meta{Title: "Sign in", NoIndex: true}
	return s.private(w, r, status, views.SignInPage(s.site(r.Context()), page))
}

func orAccount(next string) string {
	if next == "" {
		return accountPath
	}
	return next
}

func (s *Server) signIn(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return badForm(err)
	}
	next := localPath(r.PostForm.Get("next"))
	in, err := s.Accounts.SignIn(r.Context(), account.Attempt{
		Email: r.PostForm.Get("email"), Password: r.PostForm.Get("password"), Remote: r.RemoteAddr,
		Device: s.cookie(r, deviceCookie), Session: s.cookie(r, sessionCookie),
	})
	var problem *market.Error
	if errors.As(err, &problem) && problem.Kind != market.Internal {
		return s.refuseSignIn(w, r, views.SignIn{Email: market.CleanText(r.PostForm.Get("email")), Next: next}, problem)
	}
	if err != nil {
		return err
	}
	s.setCookie(w, sessionCookie, in.Token, int(sessionAge.Seconds()))
	s.setCookie(w, deviceCookie, in.Device, deviceLife)
	w.Header().Set("Cache-Control", "private, no-store")
	http.Redirect(w, r, orAccount(next), http.StatusSeeOther)
	return nil
}

// refuseSignIn shows the sign-in page again with what was typed, but never the password,
// and what is wrong.
func (s *Server) refuseSignIn(w http.ResponseWriter, r *http.Request, page views.SignIn, problem *market.Error) error {
	switch problem.Field {
	case "email":
		page.EmailError = problem.Message
	case "password":
		page.PasswordError = problem.Message
	default:
		page.FormError = problem.Message
	}
	var throttled *account.Throttled
	if errors.As(problem, &throttled) {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(throttled.Wait.Seconds()))))
	}
	if problem.Kind == market.Unavailable {
		s.Logger.Error("signing in", "err", problem)
	}
	return s.showSignIn(w, r, page, statuses[problem.Kind])
}

func (s *Server) signOut(w http.ResponseWriter, r *http.Request) error {
	if token := s.cookie(r, sessionCookie); token != "" {
		if err := s.Accounts.SignOut(r.Context(), token); err != nil {
			return err
		}
	}
	s.setCookie(w, sessionCookie, "", -1)
	w.Header().Set("Cache-Control", "private, no-store")
	http.Redirect(w, r, "/", http.StatusSeeOther)
	return nil
}

// account is the page of who is signed in.
func (s *Server) account(w http.ResponseWriter, r *http.Request) error {
	who, err := s.visitor(r)
	if market.Is(err, market.Unauthorized) {
		signInFirst(w, r, accountPath)
		return nil
	}
	if err != nil {
		return err
	}
	page := views.Account{Meta: views.Meta{Title: "Your account", NoIndex: true}, Email: who.Email, Name: who.Name}
	if who.Has(market.RoleOperator) {
		page.Role = "Operator"
	}
	if err := s.fillPurchases(r, &page, &who); err != nil {
		return err
	}
	if err := s.fillDesks(r, &page, &who); err != nil {
		return err
	}
	return s.private(w, r, http.StatusOK, views.AccountPage(s.site(r.Context()), page))
}

func (s *Server) fillPurchases(r *http.Request, page *views.Account, who *market.Account) error {
	after := store.Cursor(r.URL.Query().Get("after"))
	bought, err := s.Shop.Purchases(r.Context(), who, after, purchasesPage)
	if market.Is(err, market.Forbidden) {
		page.Closed = market.Message(err)
		return nil
	}
	if err != nil {
		return err
	}
	page.Total = bought.Total
	for _, p := range bought.Items {
		page.Purchases = append(page.Purchases, purchase(&p))
	}
	if after != "" {
		page.Newest = accountPath
	}
	if bought.Next != "" {
		page.Older = accountPath + "?after=" + url.QueryEscape(string(bought.Next))
	}
	return nil
}

func purchase(p *order.Purchase) views.Purchase {
	v := views.Purchase{Href: "/o/" + p.Receipt, Number: p.Number, Date: views.When{Time: p.Created}, Total: p.Total}
	v.Seed, v.Names = goodsOf(p.Lines)
	return v
}

// goodsOf names what lines sold, and the seed of the first one's tile.
func goodsOf(lines []market.Line) (seed string, names []string) {
	for _, l := range lines {
		names = append(names, l.Name)
	}
	if len(lines) > 0 {
		seed = string(lines[0].Agent)
	}
	return seed, names
}

func (s *Server) fillDesks(r *http.Request, page *views.Account, who *market.Account) error {
	sellers, err := s.Accounts.Sellers(r.Context(), who.ID)
	if err != nil {
		return err
	}
	for _, sel := range sellers {
		d, err := s.Shop.Desk(r.Context(), who, sel.ID, latestSales)
		if err != nil {
			return err
		}
		page.Desks = append(page.Desks, desk(&d))
	}
	return nil
}

func desk(d *order.Desk) views.Desk {
	v := views.Desk{Seller: sellerOf(d.Seller), Balance: d.Balance, Listings: d.Listings, Sales: d.Sales}
	for _, o := range d.Latest {
		sale := views.Sale{Number: o.Number, Date: views.When{Time: o.Paid}, Total: o.Total}
		sale.Seed, sale.Names = goodsOf(o.Lines)
		v.Latest = append(v.Latest, sale)
	}
	return v
}
