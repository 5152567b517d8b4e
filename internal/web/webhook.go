package web

import (
	"errors"
	"io"
	"net/http"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/payments"
)

// webhook takes in an event of the payment provider. 2xx says that it is on disk; any
// other answer makes the provider come again.
func (s *Server) webhook(w http.ResponseWriter, r *http.Request) error {
	if r.PathValue("provider") != s.Provider.Name() {
		return market.Errorf(market.NotFound, "This marketplace has no payment provider %q.", r.PathValue("provider"))
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, payments.MaxWebhookBody))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return market.Errorf(market.TooLarge, "A webhook has %d bytes at most.", tooLarge.Limit)
		}
		return badForm(err)
	}
	ev, err := s.Provider.ParseWebhook(r.Context(), r.Header, body)
	switch {
	case market.Is(err, market.Conflict):
		s.Logger.Warn("an event was set aside", "event", ev.ID, "err", err)
		err = s.Shop.SetAside(r.Context(), ev, market.Message(err))
	case err == nil:
		err = s.Shop.HandleEvent(r.Context(), ev)
	default:
		s.Logger.Warn("a webhook was refused", "err", err)
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
