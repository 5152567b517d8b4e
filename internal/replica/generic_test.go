package replica

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/benbjohnson/litestream"
	"github.com/pkg/sftp"
	"github.com/superfly/ltx"
	"golang.org/x/crypto/ssh"
	"golang.org/x/net/webdav"

	"github.com/souk-market/souk/internal/market"
)

const testPassword = "correct horse"

// sftpServer serves a folder to user souk, and returns the beginning and the parameters
// of its URLs.
func sftpServer(t *testing.T, root string) (base, query string) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cfg := &ssh.ServerConfig{PasswordCallback: func(c ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
		if c.User() != "souk" || string(password) != testPassword {
			return nil, errors.New("wrong password")
		}
		return nil, nil
	}}
	cfg.AddHostKey(signer)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go serveSFTP(conn, cfg, root)
		}
	}()
	return "sftp://souk@" + l.Addr().String(), "?hostKey=" + strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
}

// serveSFTP serves one connection until it ends.
func serveSFTP(conn net.Conn, cfg *ssh.ServerConfig, root string) {
	defer conn.Close()
	_, channels, requests, err := ssh.NewServerConn(conn, cfg)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for offered := range channels {
		channel, requests, err := offered.Accept()
		if err != nil {
			return
		}
		go func() {
			for r := range requests {
				r.Reply(r.Type == "subsystem", nil)
			}
		}()
		server, err := sftp.NewServer(channel, sftp.WithServerWorkingDirectory(root))
		if err != nil {
			return
		}
		go server.Serve()
	}
}

// webdavServer serves a folder to user souk, and returns the beginning of its URLs.
func webdavServer(t *testing.T, root string) string {
	t.Helper()
	files := &webdav.Handler{FileSystem: webdav.Dir(root), LockSystem: webdav.NewMemLS()}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "souk" || password != testPassword {
			w.Header().Set("WWW-Authenticate", `Basic realm="replica"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		files.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return "webdav://souk@" + strings.TrimPrefix(s.URL, "http://")
}

// TestReplicaThatCantBeFenced runs on SFTP and WebDAV what doesn't need an object to be
// created only where none is.
func TestReplicaThatCantBeFenced(t *testing.T) {
	t.Setenv(passwordVariable, testPassword)
	runOn(t, map[string]kind{
		"sftp": func(t *testing.T) func(t *testing.T) *place {
			root := t.TempDir()
			base, query := sftpServer(t, root)
			return func(t *testing.T) *place {
				dir := strings.ReplaceAll(t.Name(), "/", "-")
				return &place{url: base + "/" + dir + query, root: filepath.Join(root, dir)}
			}
		},
		"webdav-encrypted": func(t *testing.T) func(t *testing.T) *place {
			root, key := t.TempDir(), NewRecoveryKey()
			base := webdavServer(t, root)
			return func(t *testing.T) *place {
				dir := strings.ReplaceAll(t.Name(), "/", "-")
				return &place{url: base + "/" + dir, root: filepath.Join(root, dir), key: key}
			}
		},
	}, []scenario{
		{"a restore equals the original", testRoundTrip},
		{"a restore to an earlier file or time equals the original at that time", testPointInTime},
		{"a restarted node goes on where it stopped", testRestart},
		{"a snapshot replaces the files before it", testSnapshot},
		{"a damaged, short or missing file is named", testDamage},
		{"a missing or damaged blob is named", testBlobDamage},
		{"objects are created, replaced, read, listed and deleted", testObjects},
		{"a restored node is not let take over", testNoTakeOver},
	})
}

// testNoTakeOver: where nothing keeps two servers apart, the second is refused.
func testNoTakeOver(t *testing.T, p *place) {
	old := openNode(t, t.TempDir())
	old.sell("before")
	mustSync(t, old.replicate(p.client()))
	heir, _ := p.restore(Target{})
	err := New(heir.db, heir.blobs, p.client(), Options{TakeOver: true}).Open(ctx)
	if !market.Is(err, market.Invalid) || !strings.Contains(err.Error(), "empty path") {
		t.Errorf("taking over: %v, want a refusal that says what to do", err)
	}
	old.sell("after")
	mustSync(t, old.replicate(p.client()))
}

// testObjects: what the package asks of a storage besides files in order.
func testObjects(t *testing.T, p *place) {
	c := p.c
	if _, err := c.readObject(ctx, "gen/thing.json"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("reading what isn't there: %v", err)
	}
	for _, body := range []string{"one", "two, which is longer", ""} {
		if err := c.overwriteObject(ctx, "gen/thing.json", []byte(body)); err != nil {
			t.Fatal(err)
		}
		if b, err := c.readObject(ctx, "gen/thing.json"); err != nil || string(b) != body {
			t.Errorf("read %q, %v; wrote %q", b, err, body)
		}
	}
	if err := c.createObject(ctx, "gen/thing.json", nil); !errors.Is(err, ErrExists) {
		t.Errorf("creating what is there: %v", err)
	}
	if _, err := c.readObject(ctx, "thing.json"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an object of the same name elsewhere: %v", err)
	}

	var refs []fileRef
	for i := range ltx.TXID(5) {
		lo, hi := 100-i, 100-i // not in order
		body := append(ltxHeader(lo, hi, 0, ""), "content"...)
		for range 2 { // the second replaces the first
			if err := c.put(ctx, generationPath(3), 1, lo, hi, strings.NewReader(string(body)), int64(len(body))); err != nil {
				t.Fatal(err)
			}
		}
		refs = append(refs, fileRef{3, 1, lo, hi, int64(len(body))})
	}
	files, err := c.list(ctx, generationPath(3), 1)
	if err != nil || len(files) != 5 || files[0].MinTXID != 96 || files[4].MinTXID != 100 || files[0].Size != ltx.HeaderSize+7 {
		t.Errorf("listed %v, %v; want 96 to 100", files, err)
	}
	part := make([]byte, 4)
	if _, err := (&rangeReader{ctx: ctx, c: c, ref: refs[0]}).ReadAt(part, ltx.HeaderSize+2); err != nil || string(part) != "nten" {
		t.Errorf("a range is %q, %v", part, err)
	}
	failed, err := c.delete(ctx, append(refs[1:], changeRef(3, 7)))
	if err != nil || len(failed) != 0 {
		t.Errorf("deleting: %v, %v", failed, err)
	}
	if files, err := c.list(ctx, generationPath(3), 1); err != nil || len(files) != 1 {
		t.Errorf("after deleting four there are %v, %v", files, err)
	}
	if n := c.Requests(); n.Put == 0 || n.Get == 0 || n.List != 2 || n.Delete != 2 || n.BytesOut < 1000 || n.BytesIn == 0 {
		t.Errorf("counted %+v", n)
	}
}

// hung is a client whose calls never return until the test ends.
type hung struct {
	litestream.ReplicaClient
	until chan struct{}
}

func (h hung) OpenLTXFile(context.Context, int, ltx.TXID, ltx.TXID, int64, int64) (io.ReadCloser, error) {
	<-h.until
	return nil, fs.ErrNotExist
}

// TestCallsEndWithTheirContext: a server that stops answering costs a limited number of
// calls that hang, and each caller its time limit.
func TestCallsEndWithTheirContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		until := make(chan struct{})
		connected := 0
		c := &Client{at: newGeneric("sftp://host/path", func(string) (litestream.ReplicaClient, error) {
			connected++
			return hung{until: until}, nil
		})}
		for i := range maxCalls + 3 {
			before := time.Now()
			_, err := c.readObject(t.Context(), "probe")
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(before) != callTimeout {
				t.Fatalf("call %d ended after %s with %v", i, time.Since(before), err)
			}
		}
		if connected != maxCalls {
			t.Errorf("%d connections were made, want %d", connected, maxCalls)
		}
		close(until)
		if _, err := c.readObject(t.Context(), "probe"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("once the server answers again: %v", err)
		}
	})
}

// strict refuses to write to a taken name, as the SFTP server of OpenSSH refuses to rename.
type strict struct {
	litestream.ReplicaClient
	dir string
}

func (s strict) WriteLTXFile(ctx context.Context, level int, lo, hi ltx.TXID, r io.Reader) (*ltx.FileInfo, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(s.name(lo, hi), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, errors.New("failure")
	}
	defer f.Close()
	_, err = f.Write(b)
	return &ltx.FileInfo{}, err
}

func (s strict) name(lo, hi ltx.TXID) string {
	return filepath.Join(s.dir, ltx.FormatFilename(lo, hi))
}

func (s strict) OpenLTXFile(_ context.Context, _ int, lo, hi ltx.TXID, _, _ int64) (io.ReadCloser, error) {
	return os.Open(s.name(lo, hi))
}

func (s strict) DeleteLTXFiles(_ context.Context, files []*ltx.FileInfo) error {
	return os.Remove(s.name(files[0].MinTXID, files[0].MaxTXID))
}

// TestNamesThatCantBeRenamedOnto are taken by deleting what is there.
func TestNamesThatCantBeRenamedOnto(t *testing.T) {
	dir := t.TempDir()
	c := &Client{at: newGeneric("sftp://host/path", func(string) (litestream.ReplicaClient, error) { return strict{dir: dir}, nil })}
	for _, body := range []string{"one", "two"} {
		if err := c.overwriteObject(ctx, "lease.json", []byte(body)); err != nil {
			t.Fatal(err)
		}
		if b, err := c.readObject(ctx, "lease.json"); err != nil || string(b) != body {
			t.Errorf("read %q, %v; wrote %q", b, err, body)
		}
	}
}

func TestHostKeys(t *testing.T) {
	for _, key := range []string{
		"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIjwGNdyhXB++kCKDpyuZFIfdd/fxsBfJB/8Q0Ac6aDM",
		"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHH6wTdJGQ+kMxZc7ffTqGDHTi1OESfl9C3tog8xLcG+",
	} {
		for _, written := range []string{key, url.QueryEscape(key), key + "%20", key + "%0A", "%20" + key} {
			query, err := url.ParseQuery("hostKey=" + written)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := parseHostKey(query.Get("hostKey")); err != nil || got != key {
				t.Errorf("%q is read as %q, %v", written, got, err)
			}
		}
	}
	for _, bad := range []string{"", "ssh-ed25519", "AAAA"} {
		if _, err := parseHostKey(bad); err == nil {
			t.Errorf("%q is taken for a key", bad)
		}
	}
}
