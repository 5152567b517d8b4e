package web

import (
	"mime"
	"net/http"
	"time"

	"github.com/souk-market/souk/internal/blob"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/order"
	"github.com/souk-market/souk/views"
)

func (s *Server) receipt(w http.ResponseWriter, r *http.Request) error {
	rec, err := s.Shop.Receipt(r.Context(), r.PathValue("receipt"))
	if err != nil {
		return err
	}
	if rec.State == market.GroupFulfilled && rec.Checkout.Cart == s.cartID(r) {
		if c, err := s.Shop.Cart(r.Context(), s.cartID(r)); err == nil {
			s.setCount(w, len(c.Lines))
		}
	}
	return s.private(w, r, http.StatusOK, views.ReceiptPage(s.site(r.Context()), s.receiptPage(rec)))
}

var receiptStates = map[market.GroupState]views.State{
	market.GroupPending:            views.Confirming,
	market.GroupPaid:               views.Paid,
	market.GroupPartiallyFulfilled: views.Paid,
	market.GroupFulfilled:          views.Paid,
	market.GroupPartiallyRefunded:  views.Paid,
	market.GroupRefunded:           views.Paid,
	market.GroupDisputed:           views.Paid,
	market.GroupCanceled:           views.Expired,
}

func (s *Server) receiptPage(rec *order.Receipt) views.Receipt {
	page := views.Receipt{
		Meta: views.Meta{Title: "Receipt " + rec.Checkout.Number, NoIndex: true}, State: receiptStates[rec.State],
		Number: rec.Checkout.Number, Date: rec.Checkout.Created, Email: rec.Checkout.Email, Total: rec.Checkout.Total,
		TaxNote: taxNote, Retry: "/cart", Address: s.BaseURL + "/o/" + rec.Checkout.Receipt,
	}
	if rec.Payment != nil && page.State == views.Confirming && rec.Payment.URL != "" {
		page.Retry = rec.Payment.URL
	}
	for _, o := range rec.Orders {
		g := views.ReceiptGroup{Seller: sellerOf(o.Seller), Order: string(o.ID), Subtotal: o.Total}
		for _, it := range o.Items {
			g.Lines = append(g.Lines, goods(rec, &it))
		}
		page.Groups = append(page.Groups, g)
	}
	return page
}

func goods(rec *order.Receipt, it *order.ReceiptItem) views.Goods {
	g := views.Goods{
		Line:    views.Line{AgentID: string(it.Agent), OfferID: string(it.Offer), Slug: it.Slug, Seed: string(it.Agent), Name: it.Name, Offer: it.OfferName, Price: it.Price, Terms: it.SoldUnder()},
		Version: it.Release.Version,
	}
	if it.Entitlement == nil {
		return g
	}
	g.Files = []views.File{file(it.Release.File, "/o/"+rec.Checkout.Receipt+"/download/"+string(it.Entitlement.ID))}
	if it.License != nil {
		g.Keys = []string{it.License.Key}
	}
	g.Setup = setup(it.ExternalID, it.Release.Version)
	return g
}

// download sends an entitlement's file. Range, If-Range and HEAD work, so that an
// interrupted download goes on where it stopped.
func (s *Server) download(w http.ResponseWriter, r *http.Request) error {
	f, err := s.Shop.Download(r.Context(), r.PathValue("receipt"), market.EntitlementID(r.PathValue("entitlement")))
	if err != nil {
		return err
	}
	sum, err := blob.ParseSum(f.SHA256)
	if err != nil {
		return err
	}
	content, err := s.Blobs.Open(r.Context(), sum)
	if err != nil {
		return err
	}
	defer content.Close()
	h := w.Header()
	h.Set("Cache-Control", "private, no-store")
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": f.Name}))
	h.Set("ETag", `"`+f.SHA256+`"`)
	http.ServeContent(w, r, "", time.Time{}, content)
	return nil
}
