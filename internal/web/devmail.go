package web

import (
	"net/http"
	"net/url"

	"github.com/souk-market/souk/views"
)

// outbox lists the mails that a marketplace without a mail server would have sent.
func (s *Server) outbox(w http.ResponseWriter, r *http.Request) error {
	page, err := s.Outbox.List(r.Context(), r.URL.Query().Get("after"), 50)
	if err != nil {
		return err
	}
	v := views.Outbox{Meta: views.Meta{Title: "Outbox", NoIndex: true}}
	for _, m := range page.Items {
		v.Mails = append(v.Mails, views.Mail{Href: "/dev/mail/" + m.ID, To: m.To.Email, Subject: m.Subject, Time: m.Date})
	}
	if page.Next != "" {
		v.Next = "/dev/mail?after=" + url.QueryEscape(page.Next)
	}
	return s.private(w, r, http.StatusOK, views.OutboxPage(s.site(r.Context()), v))
}

func (s *Server) mail(w http.ResponseWriter, r *http.Request) error {
	m, err := s.Outbox.Open(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	v := views.Mail{
		Meta: views.Meta{Title: m.Subject, NoIndex: true}, Href: "/dev/mail/" + m.ID, From: m.From.String(), To: m.To.String(),
		Subject: m.Subject, Time: m.Date, Text: m.Text,
	}
	if m.HTML != "" {
		v.HTML = "/dev/mail/" + m.ID + "/html"
	}
	return s.private(w, r, http.StatusOK, views.MailPage(s.site(r.Context()), v))
}

// mailBody is the HTML of a mail, as inert as a mail program makes it.
func (s *Server) mailBody(w http.ResponseWriter, r *http.Request) error {
	m, err := s.Outbox.Open(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'self'")
	h.Set("Cache-Control", "private, no-store")
	h.Set("Content-Type", "text/html; charset=utf-8")
	_, err = w.Write([]byte(m.HTML))
	return err
}

// gallery shows every part of the pages, for who works on their looks.
func (s *Server) gallery(w http.ResponseWriter, r *http.Request) error {
	h, err := s.Catalog.Home(r.Context(), homeCards)
	if err != nil {
		return err
	}
	shown := cards(h.Picks)
	if len(shown) == 0 {
		shown = cards(h.Popular)
	}
	return s.private(w, r, http.StatusOK, views.GalleryPage(s.site(r.Context()), views.Gallery{
		Meta: views.Meta{Title: "Gallery", NoIndex: true}, Cards: shown,
	}))
}
