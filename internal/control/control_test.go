package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/souk-market/souk/internal/market"
)

// bench is a server at a directory's socket, whose commands are the test's.
type bench struct {
	*testing.T
	dir  string
	stop func() // ends the server and waits for it
}

func serve(t *testing.T, dir string, commands map[string]Handler) *bench {
	t.Helper()
	s, err := Listen(dir, "test", func(ctx context.Context, r Request, c *Console) error {
		h := commands[r.Command]
		if h == nil {
			return market.Errorf(market.NotFound, "There is no command %s.", r.Command)
		}
		return h(ctx, r, c)
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	t.Cleanup(stop)
	return &bench{t, dir, stop}
}

// call runs a command and returns its output.
func (b *bench) call(ctx context.Context, command string, args any, show func(Progress)) (string, error) {
	var out bytes.Buffer
	if show == nil {
		show = func(Progress) {}
	}
	err := Call(ctx, b.dir, command, args, &Console{Out: &out, Show: show})
	return out.String(), err
}

func echo(_ context.Context, r Request, c *Console) error {
	_, err := fmt.Fprintf(c.Out, "%s", r.Args)
	return err
}

// longDir is a directory whose socket's path would be too long.
func longDir(t *testing.T) string {
	dir := filepath.Join(t.TempDir(), strings.Repeat("a-long-name/", 12))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return resolved(t, dir)
}

func resolved(t *testing.T, dir string) string {
	t.Helper()
	dir, err := resolve(dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func shortDir(t *testing.T) string {
	dir, err := os.MkdirTemp("/tmp", "souk-test-") // TempDir has the test's name in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return resolved(t, dir)
}

func TestOutputComesBackAsItWasWritten(t *testing.T) {
	b := serve(t, shortDir(t), map[string]Handler{
		"echo": echo,
		"much": func(_ context.Context, _ Request, c *Console) error {
			for i := range 50_000 { // pieces end within characters
				if _, err := fmt.Fprintf(c.Out, "%d é\xff\n", i); err != nil {
					return err
				}
			}
			return nil
		},
	})
	if got, err := b.call(t.Context(), "echo", map[string]int{"n": 3}, nil); got != `{"n":3}` || err != nil {
		t.Errorf("echo: %q, %v", got, err)
	}
	var want bytes.Buffer
	for i := range 50_000 {
		fmt.Fprintf(&want, "%d é\xff\n", i)
	}
	if got, err := b.call(t.Context(), "much", nil, nil); got != want.String() || err != nil {
		t.Errorf("much: %d bytes, want %d; %v", len(got), want.Len(), err)
	}
}

func TestErrorsAreTheCommands(t *testing.T) {
	b := serve(t, shortDir(t), map[string]Handler{
		"refuse": func(_ context.Context, _ Request, c *Console) error {
			io.WriteString(c.Out, "half")
			return fmt.Errorf("while testing: %w", market.Errorf(market.Conflict, "Two of these."))
		},
		"fail":  func(context.Context, Request, *Console) error { return errors.New("disk gone") },
		"panic": func(context.Context, Request, *Console) error { panic("a bug") },
	})
	for command, want := range map[string]struct {
		out, text string
		kind      market.Kind
	}{
		"refuse":  {"half", "Two of these.", market.Conflict},
		"fail":    {"", "disk gone", market.Internal},
		"panic":   {"", "panic in a command: a bug", market.Internal},
		"unknown": {"", "There is no command unknown.", market.NotFound},
	} {
		out, err := b.call(t.Context(), command, nil, nil)
		if out != want.out || market.KindOf(err) != want.kind || err == nil || !strings.Contains(err.Error(), want.text) {
			t.Errorf("%s: %q, %v (%v); want %q, %q (%v)", command, out, err, market.KindOf(err), want.out, want.text, want.kind)
		}
	}
}

func TestOutputPrecedesTheProgressAfterIt(t *testing.T) {
	shown := make(chan bool)
	b := serve(t, shortDir(t), map[string]Handler{"work": func(ctx context.Context, _ Request, c *Console) error {
		io.WriteString(c.Out, "first")
		c.Show(Progress{1, 2, "half"})
		select {
		case <-shown:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}})
	var out bytes.Buffer
	err := Call(t.Context(), b.dir, "work", nil, &Console{Out: &out, Show: func(p Progress) {
		if p != (Progress{1, 2, "half"}) || out.String() != "first" {
			t.Errorf("the progress %v came after %q", p, out.String())
		}
		close(shown)
	}})
	if err != nil || out.String() != "first" {
		t.Errorf("%q, %v", out.String(), err)
	}
}

// endless is a command that ends with its context, and says so.
func endless(begun chan<- bool) Handler {
	return func(ctx context.Context, _ Request, c *Console) error {
		begun <- true
		<-ctx.Done()
		io.WriteString(c.Out, "as far as it got")
		return market.Errorf(market.Unavailable, "This was not finished.")
	}
}

func TestWhoCancelsHearsHowItEnded(t *testing.T) {
	begun := make(chan bool)
	b := serve(t, shortDir(t), map[string]Handler{"work": endless(begun)})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-begun
		cancel()
	}()
	if out, err := b.call(ctx, "work", nil, nil); out != "as far as it got" || err == nil || err.Error() != "This was not finished." {
		t.Errorf("%q, %v", out, err)
	}
}

func TestCommandEndsWhenWhoAskedIsGone(t *testing.T) {
	begun, ended := make(chan bool), make(chan bool, 1)
	b := serve(t, shortDir(t), map[string]Handler{"work": func(ctx context.Context, r Request, c *Console) error {
		defer func() { ended <- true }()
		return endless(begun)(ctx, r, c)
	}})
	conn, _, err := dial(t.Context(), b.dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.NewEncoder(conn).Encode(Request{Command: "work"}); err != nil {
		t.Fatal(err)
	}
	<-begun
	conn.Close()
	<-ended
}

func TestStoppingEndsTheCommandsUnderWay(t *testing.T) {
	begun := make(chan bool)
	b := serve(t, shortDir(t), map[string]Handler{"work": endless(begun)})
	go func() {
		<-begun
		b.stop()
	}()
	if _, err := b.call(t.Context(), "work", nil, nil); err == nil || err.Error() != "This was not finished." {
		t.Error(err)
	}
	b.stop() // waits for its end
	if _, err := b.call(t.Context(), "work", nil, nil); !errors.Is(err, ErrNoServer) {
		t.Errorf("after the end: %v", err)
	}
	left, err := os.ReadDir(filepath.Join(b.dir, folder))
	if err != nil || len(left) != 0 {
		t.Errorf("the server has left %v (%v)", left, err)
	}
}

func TestServerThatIsGoneHalfWay(t *testing.T) {
	dir := shortDir(t)
	l, _, _, err := bind(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		io.WriteString(conn, `{"version":"x"}`+"\n"+`{"out":"aGFsZg=="}`+"\n"+`{"out":"`)
		json.NewDecoder(conn).Decode(new(Request))
		conn.Close()
	}()
	b := &bench{t, dir, nil}
	if out, err := b.call(t.Context(), "work", nil, nil); out != "half" || !market.Is(err, market.Unavailable) || !strings.Contains(err.Error(), "gone before") {
		t.Errorf("%q, %v", out, err)
	}
}

func TestNobodyAnswers(t *testing.T) {
	dir := shortDir(t)
	b := &bench{t, dir, nil}
	if _, err := b.call(t.Context(), "work", nil, nil); !errors.Is(err, ErrNoServer) {
		t.Errorf("no socket: %v", err)
	}
	abandon(t, dir)
	if _, err := b.call(t.Context(), "work", nil, nil); !errors.Is(err, ErrNoServer) {
		t.Errorf("a socket that a killed server has left: %v", err)
	}
	if _, err := (&bench{t, filepath.Join(dir, "none"), nil}).call(t.Context(), "work", nil, nil); !errors.Is(err, ErrNoServer) {
		t.Errorf("no directory: %v", err)
	}
}

// abandon leaves a directory as a killed server does.
func abandon(t *testing.T, dir string) {
	t.Helper()
	l, _, _, err := bind(dir)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}

func TestServerTakesThePlaceOfOneThatWasKilled(t *testing.T) {
	for name, dir := range map[string]string{"short": shortDir(t), "long": longDir(t)} {
		t.Setenv("XDG_RUNTIME_DIR", shortDir(t))
		abandon(t, dir)
		b := serve(t, dir, map[string]Handler{"echo": echo})
		if got, err := b.call(t.Context(), "echo", 1, nil); got != "1" || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		b.stop()
		if left, _ := os.ReadDir(os.Getenv("XDG_RUNTIME_DIR")); len(left) != 0 {
			t.Errorf("%s: left over are %v", name, left)
		}
	}
}

func TestOnlyTheOwnerGetsToTheSocket(t *testing.T) {
	dir := shortDir(t)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, folder), 0o777); err != nil {
		t.Fatal(err)
	}
	serve(t, dir, nil)
	wantMode(t, filepath.Join(dir, folder), 0o700)
	wantMode(t, socketIn(dir), 0o600)
}

func wantMode(t *testing.T, path string, want os.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != want {
		t.Errorf("%s has mode %o, want %o", path, got, want)
	}
}

func TestPathThatIsTooLongForASocket(t *testing.T) {
	for name, runtime := range map[string]string{
		"a short place": shortDir(t), "one that is too long, too": longDir(t), "none": "", "one that isn't there": "/nowhere",
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("XDG_RUNTIME_DIR", runtime)
			t.Setenv("TMPDIR", longDir(t))
			dir := longDir(t)
			b := serve(t, dir, map[string]Handler{"echo": echo})
			n, ok := readNote(dir)
			if !ok || len(n.Socket) > maxPath {
				t.Fatalf("the note is %+v", n)
			}
			wantMode(t, filepath.Dir(n.Socket), 0o700)
			wantMode(t, n.Socket, 0o600)
			wantMode(t, noteIn(dir), 0o600)
			link := filepath.Join(shortDir(t), "link") // another name of the directory
			if err := os.Symlink(dir, link); err != nil {
				t.Fatal(err)
			}
			for _, b.dir = range []string{dir, link} {
				if got, err := b.call(t.Context(), "echo", 1, nil); got != "1" || err != nil {
					t.Errorf("from %s: %q, %v", b.dir, got, err)
				}
			}
			b.stop()
			for _, path := range []string{filepath.Dir(n.Socket), noteIn(dir)} {
				if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("%s is left over (%v)", path, err)
				}
			}
		})
	}
}

// TestCopyOfADirectoryHasNoServer: a command for the copy must not reach the original.
func TestCopyOfADirectoryHasNoServer(t *testing.T) {
	dir, other := longDir(t), shortDir(t)
	serve(t, dir, map[string]Handler{"echo": echo})
	if err := os.CopyFS(filepath.Join(other, folder), os.DirFS(filepath.Join(dir, folder))); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(noteIn(other)); err != nil {
		t.Fatal(err)
	}
	if _, err := (&bench{t, other, nil}).call(t.Context(), "echo", 1, nil); !errors.Is(err, ErrNoServer) {
		t.Errorf("the copy's server: %v", err)
	}
}

// TestImpostorIsNoServer: where the note leads, after the server's end, somebody else may
// have made a socket.
func TestImpostorIsNoServer(t *testing.T) {
	dir := longDir(t)
	impostor, err := net.Listen("unix", filepath.Join(shortDir(t), socketName))
	if err != nil {
		t.Fatal(err)
	}
	defer impostor.Close()
	go func() {
		conn, err := impostor.Accept()
		if err == nil {
			io.WriteString(conn, `{"version":"x","token":"guess"}`+"\n"+`{"end":true}`+"\n")
		}
	}()
	if err := os.Mkdir(filepath.Join(dir, folder), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := (note{Dir: dir, Socket: impostor.Addr().String(), Token: "secret"}).write(); err != nil {
		t.Fatal(err)
	}
	if _, err := (&bench{t, dir, nil}).call(t.Context(), "echo", 1, nil); !errors.Is(err, ErrNoServer) {
		t.Errorf("the impostor: %v", err)
	}
}
