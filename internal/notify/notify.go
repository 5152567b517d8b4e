// Package notify writes to people: it runs the mail jobs that use-cases enqueue, and the
// alerts to the operator. A job that runs twice sends the same message again under the same Message-ID, so mail
// servers and the outbox keep one.
package notify

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/souk-market/souk/internal/jobs"
	"github.com/souk-market/souk/internal/mail"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/order"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/views"
)

// Mailer sends the marketplace's mail.
type Mailer struct {
	Shop    *order.Shop
	Sender  mail.Sender
	From    mail.Address
	Name    string // of the marketplace
	BaseURL string // without a slash at the end
	// Operator is who runs the marketplace and gets alerts; without an address alerts are
	// in the log only.
	Operator mail.Address
	Logger   *slog.Logger // nil discards
}

// Handlers are the kinds of jobs that the mailer runs.
func (m *Mailer) Handlers() map[string]jobs.Handler {
	return map[string]jobs.Handler{
		order.ReceiptMail: {Run: m.receipt, Concurrency: 4},
		market.AlertJob:   {Run: m.alert, NoAck: true},
	}
}

// receipt sends a checkout's receipt to its buyer.
func (m *Mailer) receipt(ctx context.Context, j *store.Job) error {
	var job order.ReceiptJob
	if err := j.Decode(&job); err != nil {
		return err
	}
	r, err := m.Shop.ReceiptOf(ctx, job.Checkout)
	if err != nil {
		return err
	}
	subject, text, html, err := views.ReceiptMail(ctx, m.letter(r))
	if err != nil {
		return fmt.Errorf("notify: writing the receipt of %s: %w", job.Checkout, err)
	}
	return m.Sender.Send(ctx, mail.Message{
		ID: string(j.ID), From: m.From, To: mail.Address{Email: r.Checkout.Email}, Subject: subject, Text: text, HTML: html,
	})
}

// letter is what a receipt's mail says.
func (m *Mailer) letter(r *order.Receipt) views.Letter {
	l := views.Letter{
		Site: views.Site{Name: m.Name, BaseURL: m.BaseURL, Sandbox: r.Payment != nil && !r.Payment.Live},
		Path: "/o/" + r.Checkout.Receipt,
		Receipt: views.Receipt{
			State: views.Paid, Number: r.Checkout.Number, Date: r.Checkout.Created, Email: r.Checkout.Email, Total: r.Checkout.Total,
		},
	}
	for _, o := range r.Orders {
		g := views.ReceiptGroup{Seller: views.Seller{Name: o.Seller.Name}, Order: string(o.ID), Subtotal: o.Total}
		for _, it := range o.Items {
			goods := views.Goods{Line: views.Line{Name: it.Name, Slug: it.Slug, Price: it.Price, Terms: it.SoldUnder()}, Version: it.Release.Version}
			if it.License != nil {
				goods.Keys = []string{it.License.Key}
			}
			g.Lines = append(g.Lines, goods)
		}
		l.Receipt.Groups = append(l.Receipt.Groups, g)
	}
	return l
}
