package web

import (
	"net/http"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/views"
)

// immutable is for what has its content's hash in its name, or is drawn from its name.
const immutable = "public, max-age=31536000, immutable"

func (s *Server) asset(w http.ResponseWriter, r *http.Request) error {
	data, contentType, hashed := views.Asset(r.PathValue("name"))
	if data == nil {
		return market.Errorf(market.NotFound, "There is no such file.")
	}
	h := w.Header()
	h.Set("Cache-Control", "public, max-age=300")
	if r.PathValue("name") == hashed {
		h.Set("Cache-Control", immutable)
	}
	h.Set("Content-Type", contentType)
	w.Write(data)
	return nil
}

func (s *Server) tile(w http.ResponseWriter, r *http.Request) error {
	svg, ok := views.Tile(r.PathValue("file"))
	if !ok {
		return market.Errorf(market.NotFound, "There is no such tile.")
	}
	h := w.Header()
	h.Set("Cache-Control", immutable)
	h.Set("Content-Type", "image/svg+xml")
	w.Write(svg)
	return nil
}

func (s *Server) favicon(w http.ResponseWriter, r *http.Request) error {
	http.Redirect(w, r, views.AssetPath("favicon.svg"), http.StatusFound)
	return nil
}
