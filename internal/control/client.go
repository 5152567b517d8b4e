package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/souk-market/souk/internal/market"
)

// ErrNoServer says that nobody listens at the directory's socket, or that the caller may
// not open it.
var ErrNoServer = errors.New("control: no server answers")

// Call asks the server of a data directory for a command with arguments, which are sent as
// JSON, and shows what comes back until the command ends. When ctx ends, the command is
// told to end, and Call still waits a while for its end.
//
// Errors: ErrNoServer; the command's own, as the server sent it; Unavailable when the
// server doesn't answer or is gone before the end; ctx's when the server was told to end
// the command and didn't say that it has.
func Call(ctx context.Context, dir, command string, args any, c *Console) error {
	text, err := json.Marshal(args)
	if err != nil {
		return fmt.Errorf("control: the arguments of %s: %w", command, err)
	}
	conn, want, err := dial(ctx, dir)
	if err != nil {
		return err
	}
	defer conn.Close()
	in := json.NewDecoder(conn)
	if err := greet(ctx, conn, in, want); err != nil {
		return err
	}
	if err := json.NewEncoder(conn).Encode(Request{command, text}); err != nil {
		if ctx.Err() != nil { // which has closed the connection
			return fmt.Errorf("control: asking the server: %w", ctx.Err())
		}
		return gone(err)
	}
	defer context.AfterFunc(ctx, func() {
		conn.CloseWrite()
		conn.SetReadDeadline(time.Now().Add(patience))
	})()
	return follow(ctx, in, c)
}

// dial connects to a directory's server, and returns the token that it must greet with.
func dial(ctx context.Context, dir string) (*net.UnixConn, string, error) {
	dir, err := resolve(dir)
	if err != nil {
		return nil, "", errors.Join(ErrNoServer, err)
	}
	path, token := socketIn(dir), ""
	if n, ok := readNote(dir); ok {
		path, token = n.Socket, n.Token
	}
	dialer := net.Dialer{Timeout: patience}
	conn, err := dialer.DialContext(ctx, "unix", path)
	if ctx.Err() != nil {
		if err == nil {
			conn.Close()
		}
		return nil, "", fmt.Errorf("control: finding the server: %w", ctx.Err())
	}
	if err != nil {
		return nil, "", errors.Join(ErrNoServer, err)
	}
	return conn.(*net.UnixConn), token, nil
}

// greet waits for the greeting. An impostor, who can't know the token, is no server.
func greet(ctx context.Context, conn *net.UnixConn, in *json.Decoder, token string) error {
	conn.SetReadDeadline(time.Now().Add(patience))
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	var hello greeting
	if err := in.Decode(&hello); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("control: waiting for the server: %w", ctx.Err())
		}
		return market.Errorf(market.Unavailable,
			"The server that has this directory open doesn't answer. It may be stopping or stuck: try again in a moment, and look at its log.").Because(err)
	}
	if hello.Token != token {
		return ErrNoServer
	}
	conn.SetReadDeadline(time.Time{})
	return nil
}

// follow shows the frames up to the end of the command.
func follow(ctx context.Context, in *json.Decoder, c *Console) error {
	for {
		var f frame
		if err := in.Decode(&f); err != nil {
			if ctx.Err() != nil {
				return fmt.Errorf("control: the server didn't say that the command has ended: %w", ctx.Err())
			}
			return gone(err)
		}
		if len(f.Out) > 0 {
			if _, err := c.Out.Write(f.Out); err != nil {
				return fmt.Errorf("control: writing the output: %w", err)
			}
		}
		if f.Progress != nil {
			c.Show(*f.Progress)
		}
		if f.End {
			return f.Error.err()
		}
	}
}

func gone(err error) error {
	return market.Errorf(market.Unavailable, "The server was gone before the command had ended. Run it again, and look at the server's log.").Because(err)
}
