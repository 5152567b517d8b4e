package main

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/souk-market/souk/internal/edge"
)

// logHandler writes each line at once, with those that wait, except the access log's lines
// of requests that were answered: they wait for logPause or for more of them, so that a
// request costs no system call for its line. A process that is killed loses the lines of its
// last moment, and a panic's or an error's line is there, after all that came before it.
type logHandler struct {
	slog.Handler
	out *logLines
}

func (h logHandler) Handle(ctx context.Context, r slog.Record) error {
	err := h.Handler.Handle(ctx, r)
	if r.Message == edge.AccessMessage && r.Level <= slog.LevelInfo {
		return err
	}
	h.out.flush()
	return err
}

func (h logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return logHandler{h.Handler.WithAttrs(attrs), h.out}
}

func (h logHandler) WithGroup(name string) slog.Handler {
	return logHandler{h.Handler.WithGroup(name), h.out}
}

// flushLog writes the lines that wait in a logger.
func flushLog(log *slog.Logger) {
	if h, ok := log.Handler().(logHandler); ok {
		h.out.flush()
	}
}

const (
	logPause = 100 * time.Millisecond
	logRoom  = 32 << 10 // bytes of lines that may wait
)

// logLines collects lines until they are written together, in their order.
type logLines struct {
	to io.Writer

	mu      sync.Mutex // guards what follows
	waiting []byte
	pending bool // the flush after the pause has been asked for
}

// Write takes a line. An error in writing it is nobody's to handle: stderr is gone.
func (l *logLines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = append(l.waiting, line...)
	switch {
	case len(l.waiting) >= logRoom:
		l.write()
	case !l.pending:
		l.pending = true
		time.AfterFunc(logPause, l.flush)
	}
	return len(line), nil
}

func (l *logLines) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending = false
	l.write()
}

func (l *logLines) write() {
	if len(l.waiting) > 0 {
		l.to.Write(l.waiting)
		l.waiting = l.waiting[:0]
	}
}
