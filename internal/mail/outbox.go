package mail

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/souk-market/souk/internal/market"
)

// Outbox is a Sender that writes each message to a file, DIR/{ID}.eml in RFC 5322 form,
// which any mail program opens. The file's modification time is the message's date.
// Messages may be removed from the folder at any time.
type Outbox struct {
	dir   string
	clock func() time.Time
}

const (
	extension  = ".eml"
	tempStart  = ".put-"
	maxPerPage = 200
)

// OpenOutbox opens the outbox in dir, makes it when it isn't there, and removes what a
// crash left half written. A nil clock is time.Now.
func OpenOutbox(dir string, clock func() time.Time) (*Outbox, error) {
	if clock == nil {
		clock = time.Now
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("mail: opening the outbox: %w", err)
	}
	left, err := filepath.Glob(filepath.Join(dir, tempStart+"*"))
	if err != nil {
		return nil, fmt.Errorf("mail: opening the outbox: %w", err)
	}
	for _, path := range left {
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("mail: opening the outbox: %w", err)
		}
	}
	return &Outbox{dir: dir, clock: clock}, nil
}

func (o *Outbox) path(id string) string { return filepath.Join(o.dir, id+extension) }

// Send implements Sender. A message whose ID is there already is not written again.
func (o *Outbox) Send(ctx context.Context, m Message) error {
	if err := m.Validate(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return unavailable(err)
	}
	if _, err := os.Lstat(o.path(m.ID)); err == nil {
		return nil
	}
	now := o.clock()
	var buf bytes.Buffer
	if err := write(&buf, compose(m, now)); err != nil {
		return err
	}
	if err := o.writeFile(m.ID, buf.Bytes(), m.date(now)); err != nil {
		return unavailable(err)
	}
	return nil
}

func unavailable(err error) error {
	return market.Errorf(market.Unavailable, "The mail can't be written at the moment.").
		Because(fmt.Errorf("mail: outbox: %w", err))
}

// writeFile makes the message appear whole and dated, and durable before it returns.
func (o *Outbox) writeFile(id string, content []byte, date time.Time) error {
	f, err := os.CreateTemp(o.dir, tempStart)
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails when the rename has taken it, as it should
	_, err = f.Write(content)
	if err := errors.Join(err, os.Chtimes(f.Name(), date, date), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), o.path(id)); err != nil {
		return err
	}
	folder, err := os.Open(o.dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// Summary is a message's line in a list.
type Summary struct {
	ID      string
	Date    time.Time
	To      Address
	Subject string
}

// Page is a part of the outbox, newest first.
type Page struct {
	Items []Summary
	Next  string // the cursor for what follows; empty at the end
	Total int    // messages in the outbox
}

// entry is a message file before it is read.
type entry struct {
	id   string
	date time.Time
}

// newer orders entries newest first; the same date by ID.
func newer(a, b entry) int {
	return cmp.Or(b.date.Compare(a.date), cmp.Compare(b.id, a.id))
}

func (e entry) cursor() string { return strconv.FormatInt(e.date.UnixNano(), 10) + "/" + e.id }

// List returns up to limit messages (50 when 0, at most 200) that follow the cursor, the
// newest first; an empty cursor starts. It looks at every file's date and reads only
// those on the page. Errors: Invalid for a cursor that List didn't give.
func (o *Outbox) List(ctx context.Context, cursor string, limit int) (Page, error) {
	if limit <= 0 {
		limit = 50
	}
	entries, err := o.entries()
	if err != nil {
		return Page{}, fmt.Errorf("mail: listing the outbox: %w", err)
	}
	page := Page{Total: len(entries)}
	rest, err := after(entries, cursor)
	if err != nil {
		return Page{}, err
	}
	shown := rest[:min(limit, maxPerPage, len(rest))]
	for _, e := range shown {
		received, err := o.Open(ctx, e.id)
		if market.Is(err, market.NotFound) {
			continue // removed meanwhile
		}
		if err != nil {
			return Page{}, err
		}
		page.Items = append(page.Items, Summary{ID: e.id, Date: received.Date, To: received.To, Subject: received.Subject})
	}
	if len(shown) < len(rest) {
		page.Next = shown[len(shown)-1].cursor()
	}
	return page, nil
}

func (o *Outbox) entries() ([]entry, error) {
	files, err := os.ReadDir(o.dir)
	if err != nil {
		return nil, err
	}
	var entries []entry
	for _, file := range files {
		id, isMessage := strings.CutSuffix(file.Name(), extension)
		if !isMessage || !validID(id) {
			continue
		}
		info, err := file.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry{id, info.ModTime()})
	}
	slices.SortFunc(entries, newer)
	return entries, nil
}

func after(entries []entry, cursor string) ([]entry, error) {
	if cursor == "" {
		return entries, nil
	}
	nanos, id, ok := strings.Cut(cursor, "/")
	n, err := strconv.ParseInt(nanos, 10, 64)
	if !ok || err != nil {
		return nil, market.FieldErrorf("cursor", "This cursor is not from a list of mails.")
	}
	last := entry{id, time.Unix(0, n)}
	at, found := slices.BinarySearchFunc(entries, last, newer)
	if found {
		at++
	}
	return entries[at:], nil
}

// Open reads one message back. Errors: NotFound.
func (o *Outbox) Open(ctx context.Context, id string) (Received, error) {
	if err := ctx.Err(); err != nil {
		return Received{}, fmt.Errorf("mail: opening %s: %w", id, err)
	}
	missing := market.Errorf(market.NotFound, "There is no such mail.")
	if !validID(id) {
		return Received{}, missing
	}
	raw, err := os.ReadFile(o.path(id))
	if errors.Is(err, fs.ErrNotExist) {
		return Received{}, missing
	}
	if err != nil {
		return Received{}, fmt.Errorf("mail: %w", err)
	}
	received, err := Parse(bytes.NewReader(raw))
	if err != nil {
		return Received{}, fmt.Errorf("mail: reading %s: %w", o.path(id), err)
	}
	received.ID = id
	return received, nil
}
