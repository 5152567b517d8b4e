package edge

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

func TestCompression(t *testing.T) {
	html := "<!doctype html>" + strings.Repeat("<p>agent</p>", 1000)
	for _, c := range []struct {
		name   string
		answer answer
		accept string
		want   string // the coding
	}{
		{"gzip", answer{"body": html}, "gzip", "gzip"},
		{"zstd", answer{"body": html}, "zstd", "zstd"},
		{"Chromium", answer{"body": html}, "gzip, deflate, br, zstd", "zstd"},
		{"weights", answer{"body": html}, "zstd;q=0.5, GZIP;q=0.8", "gzip"},
		{"refused", answer{"body": html}, "gzip;q=0, zstd; q=0", ""},
		{"none of ours", answer{"body": html}, "br, *", ""},
		{"not asked for", answer{"body": html}, "", ""},
		{"malformed", answer{"body": html}, "gzip;q=many", ""},
		{"small", answer{"body": html[:minCompress-1]}, "gzip", ""},
		{"empty", answer{}, "gzip", ""},
		{"declared", answer{"body": html, "Content-Length": fmt.Sprint(len(html)), "Content-Type": "text/html"}, "gzip", "gzip"},
		{"declared small", answer{"body": "hi", "Content-Length": "2", "Content-Type": "text/html"}, "gzip", ""},
		{"JSON", answer{"body": html, "Content-Type": "application/problem+json; charset=utf-8"}, "gzip", "gzip"},
		{"image", answer{"body": html, "Content-Type": "image/png"}, "gzip", ""},
		{"events", answer{"body": html, "Content-Type": "text/event-stream"}, "gzip", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, c.answer, Options{})
			res, body := send(t, s, "GET", "/", nil, "Accept-Encoding: "+c.accept)
			if got := res.Header.Get("Content-Encoding"); got != c.want {
				t.Fatalf("Content-Encoding %q, want %q", got, c.want)
			}
			if got := unpack(t, c.want, body); got != c.answer["body"] {
				t.Errorf("the body differs: %d bytes, want %d", len(got), len(c.answer["body"]))
			}
			if c.want != "" && len(body) > len(html)/4 {
				t.Errorf("%d bytes, from %d", len(body), len(html))
			}
			if got := res.Header.Get("Vary"); got != "Accept-Encoding" {
				t.Errorf("Vary %q", got)
			}
			if ct := res.Header.Get("Content-Type"); c.answer["body"] != "" && c.answer["Content-Type"] == "" && ct != "text/html; charset=utf-8" {
				t.Errorf("Content-Type %q", ct)
			}
		})
	}
	t.Run("already", func(t *testing.T) {
		s := serve(t, answer{"body": html, "Content-Encoding": "br", "Etag": `"x"`}, Options{})
		res, body := send(t, s, "GET", "/", nil, "Accept-Encoding: gzip")
		if res.Header.Get("Content-Encoding") != "br" || body != html || res.Header.Get("Etag") != `"x"` {
			t.Errorf("changed: %v", res.Header)
		}
	})
	t.Run("receipt", func(t *testing.T) {
		s := serve(t, answer{"body": html}, Options{})
		if res, _ := send(t, s, "GET", "/o/token", nil, "Accept-Encoding: gzip"); res.Header.Get("Content-Encoding") != "" {
			t.Error("a page with a secret is compressed")
		}
	})
	t.Run("HEAD", func(t *testing.T) {
		s := serve(t, answer{"body": html}, Options{})
		if res, _ := send(t, s, "HEAD", "/", nil, "Accept-Encoding: gzip"); res.Header.Get("Content-Encoding") != "" || res.StatusCode != 200 {
			t.Errorf("%d %v", res.StatusCode, res.Header)
		}
	})
	t.Run("parts", func(t *testing.T) {
		s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for i := range len(html) {
				io.WriteString(w, html[i:i+1])
				if i%5000 == 100 {
					http.NewResponseController(w).Flush()
				}
			}
		}), Options{})
		for _, coding := range []string{"gzip", "zstd"} {
			if _, body := send(t, s, "GET", "/", nil, "Accept-Encoding: "+coding); unpack(t, coding, body) != html {
				t.Errorf("%s: the body differs", coding)
			}
		}
	})
}

func unpack(t *testing.T, coding, body string) string {
	t.Helper()
	r, err := io.Reader(strings.NewReader(body)), error(nil)
	switch coding {
	case "gzip":
		r, err = gzip.NewReader(r)
	case "zstd":
		r, err = zstd.NewReader(r)
	}
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The ETag of a compressed page is weak, and asking again with it gives 304.
func TestCompressedTag(t *testing.T) {
	html := strings.Repeat("<p>agent</p>", 1000)
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", `"x"`)
		http.ServeContent(w, r, "a.html", time.Time{}, strings.NewReader(html))
	}), Options{})
	for accept, want := range map[string]string{"gzip": `W/"x"`, "": `"x"`} {
		res, body := send(t, s, "GET", "/", nil, "Accept-Encoding: "+accept)
		if got := res.Header.Get("Etag"); got != want || unpack(t, res.Header.Get("Content-Encoding"), body) != html {
			t.Errorf("ETag %s of %d bytes, want %s", got, len(body), want)
		}
		res, body = send(t, s, "GET", "/", nil, "Accept-Encoding: "+accept, "If-None-Match: "+want)
		if res.StatusCode != 304 || body != "" || res.Header.Get("Etag") != want {
			t.Errorf("again: %d with ETag %s", res.StatusCode, res.Header.Get("Etag"))
		}
	}
}
