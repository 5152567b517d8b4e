package web

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/souk-market/souk/internal/market"
)

// Cookies of who has signed in. Both are for the server alone. The device's is kept
// when the session ends: it only says that this browser has been here before.
const (
	sessionCookie = "souk_session"
	deviceCookie  = "souk_device"
	deviceLife    = 365 * 24 * 3600 // seconds
	maxToken      = 128             // bytes of either cookie
)

// cookieName has the __Host- prefix where cookies are secure, so that no sibling domain
// can plant one.
func (s *Server) cookieName(name string) string {
	if s.secure {
		return "__Host-" + name
	}
	return name
}

func (s *Server) setCookie(w http.ResponseWriter, name, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: s.cookieName(name), Value: value, Path: "/", MaxAge: maxAge, Secure: s.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// cookie returns the value of one of our cookies, "" when it isn't there or can't be ours.
func (s *Server) cookie(r *http.Request, name string) string {
	c, err := r.Cookie(s.cookieName(name))
	if err != nil || len(c.Value) > maxToken {
		return ""
	}
	return c.Value
}

// sessionAge is how long the browser keeps a session's cookie: as long as the session
// can last. The server decides when it ends.
const sessionAge = 30 * 24 * time.Hour

// visitor returns the account that the request's session belongs to, or Unauthorized.
// Only pages that are private ask.
func (s *Server) visitor(r *http.Request) (market.Account, error) {
	return s.Accounts.Who(r.Context(), s.cookie(r, sessionCookie))
}

// localPath returns next when it is a path of this site, and else "". Browsers read
// some texts as other sites that look like paths: "//e", "/\e", and both with tabs or
// line ends in them, which they drop.
func localPath(next string) string {
	if len(next) > 512 || !strings.HasPrefix(next, "/") || strings.ContainsFunc(next, unsafeInPath) {
		return ""
	}
	u, err := url.Parse(next)
	if err != nil || u.IsAbs() || u.Host != "" || u.User != nil || u.Opaque != "" {
		return ""
	}
	if strings.HasPrefix(u.Path, "//") || strings.ContainsRune(u.Path, '\\') { // as "/%2fe" and "/%5ce" decode
		return ""
	}
	return next
}

func unsafeInPath(r rune) bool { return r <= ' ' || r == '\\' || r >= 0x7f }

// signInFirst sends a visitor to the sign-in page, and back to next from there.
func signInFirst(w http.ResponseWriter, r *http.Request, next string) {
	w.Header().Set("Cache-Control", "private, no-store")
	http.Redirect(w, r, "/sign-in?next="+url.QueryEscape(next), http.StatusSeeOther)
}
