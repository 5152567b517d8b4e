package edge

import (
	"bytes"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestDownload(t *testing.T) {
	name := filepath.Join(t.TempDir(), "agent.zip")
	content := bytes.Repeat([]byte("0123456789abcdef"), 5<<16) // 5 MiB
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, name) }), Options{})
	for _, path := range []string{"/o/token/download/x", "/assets/agent.zip"} {
		res, body := send(t, s, "GET", path, nil, "Accept-Encoding: gzip")
		if body != string(content) || res.ContentLength != int64(len(content)) || res.Header.Get("Accept-Ranges") != "bytes" {
			t.Errorf("%s: %d bytes, %v", path, len(body), res.Header)
		}
		res, body = send(t, s, "GET", path, nil, "Accept-Encoding: gzip", "Range: bytes=1048570-3145740")
		if res.StatusCode != 206 || body != string(content[1048570:3145741]) {
			t.Errorf("%s: %d with %d bytes of a range", path, res.StatusCode, len(body))
		}
	}
}

// kernel is a response writer that notes what a connection would be asked to send from
// the kernel.
type kernel struct {
	discard
	files, bytes int64
	deadlines    int
}

func (k *kernel) SetWriteDeadline(time.Time) error { k.deadlines++; return nil }

func (k *kernel) ReadFrom(src io.Reader) (int64, error) {
	if l, ok := src.(*io.LimitedReader); ok {
		if _, ok := l.R.(*os.File); ok {
			k.files++
		}
	}
	n, err := io.Copy(io.Discard, src)
	k.bytes += n
	return n, err
}

// A file reaches net/http as a file, in steps that each move the write deadline.
func TestDownloadIsSentByTheKernel(t *testing.T) {
	name := filepath.Join(t.TempDir(), "agent.zip")
	if err := os.WriteFile(name, make([]byte, 5*writeStep+1), 0o600); err != nil {
		t.Fatal(err)
	}
	h := Protect(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, name) }), Options{})
	k := &kernel{discard: discard{make(http.Header)}}
	h.ServeHTTP(k, httptest.NewRequest("GET", "/o/token/download/x", nil))
	if k.files != 6 || k.bytes != 5*writeStep+1 || k.deadlines != 6 {
		t.Errorf("%d bytes in %d file steps with %d deadlines, want %d in 6 with 6", k.bytes, k.files, k.deadlines, 5*writeStep+1)
	}
}

func TestLongWritesMoveTheDeadline(t *testing.T) {
	h := Protect(writes(make([]byte, 5*writeStep+1), "br"), Options{})
	k := &kernel{discard: discard{make(http.Header)}}
	h.ServeHTTP(k, httptest.NewRequest("GET", "/", nil))
	if k.deadlines != 5 {
		t.Errorf("%d deadlines, want 5", k.deadlines)
	}
}

func TestResponseController(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		err := errors.Join(c.SetReadDeadline(time.Now().Add(time.Minute)), c.SetWriteDeadline(time.Now().Add(time.Minute)))
		io.WriteString(w, "first")
		if err := errors.Join(err, c.Flush()); err != nil {
			io.WriteString(w, err.Error())
		}
		<-r.Context().Done() // when the client has seen "first"
	})
	for _, version := range []int{1, 2} {
		s := httptest.NewUnstartedServer(Protect(h, Options{}))
		s.EnableHTTP2 = version == 2
		s.StartTLS()
		defer s.Close()
		res, err := s.Client().Get(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		first := make([]byte, 5)
		if _, err := io.ReadFull(res.Body, first); string(first) != "first" || res.ProtoMajor != version {
			t.Errorf("HTTP/%d: %q, %v", res.ProtoMajor, first, err)
		}
		res.Body.Close()
	}
}

// net/http removes the files of a multipart form when the request is over.
func TestMultipartFilesAreRemoved(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	count := make(chan int, 1)
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseMultipartForm(0); err != nil {
			t.Error(err)
		}
		files, _ := os.ReadDir(dir)
		count <- len(files)
	}), Options{BodyLimits: map[string]int64{"/": 20 << 20}})
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, _ := form.CreateFormFile("file", "agent.zip")
	part.Write(make([]byte, 11<<20)) // more than a form may keep in memory
	form.Close()
	send(t, s, "POST", "/", &body, "Content-Type: "+form.FormDataContentType())
	if n := <-count; n != 1 {
		t.Fatalf("%d files while the form was there, want 1", n)
	}
	s.Close()
	if files, _ := os.ReadDir(dir); len(files) > 0 {
		t.Errorf("%v is left", files)
	}
}
