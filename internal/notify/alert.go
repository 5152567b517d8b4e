package notify

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/souk-market/souk/internal/mail"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// alert tells the operator of a failure: by mail when their address is known, and
// always in the log, which is where they look when mail is what fails.
func (m *Mailer) alert(ctx context.Context, j *store.Job) error {
	var a market.Alert
	if err := j.Decode(&a); err != nil {
		return err
	}
	if j.Attempts <= 1 {
		m.log().Error("alert: "+a.Subject, "text", a.Text, "at", a.At)
	}
	if m.Operator.Email == "" {
		return nil
	}
	return m.Sender.Send(ctx, mail.Message{
		ID: string(j.ID), From: m.From, To: m.Operator, Subject: m.Name + ": " + a.Subject,
		Text: fmt.Sprintf("%s\n\n%s\nMarketplace: %s\n", a.Text, a.At.UTC().Format(time.RFC1123), m.BaseURL),
	})
}

func (m *Mailer) log() *slog.Logger {
	if m.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return m.Logger
}
