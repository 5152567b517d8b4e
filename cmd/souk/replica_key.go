package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/replica"
)

// maxKeyFile bounds what is read of a key's file, in bytes.
const maxKeyFile = 4 << 10

// readKeyFile returns the key in a file, or for "-" on standard input, as text.
func readKeyFile(name string) (string, error) {
	if name == "-" {
		return pipedKey(os.Stdin)
	}
	if isKey(name) {
		return "", market.Errorf(market.Invalid, "A key is given instead of the name of the file that holds it. Others on this machine can see what is written on a command line: put the key into a file, or type it when it is asked for.")
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return "", market.Errorf(market.Invalid, "The key file %s can't be read: %v.", name, cause(err))
	}
	if len(text) > maxKeyFile || strings.TrimSpace(string(text)) == "" {
		return "", market.Errorf(market.Invalid, "The key file %s holds no key. It has one line, as souk replica keygen makes it.", name)
	}
	return strings.TrimSpace(string(text)), nil
}

// isKey reports whether a text is a key, or was meant to be one, where something else
// belongs. It isn't shown then.
func isKey(text string) bool {
	_, err := replica.ParseKey(text)
	text = strings.ToLower(text)
	return err == nil || strings.Contains(text, "souk-recovery-") || strings.Contains(text, "souk-server-")
}

// pipedKey reads a key from a pipe, in which it may be broken into lines.
func pipedKey(r io.Reader) (string, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxKeyFile))
	if err != nil {
		return "", fmt.Errorf("souk: reading the key: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

type replicaKeygenCmd struct {
	ServerKeyFile string `placeholder:"FILE" help:"Write the server key into this new file, which only its owner may read, instead of printing it."`
	Print         bool   `help:"Print the recovery key even if standard output is no terminal but a file or a pipe."`
	JSON          bool   `name:"json" help:"Print the keys as one JSON object."`
}

// keyPair is a new key as it is printed in JSON.
type keyPair struct {
	Fingerprint string `json:"fingerprint"`
	RecoveryKey string `json:"recovery_key"`
	ServerKey   string `json:"server_key,omitempty"` // not when it is in a file
}

func (c *replicaKeygenCmd) Run() error {
	if !c.Print && !term.IsTerminal(int(os.Stdout.Fd())) {
		return market.Errorf(market.Invalid, "Standard output is no terminal, and the recovery key would stay in a file or a log. "+
			"Run this in a terminal, or say --print if you mean it.")
	}
	key := replica.NewRecoveryKey()
	if c.ServerKeyFile != "" {
		if err := writeKeyFile(c.ServerKeyFile, key.ServerKey()); err != nil {
			return err
		}
	}
	return c.print(os.Stdout, key)
}

// writeKeyFile makes a file with a key. One that is there is some other replica's key,
// and is left alone.
func writeKeyFile(name, text string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return market.Errorf(market.Conflict, "The file %s is there already, and may hold the key of a replica. Name another, or move that one away.", name)
	}
	if err == nil {
		_, err = io.WriteString(f, text+"\n")
		if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
			os.Remove(name)
		}
	}
	if err != nil {
		return market.Errorf(market.Invalid, "The file %s can't be written: %v.", name, cause(err))
	}
	return nil
}

func (c *replicaKeygenCmd) print(w io.Writer, key *replica.Key) error {
	if c.JSON {
		pair := keyPair{Fingerprint: key.Fingerprint(), RecoveryKey: key.RecoveryKey()}
		if c.ServerKeyFile == "" {
			pair.ServerKey = key.ServerKey()
		}
		return json.NewEncoder(w).Encode(pair)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "The recovery key opens the replica for a restore. It is shown only now:\n\n    %s\n\n", key.RecoveryKey())
	b.WriteString(wrap("Write it down, twice, and keep it away from the server: on paper, or in a password manager that survives the loss of this machine. " +
		"Without it nobody can restore anything. With it and the replica anybody can read everything."))
	b.WriteByte('\n')
	where := "The server key is in " + c.ServerKeyFile + ". "
	if c.ServerKeyFile == "" {
		where = ""
		fmt.Fprintf(&b, "The server key is for the server that writes the replica:\n\n    %s\n\n", key.ServerKey())
	}
	b.WriteString(wrap(where + "A server with the server key can write the replica and not read it: a thief of the server can't read its past. Drills, standby and restore need the recovery key. " +
		"Give the server one of the two, as replica-key-file in souk.toml. Both are secrets."))
	fmt.Fprintf(&b, "\nFingerprint of both: %s\n\n", key.Fingerprint())
	b.WriteString(wrap("Next: type the recovery key back from what you wrote down, with souk replica check-key. Then clear this terminal, with what can be scrolled back to. " +
		"An encrypted replica begins at an empty path: one that was begun without a key can't be encrypted later."))
	_, err := io.WriteString(w, b.String())
	return err
}

type replicaCheckKeyCmd struct {
	settingsFlags
	KeyFile string   `placeholder:"FILE" help:"Read the recovery key from this file, or from standard input (-). Default: type it, unseen."`
	From    []string `sep:"none" placeholder:"URL" help:"Also open this replica with it. May be repeated."`
}

func (c *replicaCheckKeyCmd) Run(ctx context.Context) error {
	cfg, _, err := c.load(nil)
	if err != nil {
		return err
	}
	text, err := c.read(ctx)
	if err != nil {
		return err
	}
	key, err := replica.ParseKey(text)
	if err != nil {
		return err
	}
	if !key.CanRead() {
		return market.Errorf(market.Invalid, "This is the server key, which writes a replica and opens none. Give the recovery key: it begins with souk-recovery.")
	}
	fmt.Printf("The recovery key is whole. Its fingerprint is %s.\n", key.Fingerprint())
	return c.compare(ctx, cfg, key)
}

// read gets the key from a file, from a terminal without showing it, or from a pipe.
func (c *replicaCheckKeyCmd) read(ctx context.Context) (string, error) {
	if c.KeyFile != "" {
		return readKeyFile(c.KeyFile)
	}
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return pipedKey(os.Stdin)
	}
	return askUnseen(ctx, "Recovery key (not shown): ")
}

// askUnseen asks for a line at the terminal. Ctrl+C ends it, and lets the terminal show
// again what is typed.
func askUnseen(ctx context.Context, prompt string) (string, error) {
	in := int(os.Stdin.Fd())
	before, err := term.GetState(in)
	if err != nil {
		return "", fmt.Errorf("souk: asking for the key: %w", err)
	}
	fmt.Fprint(os.Stderr, prompt)
	type answer struct {
		text []byte
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		text, err := term.ReadPassword(in)
		answered <- answer{text, err}
	}()
	defer fmt.Fprintln(os.Stderr)
	select {
	case a := <-answered:
		if a.err != nil && !errors.Is(a.err, io.EOF) {
			return "", fmt.Errorf("souk: asking for the key: %w", a.err)
		}
		return string(a.text), nil
	case <-ctx.Done(): // the goroutine ends with the process
		return "", errors.Join(market.Errorf(market.Unavailable, "No key was given."), term.Restore(in, before))
	}
}

// compare holds the key against what the server encrypts with, and against replicas.
func (c *replicaCheckKeyCmd) compare(ctx context.Context, cfg Config, key *replica.Key) error {
	var wrong []string
	for _, r := range cfg.Replicas {
		if !r.Key.IsSet() {
			continue
		}
		own, err := replica.ParseKey(r.Key.Reveal())
		if err != nil {
			return err
		}
		if own.Fingerprint() != key.Fingerprint() {
			wrong = append(wrong, fmt.Sprintf("it isn't the key that %s is written with, whose fingerprint is %s", r.URL, own.Fingerprint()))
			continue
		}
		fmt.Printf("It fits the key that this server writes %s with.\n", r.URL)
	}
	for _, u := range c.From {
		pos, err := opens(ctx, cfg, u, key)
		if err != nil && !errors.Is(err, replica.ErrKey) {
			return err
		}
		if err != nil {
			wrong = append(wrong, fmt.Sprintf("it doesn't open %s (%s)", u, strings.TrimSuffix(operatorText(err), ".")))
			continue
		}
		fmt.Printf("It opens %s, which has everything up to commit %d, shipped %s.\n", u, pos.LSN, clock(pos.Time))
	}
	if len(wrong) > 0 {
		return market.Errorf(market.Forbidden, "The recovery key is a whole one, but %s. Look for the one that was made for this replica.", strings.Join(wrong, ", and "))
	}
	return nil
}

// opens reads the newest file of a replica with a key.
func opens(ctx context.Context, cfg Config, u string, key *replica.Key) (replica.Position, error) {
	r := cfg.replicaFor(u)
	r.Key = newSecret(key.RecoveryKey())
	client, err := openReplica(r, cfg.logger())
	if err != nil {
		return replica.Position{}, err
	}
	return client.Newest(ctx)
}
