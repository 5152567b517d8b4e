package replica

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/souk-market/souk/internal/blob"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// A directory that was restored with RestoreOptions.Attach has the change files since the
// snapshot in it, but of the snapshot only which segments it has. A segment is fetched as
// a whole when something in it is first read, verified by its SHA-256, and kept in
// DIR/segments; so is each blob, in its place. Segments are about as large as what a
// range read would bring, and only a whole one can be verified. Finish brings the rest
// and makes the directory an ordinary one. DIR/attached.json says what it is attached to;
// it is removed last, so that a crash at any moment costs at most what was being fetched.
//
// The replica's retention keeps a snapshot for days, and its segments with it. When a
// segment is gone before it was fetched, reads of what is in it fail with an error that
// names it, everything else goes on, and the remedy is another restore, from a newer
// snapshot. So an attachment is meant for hours; see AttachmentState.Since.

// attachedFile is the name of the attachment's state in a data directory.
const attachedFile = "attached.json"

// attachedFormat is its version.
const attachedFormat = 1

// AttachmentState is what attached.json holds. There is no secret in it.
type AttachmentState struct {
	Format   int       `json:"format"`
	URLs     []string  `json:"urls"`     // of the replicas, without credentials, in the order in which they are asked
	Keys     []string  `json:"keys"`     // the fingerprints of their keys, "" for none
	Snapshot string    `json:"snapshot"` // the file that lists the segments
	LSN      store.LSN `json:"lsn"`      // the commit that the restore ended with
	Since    time.Time `json:"since"`    // when that was
	Bytes    int64     `json:"bytes"`    // of all segments
	Segments []string  `json:"segments"` // the names that the store knows them by: SHA-256 and size
}

// Attachment brings an attached directory what it doesn't have yet. It is the
// store.RemoteReader of the directory's database. Its methods may be called from any
// goroutine.
type Attachment struct {
	dir     string
	state   AttachmentState
	clients []*Client
	log     *slog.Logger

	mu       sync.Mutex             // guards what follows
	verified map[string]bool        // segments that this process has verified in the directory
	flights  map[string]*sync.Mutex // held while an object is fetched
}

// OpenAttachment opens what a data directory is attached to: nil when it is an ordinary
// one. open makes the clients of its replicas, with the keys that they need: Forbidden
// (ErrKey) when it is another key, or one that can't read. It connects to nothing yet.
func OpenAttachment(dir string, log *slog.Logger, open func(url string) (*Client, error)) (*Attachment, error) {
	b, err := os.ReadFile(filepath.Join(dir, attachedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("replica: reading what the directory is attached to: %w", err)
	}
	a := newAttachment(dir, log, nil)
	if err := json.Unmarshal(b, &a.state); err != nil {
		return nil, market.Errorf(market.Internal, "The file %s is damaged. Move the directory aside and restore it again.", filepath.Join(dir, attachedFile)).Because(err)
	}
	if a.state.Format > attachedFormat {
		return nil, market.Errorf(market.Conflict, "The directory %s was attached by a newer souk. Use that one.", dir)
	}
	for i, url := range a.state.URLs {
		c, err := open(url)
		if err == nil {
			err = c.hasKey(a.state.key(i))
		}
		if err != nil {
			return nil, err
		}
		a.clients = append(a.clients, c)
	}
	return a, nil
}

// key is the fingerprint of a replica's key, "" for none.
func (s AttachmentState) key(i int) string {
	if i < len(s.Keys) {
		return s.Keys[i]
	}
	return ""
}

// hasKey refuses a client that can't read what was written with a key.
func (c *Client) hasKey(fingerprint string) error {
	switch {
	case fingerprint == c.keyPrint() && (c.key == nil || c.key.CanRead()):
		return nil
	case fingerprint == c.keyPrint():
		return cantRead(c)
	case fingerprint == "":
		return market.Errorf(market.Forbidden, "The replica %s is not encrypted, and a key is given for it. Take the key away.", c).Because(ErrKey)
	}
	return market.Errorf(market.Forbidden, "Part of the data is still in the replica %s, which is encrypted with key %s. Name the replica and its recovery key in the configuration.", c, fingerprint).Because(ErrKey)
}

// keyPrint is the fingerprint of the client's key, "" for none.
func (c *Client) keyPrint() string {
	if c.key == nil {
		return ""
	}
	return c.key.Fingerprint()
}

func newAttachment(dir string, log *slog.Logger, clients []*Client) *Attachment {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Attachment{dir: dir, log: log, clients: clients, verified: map[string]bool{}, flights: map[string]*sync.Mutex{}}
}

// State says what the directory is attached to, and since when.
func (a *Attachment) State() AttachmentState { return a.state }

// write makes the state durable in the directory.
func (a *Attachment) write() error {
	a.state.Format = attachedFormat
	b, err := json.Marshal(a.state)
	if err != nil {
		return fmt.Errorf("replica: encoding the attachment: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(a.dir, attachedFile), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("replica: writing the attachment: %w", err)
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close(), syncDir(a.dir)); err != nil {
		return fmt.Errorf("replica: writing the attachment: %w", err)
	}
	return nil
}

// attachedName is the name by which the store knows a segment: all that is needed to
// fetch and verify it.
func attachedName(s segment) string { return fmt.Sprintf("%x-%d", s.Sum, s.Size) }

func parseAttachedName(name string) (s segment, err error) {
	sum, size, ok := strings.Cut(name, "-")
	if n, err := hex.Decode(s.Sum[:], []byte(sum)); !ok || err != nil || n != len(s.Sum) {
		return segment{}, fmt.Errorf("replica: %q names no segment", name)
	}
	if s.Size, err = strconv.ParseInt(size, 10, 64); err != nil {
		return segment{}, fmt.Errorf("replica: %q names no segment", name)
	}
	return s, nil
}

// segmentFile is a segment in the directory.
type segmentFile struct {
	*os.File
	size int64
}

func (f segmentFile) Size() int64 { return f.size }

// OpenObject opens a segment by its attachedName; it is fetched if it isn't here.
func (a *Attachment) OpenObject(ctx context.Context, name string) (store.RemoteObject, error) {
	s, err := parseAttachedName(name)
	if err != nil {
		return nil, err
	}
	path, err := a.segment(ctx, s)
	if err != nil {
		a.log.Error("a part of the database can't be read from the replica", "err", err)
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("replica: reading a segment: %w", err)
	}
	return segmentFile{f, s.Size}, nil
}

// alone runs get unless somebody else is at it for the same name; then it waits, and get
// finds what that brought.
func (a *Attachment) alone(name string, get func() error) error {
	a.mu.Lock()
	flight := a.flights[name]
	if flight == nil {
		flight = &sync.Mutex{}
		a.flights[name] = flight
	}
	a.mu.Unlock()
	flight.Lock()
	defer flight.Unlock()
	return get()
}

// segment brings a segment into the directory and returns where it is. One that an
// earlier process has brought is verified once: its bytes may never have reached the disk.
func (a *Attachment) segment(ctx context.Context, s segment) (path string, err error) {
	name := hex.EncodeToString(s.Sum[:])
	path = filepath.Join(a.dir, segmentsDir, name)
	err = a.alone(name, func() error {
		a.mu.Lock()
		known := a.verified[name]
		a.mu.Unlock()
		if known {
			return nil
		}
		whole, err := verifiedFile(path, s)
		if err == nil && !whole {
			err = a.fetchSegment(ctx, s, path)
		}
		if err != nil {
			return err
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		a.verified[name] = true
		return nil
	})
	return path, err
}

// fetchSegment downloads a segment from the first replica that has it whole.
func (a *Attachment) fetchSegment(ctx context.Context, s segment, path string) error {
	return a.fromAny(ctx, func(c *Client) error {
		fresh := path + ".new"
		if err := os.RemoveAll(fresh); err != nil {
			return err
		}
		if err := c.fetchSegment(ctx, s, fresh); err != nil {
			return err
		}
		return os.Rename(fresh, path)
	})
}

// fromAny asks one replica after the other.
func (a *Attachment) fromAny(ctx context.Context, fetch func(c *Client) error) error {
	var all error
	for _, c := range a.clients {
		err := persist(ctx, func() error { return fetch(c) })
		if err == nil || ctx.Err() != nil {
			return err
		}
		all = errors.Join(all, err)
	}
	return all
}

// FetchBlob brings a blob that the directory doesn't have: the hook of blob.Store. The
// error is fs.ErrNotExist when no replica has it.
func (a *Attachment) FetchBlob(ctx context.Context, into *blob.Store, sum blob.Sum) error {
	return a.alone("blob "+sum.String(), func() error {
		if has, err := into.Has(ctx, sum); has || err != nil {
			return err
		}
		return a.fromAny(ctx, func(c *Client) error {
			_, err := c.fetchBlob(ctx, into, sum)
			return err
		})
	})
}

// Streams of Finish: few, since the server's own reads shall not wait behind them.
const finishStreams = 4

// Finish brings everything that the directory doesn't have yet, beside whatever else
// goes on, and makes it an ordinary one: nothing reads from the replica afterwards, and
// the caller lets the store check itself. It can be interrupted at any moment and is
// called again after the next OpenAttachment. progress, which may be nil, is called from
// one goroutine at a time with bytes.
func (a *Attachment) Finish(ctx context.Context, db *store.DB, blobs *blob.Store, progress func(done, total int64)) error {
	m := &meter{show: progress}
	if err := a.fetchSegments(ctx, db, m); err != nil {
		return err
	}
	if err := db.Download(ctx, nil); err != nil {
		return err
	}
	if err := a.fetchBlobs(ctx, db, blobs, m); err != nil {
		return err
	}
	blobs.SetFetch(nil)
	// The file goes last: without it nobody would remove segments that a crash left here.
	if err := os.RemoveAll(filepath.Join(a.dir, segmentsDir)); err != nil {
		return fmt.Errorf("replica: ending the attachment: %w", err)
	}
	if err := os.Remove(filepath.Join(a.dir, attachedFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("replica: ending the attachment: %w", err)
	}
	return syncDir(a.dir)
}

// fetchSegments brings the segments that the database still reads from elsewhere.
func (a *Attachment) fetchSegments(ctx context.Context, db *store.DB, m *meter) error {
	if db.AttachedBytes() == 0 {
		return nil
	}
	m.expect(a.state.Bytes)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(finishStreams)
	for _, name := range a.state.Segments {
		s, err := parseAttachedName(name)
		if err != nil {
			return errors.Join(err, group.Wait())
		}
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			if _, err := a.segment(ctx, s); err != nil {
				return err
			}
			m.advance(s.Size)
			return nil
		})
	}
	return group.Wait()
}

// fetchBlobs brings the blobs that records name.
func (a *Attachment) fetchBlobs(ctx context.Context, db *store.DB, blobs *blob.Store, m *meter) error {
	refs, err := blobRefs(db.Blobs(), m)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(finishStreams)
	for _, ref := range refs {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			err := a.FetchBlob(ctx, blobs, ref.Sum)
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrCorrupt) {
				a.log.Error("a file can't be restored", "sha256", ref.Sum.String(), "err", err)
				err = nil // what is for sale without its file is for Check to name
			}
			m.advance(ref.Size)
			return err
		})
	}
	return group.Wait()
}
