package pagecache

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/store/storetest"
)

var longBody = []byte(strings.Repeat("<li>An agent that does things</li>\n", 300))

// site serves one page from a cache.
type site struct {
	cache *Cache
	page  Page
}

func newSite(t *testing.T, p Page) *site { return &site{New(storetest.Open(t), Options{}), p} }

// ask sends a request with headers as name and value.
func (s *site) ask(t *testing.T, method string, headers ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, "/page", nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	if err := s.cache.Serve(w, r, keyOf("page"), func(store.Reader) (Page, error) { return s.page, nil }); err != nil {
		t.Fatal(err)
	}
	return w.Result()
}

// unpacked is an answer's body without its coding.
func unpacked(t *testing.T, a *http.Response) []byte {
	t.Helper()
	sent, err := io.ReadAll(a.Body)
	if n := a.Header.Get("Content-Length"); err != nil || n != strconv.Itoa(len(sent)) {
		t.Errorf("%d bytes sent, and Content-Length is %s: %v", len(sent), n, err)
	}
	r := io.Reader(bytes.NewReader(sent))
	switch a.Header.Get("Content-Encoding") {
	case "br":
		r = brotli.NewReader(r)
	case "zstd":
		d, _ := zstd.NewReader(r)
		defer d.Close()
		r = d
	case "gzip":
		r, _ = gzip.NewReader(r)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Error(err)
	}
	return b
}

// TestVariants has each coding asked for, of a page that was just rendered and of one that
// is kept. Each variant has its own strong tag.
func TestVariants(t *testing.T) {
	tags := map[string]string{}
	for _, tc := range []struct{ accept, first, then string }{
		{"", "", ""},
		{"identity", "", ""},
		{"*", "", ""},
		{"gzip", "gzip", "gzip"},
		{"zstd", "zstd", "zstd"},
		{"br", "", "br"},
		{"gzip, deflate, br, zstd", "zstd", "br"},
		{"GZIP;q=0.5, zstd;q=0", "gzip", "gzip"},
		{"br;q=0.1, gzip", "gzip", "gzip"},
	} {
		t.Run(tc.accept, func(t *testing.T) {
			s := newSite(t, Page{Type: "text/html; charset=utf-8", Body: longBody})
			for round, want := range []string{tc.first, tc.then, tc.then} {
				a := s.ask(t, "GET", "Accept-Encoding", tc.accept)
				if got := a.Header.Get("Content-Encoding"); got != want || !bytes.Equal(unpacked(t, a), longBody) {
					t.Errorf("answer %d is in %q, want %q", round, got, want)
				}
				tag := a.Header.Get("Etag")
				if other, seen := tags[tag]; !strings.HasPrefix(tag, `"`) || seen && other != want {
					t.Errorf("the tag of %q is %s, as that of %q", want, tag, other)
				}
				tags[tag] = want
			}
		})
	}
	if len(tags) != 4 {
		t.Errorf("%v", tags)
	}
}

func TestShortAndPackedBodiesStayAsTheyAre(t *testing.T) {
	for _, p := range []Page{{Type: "text/html", Body: []byte("short")}, {Type: "image/png", Body: longBody}} {
		s := newSite(t, p)
		for range 2 {
			a := s.ask(t, "GET", "Accept-Encoding", "br, gzip")
			if a.Header.Get("Content-Encoding") != "" || !bytes.Equal(unpacked(t, a), p.Body) {
				t.Errorf("%v", a.Header)
			}
		}
	}
}

// TestNotModified has clients name what they hold in the ways that browsers and proxies do.
func TestNotModified(t *testing.T) {
	s := newSite(t, Page{Type: "text/html", Body: longBody})
	s.ask(t, "GET")
	plain, packed := s.ask(t, "GET").Header.Get("Etag"), s.ask(t, "GET", "Accept-Encoding", "br").Header.Get("Etag")
	for name, tc := range map[string]struct {
		headers []string
		tag     string // "" when the client has another page
	}{
		"the page":                 {[]string{"If-None-Match", plain}, plain},
		"the page in a coding":     {[]string{"If-None-Match", packed, "Accept-Encoding", "br"}, packed},
		"in one no longer taken":   {[]string{"If-None-Match", packed, "Accept-Encoding", "gzip"}, packed},
		"weakened by a proxy":      {[]string{"If-None-Match", "W/" + packed}, packed},
		"one of a list":            {[]string{"If-None-Match", `"other", W/"more",` + plain}, plain},
		"in a second header":       {[]string{"If-None-Match", `"other"`, "If-None-Match", plain}, plain},
		"any":                      {[]string{"If-None-Match", "*"}, plain},
		"another":                  {[]string{"If-None-Match", `"other"`}, ""},
		"an older one":             {[]string{"If-None-Match", strings.Replace(plain, plain[1:3], "..", 1)}, ""},
		"without quotes":           {[]string{"If-None-Match", strings.Trim(plain, `"`)}, ""},
		"with something after it":  {[]string{"If-None-Match", strings.TrimSuffix(plain, `"`) + `-xx"`}, ""},
		"something else, the page": {[]string{"If-Match", plain}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, method := range []string{"GET", "HEAD"} {
				a := s.ask(t, method, tc.headers...)
				body, _ := io.ReadAll(a.Body)
				if tc.tag == "" && a.StatusCode != http.StatusOK {
					t.Errorf("%s: %s", method, a.Status)
				}
				if tc.tag != "" && (a.StatusCode != http.StatusNotModified || a.Header.Get("Etag") != tc.tag || len(body) > 0 || a.Header.Get("Cache-Control") != Revalidate) {
					t.Errorf("%s: %s, %v", method, a.Status, a.Header)
				}
			}
		})
	}
}

func TestHead(t *testing.T) {
	s := newSite(t, Page{Type: "text/html", Body: longBody})
	for _, accept := range []string{"", "zstd"} {
		s.ask(t, "GET", "Accept-Encoding", accept)
		get, head := s.ask(t, "GET", "Accept-Encoding", accept), s.ask(t, "HEAD", "Accept-Encoding", accept)
		if body, _ := io.ReadAll(head.Body); len(body) > 0 {
			t.Errorf("HEAD sends %d bytes", len(body))
		}
		for _, name := range []string{"Etag", "Content-Length", "Content-Type", "Content-Encoding", "Cache-Control"} {
			if get.Header.Get(name) != head.Header.Get(name) {
				t.Errorf("%s is %q, and for HEAD %q", name, get.Header.Get(name), head.Header.Get(name))
			}
		}
	}
}

func TestRedirectsAndNothing(t *testing.T) {
	s := newSite(t, Page{Status: http.StatusMovedPermanently, Location: "/agents/new"})
	for range 2 {
		if a := s.ask(t, "GET"); a.StatusCode != http.StatusMovedPermanently || a.Header.Get("Location") != "/agents/new" || a.Header.Get("Etag") != "" {
			t.Errorf("%s, %v", a.Status, a.Header)
		}
	}
	s = newSite(t, Page{Status: http.StatusNotFound, Type: "text/html", Body: longBody, CacheControl: "no-store"})
	for range 2 {
		a := s.ask(t, "GET", "If-None-Match", "*", "Accept-Encoding", "gzip")
		if a.StatusCode != http.StatusNotFound || a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Etag") != "" || !bytes.Equal(unpacked(t, a), longBody) {
			t.Errorf("%s, %v", a.Status, a.Header)
		}
	}
}

// TestTagsOutliveTheProcess: two caches name the same page alike.
func TestTagsOutliveTheProcess(t *testing.T) {
	a := newSite(t, Page{Body: longBody}).ask(t, "GET").Header.Get("Etag")
	b := newSite(t, Page{Body: longBody}).ask(t, "GET").Header.Get("Etag")
	other := newSite(t, Page{Body: longBody[1:]}).ask(t, "GET").Header.Get("Etag")
	if a != b || a == other {
		t.Errorf("%s, %s and %s", a, b, other)
	}
}

// TestWhoHasLeftIsRenderedFor: a request that ends before its page is rendered leaves it to
// those who come after it.
func TestWhoHasLeftIsRenderedFor(t *testing.T) {
	db := storetest.Open(t)
	c := New(db, Options{})
	gone, leave := context.WithCancel(context.Background())
	leave()
	if _, _, err := c.page(gone, keyOf("counts"), show("counts")); err != nil {
		t.Error(err)
	}
	if _, kept, err := c.page(context.Background(), keyOf("counts"), show("counts")); !kept || err != nil {
		t.Errorf("kept: %v, %v", kept, err)
	}
}
