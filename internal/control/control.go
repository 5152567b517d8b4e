// Package control lets souk's commands reach into a running server. The server listens on
// a Unix socket beside its data, which only the owner of the data directory can open. A
// command that finds the directory in use asks the server to do its work there, and shows
// the output and the progress that come back.
//
// It promises that a command ends in the server when the one who asked for it is gone or
// wants it ended, and that who asked is told how it ended, or that this isn't known. It
// leaves to its callers what the commands are, and that one process at a time listens for
// a directory, which the store's lock gives.
//
// # On the wire
//
// Each side sends JSON values, one a line. The server begins with a greeting, the client
// answers with one request, and then the server sends frames: output, progress, and last
// the end with the error, if there is one. A client that closes its side of the
// connection wants the command ended, and still reads up to the end.
package control

import (
	"context"
	"encoding/json"
	"errors"
	"io"

	"github.com/souk-market/souk/internal/market"
)

// Request is a command that somebody asks a server for. Its arguments are of the
// command's own type.
type Request struct {
	Command string          `json:"command"`
	Args    json.RawMessage `json:"args,omitempty"`
}

// Handler runs a command and returns when it has ended, soon after ctx has. What it
// writes to the console may be held back until there is more, progress is shown or the
// command ends.
type Handler func(ctx context.Context, r Request, c *Console) error

// Console is where a command's results go: the standard output of who asked, and the
// progress that they see.
type Console struct {
	Out  io.Writer
	Show func(Progress)
}

// Progress says how far a command is, in a unit of its own; Total is 0 when it isn't
// known. Note is a few words for people.
type Progress struct {
	Done  int64  `json:"done,omitempty"`
	Total int64  `json:"total,omitempty"`
	Note  string `json:"note,omitempty"`
}

// greeting is the first value from a server. The token is that of the note by which the
// socket was found, and empty without one.
type greeting struct {
	Version string `json:"version"`
	Token   string `json:"token,omitempty"`
}

// frame is every later value from a server.
type frame struct {
	Out      []byte     `json:"out,omitempty"`
	Progress *Progress  `json:"progress,omitempty"`
	End      bool       `json:"end,omitempty"`
	Error    *wireError `json:"error,omitempty"` // with End
}

// wireError is an error on its way to the operator, who may see all of it.
type wireError struct {
	Kind    market.Kind `json:"kind"`
	Message string      `json:"message"`
}

func onWire(err error) *wireError {
	if err == nil {
		return nil
	}
	w := &wireError{Kind: market.KindOf(err), Message: err.Error()}
	var e *market.Error
	if errors.As(err, &e) && e.Err == nil {
		w.Message = e.Message
	}
	return w
}

func (w *wireError) err() error {
	if w == nil {
		return nil
	}
	return &market.Error{Kind: w.Kind, Message: w.Message}
}
