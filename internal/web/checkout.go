package web

import (
	"errors"
	"net/http"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/order"
	"github.com/souk-market/souk/views"
)

func (s *Server) checkout(w http.ResponseWriter, r *http.Request) error {
	var p order.Placement
	who, err := s.visitor(r)
	if err != nil && !market.Is(err, market.Unauthorized) {
		return err
	}
	p.Email = who.Email
	return s.showCheckout(w, r, p, nil)
}

// showCheckout renders the checkout of the visitor's cart with what has been typed and
// what is wrong with it.
func (s *Server) showCheckout(w http.ResponseWriter, r *http.Request, p order.Placement, problem *market.Error) error {
	c, err := s.Shop.Cart(r.Context(), s.cartID(r))
	if err != nil {
		return err
	}
	if len(c.Lines) == 0 && problem != nil && problem.Kind == market.Unavailable {
		return problem // the order is recorded, and waits to be confirmed
	}
	if len(c.Lines) == 0 {
		http.Redirect(w, r, "/cart", http.StatusSeeOther)
		return nil
	}
	page := views.Checkout{
		Meta: views.Meta{Title: "Checkout", NoIndex: true}, Token: order.PageToken(p.Token, &c), Groups: groups(c.Lines), Total: c.Total, TaxNote: taxNote,
		Email: p.Email, Agreed: p.Terms, Terms: "I agree to the terms of sale.", TermsHref: "/pages/terms", Provider: s.providerTitle(),
	}
	status := http.StatusOK
	if problem != nil {
		status = statuses[problem.Kind]
		if problem.Kind == market.Unavailable {
			s.Logger.Error("placing a checkout", "err", problem)
		}
		switch problem.Field {
		case "email":
			page.EmailError = problem.Message
		case "terms":
			page.TermsError = problem.Message
		default:
			page.FormError = problem.Message
		}
	}
	return s.private(w, r, status, views.CheckoutPage(s.site(r.Context()), page))
}

func (s *Server) providerTitle() string {
	if s.Provider.Name() == "stripe" {
		return "Stripe"
	}
	return "the Souk Sandbox"
}

func (s *Server) place(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return badForm(err)
	}
	p := order.Placement{
		Cart: s.cartID(r), Email: r.PostForm.Get("email"), Terms: r.PostForm.Get("terms") != "", Token: r.PostForm.Get("token"),
	}
	shown, err := market.ParseMoney(r.PostForm.Get("total"))
	if err == nil {
		p.Shown = shown
	}
	next, err := s.Shop.Place(r.Context(), p)
	var problem *market.Error
	if errors.As(err, &problem) && problem.Kind != market.Internal && problem.Kind != market.NotFound {
		return s.showCheckout(w, r, p, problem)
	}
	if err != nil {
		return err
	}
	http.Redirect(w, r, next, http.StatusSeeOther)
	return nil
}
