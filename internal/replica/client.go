package replica

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/benbjohnson/litestream"
	"github.com/superfly/ltx"

	"github.com/souk-market/souk/internal/market"
)

// Time limits of calls to the replica. litestream's own limit is a day.
const (
	callTimeout = 30 * time.Second
	// slowestLine is the rate in bytes per second under which a large transfer is given
	// up: callTimeout plus its size at this rate is its limit.
	slowestLine = 128 << 10
)

// transferTimeout is the limit for moving size bytes; 0 stands for an unknown, small size.
func transferTimeout(size int64) time.Duration {
	return callTimeout + time.Duration(size/slowestLine)*time.Second
}

// Client reaches one replica. Its methods may be called from any goroutine.
type Client struct {
	name string // the URL without credentials, for messages
	at   transport
}

// transport is what a kind of replica adds to litestream's client: objects that are
// created only where none is, and a few small objects that aren't LTX files.
//
// Keys are slash-separated and relative to the replica's root. Every method may be
// called from several goroutines; those with a context end when it does.
type transport interface {
	// ltx returns litestream's client for the files under a path of the replica; "" is
	// its root.
	ltx(ctx context.Context, under string) (litestream.ReplicaClient, error)
	// ltxKey is the key, relative to the replica's root, that litestream's client gives
	// to a file.
	ltxKey(under string, level int, minTXID, maxTXID ltx.TXID) string
	// create writes an object in one step, durable when it returns, or returns
	// ErrExists and changes nothing. at becomes the object's timestamp.
	create(ctx context.Context, key string, body io.ReadSeeker, at time.Time) error
	// overwrite writes a small object in one step, whether or not there is one: a hint,
	// on which nothing rests.
	overwrite(ctx context.Context, key string, body io.ReadSeeker) error
	// read returns a small object; an error that is fs.ErrNotExist when there is none.
	read(ctx context.Context, key string) ([]byte, error)
	// pastEnd reports whether an error of litestream's client says that an offset lies
	// beyond the object's end.
	pastEnd(err error) bool
	// where names an object for people.
	where(key string) string
}

// URLForms says which replicas can be named, for messages and help.
const URLForms = "file:///path/to/replica or s3://bucket/path?region=REGION&endpoint=https://HOST"

// OpenClient makes a client for a replica's URL. It connects to nothing yet.
//
// s3:// takes its keys from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, else from
// LITESTREAM_ACCESS_KEY_ID and LITESTREAM_SECRET_ACCESS_KEY, else from the places that
// AWS tools look in; never from the URL. With ?endpoint= any server that speaks S3 will
// do, as long as it can create an object only where none is (If-None-Match: *).
func OpenClient(rawURL string, log *slog.Logger) (*Client, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme == "" {
		return nil, market.FieldErrorf("replica", "The replica %q is no URL. Write %s.", redacted(rawURL), URLForms)
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c := &Client{}
	// Others of litestream's clients can only overwrite. An SFTP server may refuse to
	// rename onto a taken name, but not every one does, nor in one step.
	switch u.Scheme {
	case "file":
		c.name, c.at, err = openDir(u)
	case "s3":
		c.name, c.at, err = openS3(rawURL, u, log)
	case "sftp", "webdav", "webdavs":
		return nil, market.FieldErrorf("replica", "A %s replica can't be fenced: the protocol has no way to create a file only where "+
			"none is, so two servers could overwrite each other's purchases. Write %s.", u.Scheme, URLForms)
	default:
		return nil, market.FieldErrorf("replica", "A replica can't be reached by %s://. Write %s.", u.Scheme, URLForms)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// redacted is a URL that can't be parsed, cut short before anything that may be secret.
func redacted(rawURL string) string {
	return rawURL[:min(len(rawURL), 8)] + "…"
}

// String is the replica's URL without credentials.
func (c *Client) String() string { return c.name }

// probeKey is an object that every start tries to create.
const probeKey = "probe"

// Probe verifies that the replica can be written and that it creates an object only
// where none is, on which the fence rests. Errors: Unavailable when it can't be
// reached or written, Invalid when it overwrites.
func (c *Client) Probe(ctx context.Context) error {
	for range 2 { // the first start of all creates it, the second attempt must not
		err := c.createObject(ctx, probeKey, []byte("souk: this replica creates objects only where none is\n"))
		if errors.Is(err, ErrExists) {
			return nil
		}
		if err != nil {
			return market.Errorf(market.Unavailable, "The replica %s can't be written.", c).Because(err)
		}
	}
	return market.Errorf(market.Invalid, "The replica %s overwrites objects that should be created only once (it ignores If-None-Match), "+
		"so two servers could overwrite each other's purchases. Use another storage.", c)
}

// createObject creates a small object that isn't a change file, as transport.create.
func (c *Client) createObject(ctx context.Context, key string, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return c.at.create(ctx, key, bytes.NewReader(body), time.Now())
}

// overwriteObject writes a small object, as transport.overwrite.
func (c *Client) overwriteObject(ctx context.Context, key string, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return c.at.overwrite(ctx, key, bytes.NewReader(body))
}

// readObject reads a small object, as transport.read.
func (c *Client) readObject(ctx context.Context, key string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return c.at.read(ctx, key)
}

// Levels of files. Litestream's planner looks at 0 to 9 only, so higher ones are free
// for other things.
const (
	levelChanges  = 0 // one file a second; 1 to levelHour are merged of it
	levelHour     = 3
	levelSnapshot = litestream.SnapshotLevel
	levelSegments = 0x10 // sorted tables of snapshots, by their content
	levelBlobs    = 0x11
)

// generationPath is where a generation's files are, relative to the replica's root.
func generationPath(g uint32) string { return path.Join("gen", fmt.Sprintf("%08x", g)) }

// list returns the files of a level of a generation by their numbers.
func (c *Client) list(ctx context.Context, under string, level int) ([]*ltx.FileInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*callTimeout) // a page of 1,000 names per call
	defer cancel()
	lc, err := c.at.ltx(ctx, under)
	if err != nil {
		return nil, err
	}
	it, err := lc.LTXFiles(ctx, level, 0, false)
	if err != nil {
		return nil, fmt.Errorf("replica: listing %s: %w", c.at.where(under), err)
	}
	files, err := ltx.SliceFileIterator(it)
	if err = errors.Join(err, it.Close()); err != nil {
		return nil, fmt.Errorf("replica: listing %s: %w", c.at.where(under), err)
	}
	return files, nil
}

// where names a file for people.
func (c *Client) where(under string, level int, minTXID, maxTXID ltx.TXID) string {
	return c.at.where(c.at.ltxKey(under, level, minTXID, maxTXID))
}

// open returns a file's content from an offset on, at most size bytes (0 is all). The
// error is fs.ErrNotExist when there is no such file. ctx covers reading it too.
func (c *Client) open(ctx context.Context, under string, level int, minTXID, maxTXID ltx.TXID, offset, size int64) (io.ReadCloser, error) {
	lc, err := c.at.ltx(ctx, under)
	if err != nil {
		return nil, err
	}
	r, err := lc.OpenLTXFile(ctx, level, minTXID, maxTXID, offset, size)
	if c.at.pastEnd(err) {
		return nil, &CorruptError{Name: c.where(under, level, minTXID, maxTXID), Reason: "it is cut short", Err: err}
	}
	if err != nil {
		return nil, fmt.Errorf("replica: opening %s: %w", c.where(under, level, minTXID, maxTXID), err)
	}
	return r, nil
}

// put writes a file whose content is a function of its name, so that overwriting it is
// harmless: snapshots and blobs. body must start with an LTX header.
func (c *Client) put(ctx context.Context, under string, level int, minTXID, maxTXID ltx.TXID, body io.ReadSeeker, size int64) error {
	ctx, cancel := context.WithTimeout(ctx, transferTimeout(size))
	defer cancel()
	lc, err := c.at.ltx(ctx, under)
	if err != nil {
		return err
	}
	if _, err := lc.WriteLTXFile(ctx, level, minTXID, maxTXID, body); err != nil {
		return fmt.Errorf("replica: writing %s: %w", c.where(under, level, minTXID, maxTXID), err)
	}
	return nil
}

// createChange writes a change file where none is: ErrExists when there is one. Any
// other error leaves it open whether the file was written; a next attempt tells.
func (c *Client) createChange(ctx context.Context, f *footer, body io.ReadSeeker, size int64) error {
	ctx, cancel := context.WithTimeout(ctx, transferTimeout(size))
	defer cancel()
	key := c.at.ltxKey(generationPath(f.Generation), levelChanges, ltx.TXID(f.TXID), ltx.TXID(f.TXID))
	return c.at.create(ctx, key, body, f.time())
}

// fetch downloads a file and verifies its frame: into memory when it is listed as small,
// else to path. The error is fs.ErrNotExist when there is no such file. The caller closes
// the changeFile, and removes what is at path.
func (c *Client) fetch(ctx context.Context, ref fileRef, path string) (*changeFile, error) {
	ctx, cancel := context.WithTimeout(ctx, transferTimeout(ref.size))
	defer cancel()
	r, err := c.open(ctx, generationPath(ref.generation), ref.level, ref.min, ref.max, 0, 0)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if ref.size > 0 && ref.size <= smallFile {
		b, err := io.ReadAll(io.LimitReader(r, smallFile+1))
		if err != nil {
			return nil, fmt.Errorf("replica: fetching %s: %w", c.nameOf(ref), err)
		}
		return openChangeFile(c.nameOf(ref), bytes.NewReader(b), int64(len(b)))
	}
	return spool(c.nameOf(ref), r, path)
}

// nameOf names a file for people and in errors.
func (c *Client) nameOf(ref fileRef) string {
	return c.where(generationPath(ref.generation), ref.level, ref.min, ref.max)
}

// fileRef names a change file or snapshot.
type fileRef struct {
	generation uint32
	level      int
	min, max   ltx.TXID
	size       int64 // as listed
}

// changeRef names a generation's change file n, of unknown size.
func changeRef(g uint32, n ltx.TXID) fileRef {
	return fileRef{generation: g, level: levelChanges, min: n, max: n}
}

// smallFile is the size in bytes up to which a file is fetched whole to read its footer.
const smallFile = 1 << 20

// footerOf reads a file's verified footer. The error is fs.ErrNotExist when there is no
// such file. Of a file that is listed as large only the ends are fetched.
func (c *Client) footerOf(ctx context.Context, ref fileRef) (*footer, error) {
	var cf *changeFile
	var err error
	if ref.size > smallFile {
		cf, err = openChangeFile(c.nameOf(ref), &rangeReader{ctx, c, ref}, ref.size)
	} else {
		cf, err = c.peek(ctx, ref)
	}
	if err != nil {
		return nil, err
	}
	if err := c.expect(ref, &cf.footer); err != nil {
		return nil, err
	}
	return &cf.footer, nil
}

// peek fetches a file for its footer only.
func (c *Client) peek(ctx context.Context, ref fileRef) (*changeFile, error) {
	dir, err := os.MkdirTemp("", "souk-replica-*")
	if err != nil {
		return nil, fmt.Errorf("replica: making a spool folder: %w", err)
	}
	defer os.RemoveAll(dir)
	cf, err := c.fetch(ctx, ref, filepath.Join(dir, "file"))
	if err != nil {
		return nil, err
	}
	return cf, cf.close()
}

// rangeReader reads parts of a file where it is.
type rangeReader struct {
	ctx context.Context
	c   *Client
	ref fileRef
}

func (r *rangeReader) ReadAt(p []byte, off int64) (int, error) {
	ctx, cancel := context.WithTimeout(r.ctx, transferTimeout(int64(len(p))))
	defer cancel()
	body, err := r.c.open(ctx, generationPath(r.ref.generation), r.ref.level, r.ref.min, r.ref.max, off, int64(len(p)))
	if err != nil {
		return 0, err
	}
	defer body.Close()
	return io.ReadFull(body, p)
}

// expect verifies that a file is the one that its name says.
func (c *Client) expect(ref fileRef, f *footer) error {
	if f.Generation == ref.generation && f.TXID == uint64(ref.max) && f.minTXID() == ref.min {
		return nil
	}
	return &CorruptError{Name: c.nameOf(ref), Reason: fmt.Sprintf("it is file %d of generation %d", f.TXID, f.Generation)}
}
