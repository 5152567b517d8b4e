package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"time"
)

// Server runs the commands that are asked for at a data directory's socket.
type Server struct {
	listener *net.UnixListener
	greeting greeting
	clear    func()
	handler  Handler
	log      *slog.Logger
	closing  sync.Once
}

// Listen opens the socket of a data directory, which the caller has locked: a socket that
// is there already is one that a killed server has left. Requests wait until Run.
func Listen(dir, version string, h Handler, log *slog.Logger) (*Server, error) {
	dir, err := resolve(dir)
	if err != nil {
		return nil, err
	}
	l, token, clear, err := bind(dir)
	if err != nil {
		return nil, err
	}
	return &Server{listener: l, greeting: greeting{version, token}, clear: clear, handler: h, log: log}, nil
}

// Addr is the path of the socket.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Close takes the socket away. It is for a server that doesn't Run; the end of Run does it.
func (s *Server) Close() {
	s.closing.Do(func() {
		s.listener.Close()
		s.clear()
	})
}

// acceptPause is the wait after a connection that couldn't be accepted, as when the
// process has too many files open.
const acceptPause = time.Second

// Run answers requests until ctx ends, then ends the commands under way and waits for
// them.
func (s *Server) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	defer context.AfterFunc(ctx, s.Close)()
	defer s.Close()
	for ctx.Err() == nil {
		conn, err := s.listener.AcceptUnix()
		if err == nil {
			wg.Go(func() { s.serve(ctx, conn) })
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			break
		}
		s.log.Error("accepting a command", "err", err)
		select {
		case <-time.After(acceptPause):
		case <-ctx.Done():
		}
	}
	return nil
}

// patience is how long one side waits for what the other does at once.
const patience = 10 * time.Second

// serve runs the one command of a connection.
func (s *Server) serve(ctx context.Context, conn *net.UnixConn) {
	var wg sync.WaitGroup
	defer wg.Wait()
	defer conn.Close()
	out := &stream{enc: json.NewEncoder(conn)}
	if err := out.enc.Encode(s.greeting); err != nil {
		return // who was only looking whether somebody answers
	}
	in := json.NewDecoder(conn)
	conn.SetReadDeadline(time.Now().Add(patience))
	var req Request
	if err := in.Decode(&req); err != nil {
		return
	}
	conn.SetReadDeadline(time.Time{})
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wg.Go(func() {
		in.Decode(&struct{}{}) // nothing more comes but the end
		cancel()
	})
	// A client that doesn't read can't hold up what has to end.
	defer context.AfterFunc(ctx, func() { conn.SetWriteDeadline(time.Now().Add(patience)) })()
	s.log.Debug("a command begins", "command", req.Command)
	started := time.Now()
	err := out.run(ctx, s.handler, req)
	if err != nil {
		s.log.Warn("a command failed", "command", req.Command, "took", time.Since(started), "err", err)
		return
	}
	s.log.Info("a command is done", "command", req.Command, "took", time.Since(started))
}

// stream is the server's side of a connection after the greeting.
type stream struct {
	mu    sync.Mutex // guards all of it
	enc   *json.Encoder
	shown time.Time // when progress was last sent
}

// showEvery is how often progress is sent at most.
const showEvery = 100 * time.Millisecond

// run lets the handler do a command, sends what it shows and how it ended, and returns its
// error. A panic of the handler is an error of this command alone.
func (s *stream) run(ctx context.Context, h Handler, req Request) error {
	out := &output{Writer: bufio.NewWriterSize(s, 32<<10)}
	err := protect(func() error {
		return h(ctx, req, &Console{Out: out, Show: func(p Progress) { s.show(out, p) }})
	})
	if ferr := out.Flush(); err == nil && ferr != nil {
		err = fmt.Errorf("control: sending the output: %w", ferr)
	}
	if eerr := s.send(frame{End: true, Error: onWire(err)}); err == nil && eerr != nil {
		err = fmt.Errorf("control: sending the end: %w", eerr)
	}
	return err
}

func protect(fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("control: panic in a command: %v\n%s", p, debug.Stack())
		}
	}()
	return fn()
}

func (s *stream) send(f frame) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.enc.Encode(f)
}

// Write sends output.
func (s *stream) Write(b []byte) (int, error) {
	if err := s.send(frame{Out: b}); err != nil {
		return 0, err
	}
	return len(b), nil
}

// show sends progress, after the output that came before it. Errors aren't its own
// business: a connection that is gone ends the command.
func (s *stream) show(out *output, p Progress) {
	if !s.due() || out.Flush() != nil {
		return
	}
	s.send(frame{Progress: &p})
}

// due reports whether progress may be sent again.
func (s *stream) due() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.shown) < showEvery {
		return false
	}
	s.shown = time.Now()
	return true
}

// output is a command's output, which may be written and flushed from several goroutines.
type output struct {
	mu sync.Mutex
	*bufio.Writer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.Writer.Write(b)
}

func (o *output) Flush() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.Writer.Flush()
}
