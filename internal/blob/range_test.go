package blob

import (
	"context"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestRangesOfAFile reads parts through the open blob, as the replica does.
func TestRangesOfAFile(t *testing.T) {
	s := open(t, t.TempDir())
	content := strings.Repeat("0123456789", 3*copySize/10)
	f, err := s.Open(context.Background(), put(t, s, content).Sum)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size := len(content)
	for _, c := range []struct{ from, n int }{{0, 0}, {0, 1}, {5, 10}, {copySize - 1, 2}, {size - 3, 3}, {size - 3, 10}, {size, 1}, {size + 100, 1}} {
		want := content[min(c.from, size):min(c.from+c.n, size)]
		buf := make([]byte, c.n)
		n, err := f.ReadAt(buf, int64(c.from))
		if string(buf[:n]) != want || (err == io.EOF) != (len(want) < c.n) || err != nil && err != io.EOF {
			t.Errorf("%d bytes from %d: %d, %v, want %d", c.n, c.from, n, err, len(want))
		}
		part, err := io.ReadAll(io.NewSectionReader(f, int64(c.from), int64(c.n)))
		if err != nil || string(part) != want {
			t.Errorf("section of %d from %d: %d, %v, want %d", c.n, c.from, len(part), err, len(want))
		}
	}
	if _, err := f.ReadAt(make([]byte, 1), -1); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("before the beginning: %v", err)
	}
}

// serving answers every request with a blob, as downloads do.
func serving(t *testing.T, s *Store, ref Ref) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, err := s.Open(r.Context(), ref.Sum)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		w.Header().Set("ETag", `"`+ref.Sum.String()+`"`)
		http.ServeContent(w, r, "release.zip", time.Time{}, f)
	}))
	t.Cleanup(server.Close)
	return server
}

func request(t *testing.T, url string, header map[string]string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func TestServeContent(t *testing.T) {
	s := open(t, t.TempDir())
	content := strings.Repeat("0123456789", 50_000)
	ref := put(t, s, content)
	url := serving(t, s, ref).URL
	etag := `"` + ref.Sum.String() + `"`
	for _, c := range []struct {
		rng, ifRange, want string
		status             int
	}{
		{"", "", content, 200},
		{"bytes=499995-", "", content[499_995:], 206},
		{"bytes=10-19", "", content[10:20], 206},
		{"bytes=-7", "", content[499_993:], 206},
		{"bytes=499990-600000", "", content[499_990:], 206},
		{"bytes=500000-", "", "", 416},
		{"bytes=10-19", etag, content[10:20], 206},
		{"bytes=10-19", `"another"`, content, 200}, // the file the client began to fetch is gone
	} {
		header := map[string]string{}
		if c.rng != "" {
			header["Range"] = c.rng
		}
		if c.ifRange != "" {
			header["If-Range"] = c.ifRange
		}
		resp, got := request(t, url, header)
		if resp.StatusCode != c.status || (c.status != 416 && got != c.want) {
			t.Errorf("range %q if %q: status %d, %d bytes", c.rng, c.ifRange, resp.StatusCode, len(got))
		}
	}
	if resp, got := request(t, url, map[string]string{"If-None-Match": etag}); resp.StatusCode != 304 || got != "" {
		t.Errorf("not changed: status %d, %d bytes", resp.StatusCode, len(got))
	}
}

func TestServeSeveralRanges(t *testing.T) {
	s := open(t, t.TempDir())
	content := strings.Repeat("0123456789", 1000)
	resp, body := request(t, serving(t, s, put(t, s, content)).URL, map[string]string{"Range": "bytes=0-4,9000-9009"})
	_, params, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || resp.StatusCode != 206 {
		t.Fatalf("status %d, %v", resp.StatusCode, err)
	}
	parts := multipart.NewReader(strings.NewReader(body), params["boundary"])
	for _, want := range []string{content[:5], content[9000:9010]} {
		part, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(part); err != nil || string(got) != want {
			t.Errorf("part %q, %v, want %q", got, err, want)
		}
	}
}

func TestServeNothing(t *testing.T) {
	s := open(t, t.TempDir())
	url := serving(t, s, put(t, s, "")).URL
	if resp, got := request(t, url, nil); resp.StatusCode != 200 || got != "" || resp.ContentLength != 0 {
		t.Errorf("an empty file: status %d, %q", resp.StatusCode, got)
	}
	if resp, got := request(t, url, map[string]string{"Range": "bytes=0-0"}); resp.StatusCode != 200 || got != "" {
		t.Errorf("a range of an empty file: status %d, %q", resp.StatusCode, got)
	}
}
