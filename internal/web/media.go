package web

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/souk-market/souk/internal/market"
)

// media answers with a picture in one of its widths. Its address has the hash of the
// master, so that it never changes; it ends when the picture may not be shown any more.
func (s *Server) media(w http.ResponseWriter, r *http.Request) error {
	sum, width, format, ok := mediaName(r.PathValue("file"))
	if !ok || s.Media == nil {
		return market.Errorf(market.NotFound, "There is no such picture.")
	}
	img, err := s.Catalog.ShownPicture(r.Context(), sum)
	if err != nil {
		return err
	}
	v, err := s.Media.Variant(r.Context(), img, width, format)
	if err != nil {
		return err
	}
	defer v.Close()
	h := w.Header()
	h.Set("Cache-Control", immutable)
	h.Set("Content-Type", v.Type)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("ETag", `"`+r.PathValue("file")+`"`)
	http.ServeContent(w, r, "", v.Made, v)
	return nil
}

// mediaName reads {sha256}-{width}.{format}. Each picture has one spelling.
func mediaName(file string) (sum string, width int, format market.ImageFormat, ok bool) {
	name, ending, _ := strings.Cut(file, ".")
	sum, digits, _ := strings.Cut(name, "-")
	width, err := strconv.Atoi(digits)
	ok = err == nil && strconv.Itoa(width) == digits && len(sum) == 64
	return sum, width, market.ImageFormat(ending), ok
}
