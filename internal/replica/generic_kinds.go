package replica

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/benbjohnson/litestream"
	"github.com/benbjohnson/litestream/sftp"
	"github.com/benbjohnson/litestream/webdav"
	"github.com/studio-b12/gowebdav"
	"github.com/superfly/ltx"
	"golang.org/x/crypto/ssh"

	"github.com/souk-market/souk/internal/market"
)

// passwordVariable holds the password of an SFTP or WebDAV user.
const passwordVariable = "SOUK_REPLICA_PASSWORD"

// password is that of the options, else that of the environment.
func (o ClientOptions) password() string {
	if o.Password != "" {
		return o.Password
	}
	return os.Getenv(passwordVariable)
}

// openSFTP makes the transport of an sftp:// URL. The path is relative to the user's
// folder, unless it begins with two slashes.
func openSFTP(u *url.URL, o ClientOptions) (string, transport, error) {
	refuse := func(format string, args ...any) (string, transport, error) {
		return "", nil, market.FieldErrorf("replica", format, args...)
	}
	const form = "Write sftp://user@host/path?hostKey=TYPE+KEY, with what ssh-keyscan prints for the host; the password goes into " + passwordVariable + ", or ?keyPath= names a file with the private key."
	if _, has := u.User.Password(); has {
		return refuse("A password doesn't belong into a replica's URL, where logs would show it. " + form)
	}
	dir := replicaPath(u)
	if u.Host == "" || u.User.Username() == "" || dir == "" {
		return refuse("An SFTP replica needs a user, a host and a path. " + form)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil || unknownParameter(query, "hostKey", "keyPath") != "" {
		return refuse("An SFTP replica has the parameters hostKey and keyPath. " + form)
	}
	hostKey, err := parseHostKey(query.Get("hostKey"))
	if err != nil {
		return refuse("An SFTP replica needs the server's host key, or anybody on the way could answer for it. " + form)
	}
	keyPath, password := query.Get("keyPath"), o.password()
	if keyPath == "" && password == "" {
		return refuse("There is nothing to log in with as %s. "+form, u.User.Username())
	}
	g := newGeneric(shown(u), func(under string) (litestream.ReplicaClient, error) {
		c := sftp.NewReplicaClient()
		c.SetLogger(o.Logger)
		c.Host, c.User, c.Password = u.Host, u.User.Username(), password
		c.KeyPath, c.HostKey, c.Path = keyPath, hostKey, path.Join(dir, under)
		return c, nil
	})
	return u.String(), g, nil
}

// parseHostKey reads a host key as ssh-keyscan prints it, after the host. In a query a
// plus sign stands for a space: it is put back where a key can't have one. Base64 comes in
// fours, which tells a plus sign at the end from a space.
func parseHostKey(s string) (string, error) {
	kind, key, _ := strings.Cut(strings.TrimLeft(strings.Trim(s, "\r\n\t"), " "), " ")
	key = strings.ReplaceAll(key, " ", "+")
	for len(key)%4 != 0 && strings.HasSuffix(key, "+") {
		key = key[:len(key)-1]
	}
	line := kind + " " + key
	_, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
	return line, err
}

// openWebDAV makes the transport of a webdav:// or webdavs:// URL.
func openWebDAV(u *url.URL, o ClientOptions) (string, transport, error) {
	refuse := func(format string, args ...any) (string, transport, error) {
		return "", nil, market.FieldErrorf("replica", format, args...)
	}
	const form = "Write webdavs://user@host/path; the password goes into " + passwordVariable + "."
	if _, has := u.User.Password(); has {
		return refuse("A password doesn't belong into a replica's URL, where logs would show it. " + form)
	}
	dir := replicaPath(u)
	if u.Host == "" || dir == "" || u.RawQuery != "" {
		return refuse("A WebDAV replica needs a host and a path, and takes no parameters. " + form)
	}
	base := &url.URL{Scheme: "https", Host: u.Host}
	if u.Scheme == "webdav" {
		base.Scheme = "http"
		if u.User != nil && !isLoopback(u.Hostname()) {
			return refuse("With webdav:// the password would go over the line in the clear. " + form)
		}
	}
	g := newGeneric(shown(u), func(under string) (litestream.ReplicaClient, error) {
		c := &stagedWebDAV{ReplicaClient: webdav.NewReplicaClient()}
		c.SetLogger(o.Logger)
		c.URL, c.Path, c.Timeout = base.String(), path.Join(dir, under), webdavTimeout
		if u.User != nil {
			c.Username, c.Password = u.User.Username(), o.password()
		}
		return c, nil
	})
	g.past = func(err error) bool {
		return gowebdav.IsErrCode(unwrapAll(err), http.StatusRequestedRangeNotSatisfiable)
	}
	g.notThere = func(err error) bool { return gowebdav.IsErrNotFound(unwrapAll(err)) }
	g.denied = func(err error) bool {
		return gowebdav.IsErrCode(unwrapAll(err), http.StatusForbidden) || gowebdav.IsErrCode(unwrapAll(err), http.StatusLocked)
	}
	return u.String(), g, nil
}

// webdavTimeout bounds a call of the client with all of its body, which takes no notice of
// a context; callers give up sooner.
const webdavTimeout = 2 * time.Hour

// unwrapAll finds the *fs.PathError of gowebdav, which its functions want as it is.
func unwrapAll(err error) error {
	var at *os.PathError
	if errors.As(err, &at) {
		return at
	}
	return err
}

// stagedWebDAV writes each file under another name and then moves it, so that a file is
// whole when it appears: a server may show an upload that is under way, or was cut short.
type stagedWebDAV struct {
	*webdav.ReplicaClient

	mu   sync.Mutex // held while folders are made: servers refuse two that make one at once
	own  *gowebdav.Client
	made map[string]bool // folders; guarded by mu, as own is
}

// WriteLTXFile copies r to a temporary file first, since servers want to know the length.
func (s *stagedWebDAV) WriteLTXFile(_ context.Context, level int, minTXID, maxTXID ltx.TXID, r io.Reader) (*ltx.FileInfo, error) {
	spooled, err := spoolFile("")
	if err != nil {
		return nil, err
	}
	defer spooled.Close()
	size, err := io.Copy(spooled, r)
	if err == nil {
		_, err = spooled.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, fmt.Errorf("webdav: spooling: %w", err)
	}
	name := litestream.LTXFilePath(s.Path, level, minTXID, maxTXID)
	c, err := s.folders(path.Dir(name), path.Join(s.Path, "tmp"))
	if err != nil {
		return nil, err
	}
	staged := path.Join(s.Path, "tmp", rand.Text())
	if err = c.WriteStreamWithLength(staged, spooled, size, 0o644); err == nil {
		err = c.Rename(staged, name, true)
	}
	if err != nil {
		c.Remove(staged)
		s.mu.Lock()
		defer s.mu.Unlock()
		clear(s.made) // somebody may have removed one
		return nil, fmt.Errorf("webdav: writing %s: %w", name, err)
	}
	return &ltx.FileInfo{Level: level, MinTXID: minTXID, MaxTXID: maxTXID, Size: size}, nil
}

// folders makes folders that haven't been made yet, and returns a connected client.
func (s *stagedWebDAV) folders(names ...string) (*gowebdav.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.own == nil {
		s.own, s.made = gowebdav.NewClient(s.URL, s.Username, s.Password), map[string]bool{}
		s.own.SetTimeout(s.Timeout)
	}
	for _, name := range names {
		if s.made[name] {
			continue
		}
		if err := s.own.MkdirAll(name, 0o755); err != nil {
			return nil, fmt.Errorf("webdav: making %s: %w", name, err)
		}
		s.made[name] = true
	}
	return s.own, nil
}

// replicaPath is the path of a URL without slashes at its ends; after a first double
// slash it is absolute.
func replicaPath(u *url.URL) string {
	p := strings.Trim(path.Clean(u.Path), "/.")
	if p != "" && strings.HasPrefix(u.Path, "//") {
		return "/" + p
	}
	return p
}

// shown is a URL without parameters and user, which is what objects are named with.
func shown(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

func unknownParameter(query url.Values, known ...string) string {
	for name := range query {
		if !slices.Contains(known, name) {
			return name
		}
	}
	return ""
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
