package web

import (
	"net/http"
	"strconv"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/order"
	"github.com/souk-market/souk/views"
)

// Cookies. The cart's own is for the server alone; the count beside it is read by a
// script, so that public pages can be the same for everyone.
const (
	cartCookie  = "souk_cart"
	countCookie = "souk_cart_n"
	cookieLife  = 30 * 24 * 3600 // seconds
)

func (s *Server) cartID(r *http.Request) market.CartID { return market.CartID(s.cookie(r, cartCookie)) }

func (s *Server) setCart(w http.ResponseWriter, id market.CartID, lines int) {
	s.setCookie(w, cartCookie, string(id), cookieLife)
	s.setCount(w, lines)
}

func (s *Server) setCount(w http.ResponseWriter, lines int) {
	http.SetCookie(w, &http.Cookie{
		Name: countCookie, Value: strconv.Itoa(lines), Path: "/", MaxAge: cookieLife, Secure: s.secure, SameSite: http.SameSiteLaxMode,
	})
}

func (s *Server) cart(w http.ResponseWriter, r *http.Request) error {
	c, err := s.Shop.Cart(r.Context(), s.cartID(r))
	if err != nil {
		return err
	}
	page := views.Cart{
		Meta: views.Meta{Title: "Your cart", NoIndex: true}, Groups: groups(c.Lines), Total: c.Total, TaxNote: taxNote,
	}
	if len(c.Gone) > 0 {
		page.Notice = c.Gone[0] + " can't be bought any more and has left your cart."
	}
	if len(c.Lines) == 0 {
		h, err := s.Catalog.Home(r.Context(), relatedCards)
		if err != nil {
			return err
		}
		page.Popular = cards(h.Popular)
	}
	s.setCount(w, len(c.Lines))
	return s.private(w, r, http.StatusOK, views.CartPage(s.site(r.Context()), page))
}

const taxNote = "No tax is added."

// groups puts lines together by seller, in the order in which sellers first appear.
func groups(lines []order.CartLine) []views.Group {
	var gg []views.Group
	at := map[market.SellerID]int{}
	for _, l := range lines {
		i, ok := at[l.Seller.ID]
		if !ok {
			i = len(gg)
			at[l.Seller.ID] = i
			gg = append(gg, views.Group{Seller: sellerOf(l.Seller)})
		}
		g := &gg[i]
		g.Lines = append(g.Lines, views.Line{
			AgentID: string(l.Agent.ID), OfferID: string(l.Offer.ID), Slug: l.Agent.Slug, Seed: string(l.Agent.ID),
			Name: l.Agent.Name, Offer: offerName(&l.Agent, l.Offer), Price: l.Offer.Price, Terms: l.Terms,
		})
		if sum, err := g.Subtotal.Add(l.Offer.Price); err == nil { // the cart's total has added the same amounts
			g.Subtotal = sum
		}
	}
	return gg
}

// offerName is an offer's name where the agent has several.
func offerName(a *market.Agent, o market.Offer) string {
	if len(a.Also) == 0 {
		return ""
	}
	return o.Name
}

func (s *Server) addToCart(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return badForm(err)
	}
	id, n, err := s.Shop.Add(r.Context(), s.cartID(r), market.AgentID(r.PostForm.Get("agent")), market.OfferID(r.PostForm.Get("offer")))
	if err != nil {
		return err
	}
	s.setCart(w, id, n)
	to := "/cart"
	if r.PostForm.Get("then") == "checkout" {
		to = "/checkout"
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

func (s *Server) removeFromCart(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return badForm(err)
	}
	n, err := s.Shop.Remove(r.Context(), s.cartID(r), market.AgentID(r.PostForm.Get("agent")))
	if err != nil {
		return err
	}
	s.setCount(w, n)
	http.Redirect(w, r, "/cart", http.StatusSeeOther)
	return nil
}

func badForm(err error) error {
	return market.Errorf(market.Invalid, "The form couldn't be read. Please go back and send it again.").Because(err)
}
