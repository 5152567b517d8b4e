package control

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
)

const (
	// folder in the data directory, open to its owner alone, holds the socket, or the note
	// of where it is.
	folder     = "control"
	socketName = "socket"
	noteName   = "elsewhere"

	// maxPath is how long a socket's path may be, in bytes: the kernel keeps 104 on macOS
	// and 108 on Linux, with a zero at the end.
	maxPath = 103
)

// note says where the socket of a data directory is that can't be in it, because the path
// is too long or the file system knows no sockets. The token proves that whoever listens
// there could read the note: others may make files in the folders for such sockets.
type note struct {
	Dir    string `json:"dir"` // the data directory; a copy of it has the note too
	Socket string `json:"socket"`
	Token  string `json:"token"`
}

// resolve returns the one name of a directory, so that server and client agree on it.
func resolve(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err == nil {
		abs, err = filepath.EvalSymlinks(abs)
	}
	if err != nil {
		return "", fmt.Errorf("control: resolving %s: %w", dir, err)
	}
	return abs, nil
}

func socketIn(dir string) string { return filepath.Join(dir, folder, socketName) }
func noteIn(dir string) string   { return filepath.Join(dir, folder, noteName) }

// bind listens for a data directory, in the place of a server that was killed. It returns
// the token to greet with, and what takes the socket's files away.
func bind(dir string) (l *net.UnixListener, token string, clear func(), err error) {
	own := filepath.Join(dir, folder)
	if err := os.MkdirAll(own, 0o700); err != nil {
		return nil, "", nil, fmt.Errorf("control: %w", err)
	}
	if err := os.Chmod(own, 0o700); err != nil {
		return nil, "", nil, fmt.Errorf("control: %w", err)
	}
	if err := clearOld(dir); err != nil {
		return nil, "", nil, err
	}
	if path := socketIn(dir); len(path) <= maxPath {
		if l, err = listenAt(path); err == nil {
			return l, "", func() { os.Remove(path) }, nil
		}
	}
	n, l, err := bindElsewhere(dir, err)
	if err != nil {
		return nil, "", nil, err
	}
	return l, n.Token, func() { n.clear(); os.Remove(noteIn(dir)) }, nil
}

func listenAt(path string) (*net.UnixListener, error) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	l.SetUnlinkOnClose(false) // clear does it, once
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("control: %w", err)
	}
	return l, nil
}

// bindElsewhere listens in a new private folder of the first place for such that can have
// one, and leaves the note. because is why the socket isn't with the data, if it was tried.
func bindElsewhere(dir string, because error) (note, *net.UnixListener, error) {
	errs := []error{because}
	for _, base := range []string{os.Getenv("XDG_RUNTIME_DIR"), os.TempDir(), "/tmp"} {
		if base == "" {
			continue
		}
		private, err := os.MkdirTemp(base, "souk-") // mode 0700
		if err != nil {
			errs = append(errs, err)
			continue
		}
		n := note{Dir: dir, Socket: filepath.Join(private, socketName), Token: rand.Text()}
		l, err := listenAt(n.Socket)
		if err == nil {
			if err = n.write(); err == nil {
				return n, l, nil
			}
			l.Close()
		}
		n.clear()
		errs = append(errs, err)
	}
	return note{}, nil, fmt.Errorf("control: there is no place for a socket: %w", errors.Join(errs...))
}

func (n note) write() error {
	text, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("control: %w", err)
	}
	path := noteIn(n.Dir)
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return fmt.Errorf("control: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("control: %w", err)
	}
	return nil
}

// clear takes the socket and its folder away, as far as they are there and empty.
func (n note) clear() {
	os.Remove(n.Socket)
	os.Remove(filepath.Dir(n.Socket))
}

// readNote returns a directory's note; false when there is none that is its own.
func readNote(dir string) (n note, ok bool) {
	text, err := os.ReadFile(noteIn(dir))
	if err != nil || json.Unmarshal(text, &n) != nil {
		return note{}, false
	}
	return n, n.Dir == dir && n.Token != ""
}

// clearOld takes away what a server that was killed has left.
func clearOld(dir string) error {
	if n, ok := readNote(dir); ok {
		n.clear()
	}
	for _, path := range []string{socketIn(dir), noteIn(dir)} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("control: taking away an old socket: %w", err)
		}
	}
	return nil
}
