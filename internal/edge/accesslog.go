package edge

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"time"
)

// finish logs the request and reports it to the observer.
func (g *guard) finish(x *exchange, rule *rule) {
	level := slog.LevelInfo
	if rule.quiet && x.status < http.StatusBadRequest {
		level = slog.LevelDebug
	}
	logs := g.log.Enabled(x.r.Context(), level)
	if !logs && g.observe == nil {
		return
	}
	rec := x.record()
	if logs {
		g.logAccess(x, level, &rec)
	}
	if g.observe != nil {
		g.observe(rec)
	}
}

// AccessMessage is the message of the access log's lines, one for each request.
const AccessMessage = "request"

// logAccess is slog.LogAttrs without looking for the line of code, which is always this
// one, and costs as much as the rest.
func (g *guard) logAccess(x *exchange, level slog.Level, rec *Record) {
	line := slog.NewRecord(x.start.Add(rec.Duration), level, AccessMessage, 0)
	line.AddAttrs(slog.String("id", rec.ID), slog.String("method", rec.Method),
		slog.String("path", rec.Path), slog.Int("status", rec.Status), slog.Int64("bytes", rec.Bytes),
		slog.Duration("duration", rec.Duration), slog.String("remote", rec.Remote))
	g.log.Handler().Handle(x.r.Context(), line) // a log that can't be written has nowhere to say so
}

// overloaded refuses the request for want of a slot.
func (g *guard) overloaded(x *exchange) {
	x.refuse(busy)
	if n := g.admission.noteRefusal(x.start.Unix()); n > 0 {
		g.log.LogAttrs(x.r.Context(), slog.LevelWarn, "overloaded: requests refused", slog.Int64("requests", n))
	}
	if g.observe != nil {
		g.observe(x.record())
	}
}

func (g *guard) logPanic(x *exchange, v any) {
	stack := debug.Stack()
	g.log.LogAttrs(x.r.Context(), slog.LevelError, "panic", slog.String("id", x.id), slog.String("method", method(x.r.Method)),
		slog.String("path", loggedPath(x.r.URL.Path)), slog.String("panic", cut(fmt.Sprint(v))), slog.String("stack", cut(string(stack))))
}

func cut(s string) string { return s[:min(len(s), maxLoggedPanic)] }

func (x *exchange) record() Record {
	remote, _, err := net.SplitHostPort(x.r.RemoteAddr)
	if err != nil {
		remote = x.r.RemoteAddr
	}
	return Record{
		ID: x.id, Method: method(x.r.Method), Path: loggedPath(x.r.URL.Path), Pattern: x.r.Pattern, Status: x.status,
		Bytes: x.bytes, Duration: time.Since(x.start), Remote: remote,
	}
}

// method is m when it is a standard method. Others are the client's own words, and would
// make a metric's label unbounded.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodOptions, http.MethodConnect, http.MethodTrace:
		return m
	}
	return "other"
}

// RequestID is the ID of the request that ctx belongs to, "" when there is none. It is
// in the answer's X-Request-Id and in the log, so that a person's report leads to it.
func RequestID(ctx context.Context) string {
	if c, ok := ctx.Value(tracedKey{}).(*traced); ok {
		return c.id
	}
	return ""
}

type tracedKey struct{}

// traced is a request's context with its ID.
type traced struct {
	context.Context
	id string
}

func (c *traced) Value(key any) any {
	if _, ok := key.(tracedKey); ok {
		return c
	}
	return c.Context.Value(key)
}
