package main

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/souk-market/souk/internal/edge"
)

// writes counts what a log writes at once.
type writes struct {
	mu  sync.Mutex
	all []string
}

func (w *writes) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, string(bytes.Clone(b)))
	return len(b), nil
}

func (w *writes) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.all
	w.all = nil
	return all
}

func newLines() (*slog.Logger, *writes) {
	w := &writes{}
	out := &logLines{to: w}
	return slog.New(logHandler{slog.NewTextHandler(out, nil), out}), w
}

// TestOnlyAccessLinesWait: they are written together after the pause, by the next line of
// another kind with all that waits before it, or when the house is closed.
func TestOnlyAccessLinesWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, out := newLines()
		answered := func() { log.Info(edge.AccessMessage, "status", 200) }
		answered()
		answered()
		if got := out.take(); len(got) > 0 {
			t.Errorf("written at once: %q", got)
		}
		time.Sleep(logPause)
		synctest.Wait()
		if got := out.take(); len(got) != 1 || strings.Count(got[0], "\n") != 2 {
			t.Errorf("after the pause: %q", got)
		}
		for message, say := range map[string]func(){
			"stopping":         func() { log.With("a", 1).WithGroup("b").Info("stopping") },
			edge.AccessMessage: func() { log.Error(edge.AccessMessage) },
		} {
			answered()
			say()
			if got := out.take(); len(got) != 1 || strings.Count(got[0], "\n") != 2 || !strings.Contains(strings.Split(got[0], "\n")[1], message) {
				t.Errorf("%s: %q", message, got)
			}
		}
		answered()
		flushLog(log)
		if got := out.take(); len(got) != 1 {
			t.Errorf("at the end: %q", got)
		}
		time.Sleep(2 * logPause)
	})
}

func TestManyAccessLinesDoNotWait(t *testing.T) {
	log, out := newLines()
	for range 2 * logRoom / 20 {
		log.LogAttrs(context.Background(), slog.LevelInfo, edge.AccessMessage)
	}
	got := out.take()
	if len(got) < 2 || len(got) > 10 {
		t.Errorf("%d writes", len(got))
	}
	for _, lines := range got {
		if !strings.HasSuffix(lines, "\n") {
			t.Errorf("a line was taken apart: %q", lines[max(0, len(lines)-100):])
		}
	}
}
