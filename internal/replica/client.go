package replica

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"path"
	"slices"
	"sync/atomic"
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

// ClientOptions of OpenClient. The zero value is right for a replica that isn't encrypted.
type ClientOptions struct {
	Logger *slog.Logger // nil discards
	// Key encrypts and authenticates what is written, and verifies what is read; nil is
	// for a replica without encryption. It is decided when the replica is begun.
	Key *Key
	// Password is that of an SFTP or WebDAV user, which don't belong into the URL; "" is
	// SOUK_REPLICA_PASSWORD in the environment.
	Password string
}

// Client reaches one replica. Its methods may be called from any goroutine.
type Client struct {
	name  string // the URL without credentials, for messages
	at    transport
	key   *Key // nil: not encrypted
	log   *slog.Logger
	count requestCounters
	// replaces is set by Probe where objects can't be created only where none is.
	replaces atomic.Bool
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
	// overwrite writes an object in one step, whether or not there is one.
	overwrite(ctx context.Context, key string, body io.ReadSeeker, at time.Time) error
	// exists reports whether there is an object.
	exists(ctx context.Context, key string) (bool, error)
	// createsByReplacing reports whether create isn't one step, by the nature of the
	// storage: it looks, and then overwrites.
	createsByReplacing() bool
	// unsupported reports whether an error of create says that the storage doesn't know
	// how to create an object only where none is, so that nothing was changed.
	unsupported(err error) bool
	// writes is how many requests litestream's client makes of a file of size bytes.
	writes(size int64) uint64
	// remove deletes files of a level under a path; one that isn't there counts as
	// deleted. It returns those whose deletion the storage refuses, by an object lock or
	// for want of permission. An error leaves it open which were deleted.
	remove(ctx context.Context, under string, level int, files []fileRef) (refused []fileRef, err error)
	// read returns a small object; an error that is fs.ErrNotExist when there is none.
	read(ctx context.Context, key string) ([]byte, error)
	// pastEnd reports whether an error of litestream's client says that an offset lies
	// beyond the object's end.
	pastEnd(err error) bool
	// where names an object for people.
	where(key string) string
}

// URLForms says which replicas can be named, for messages and help.
const URLForms = "file:///path/to/replica or s3://bucket/path?region=REGION&endpoint=https://HOST " +
	"(or sftp://user@host/path, webdavs://user@host/path, which can't be taken over)"

// OpenClient makes a client for a replica's URL. It connects to nothing yet.
//
// s3:// takes its keys from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, else from
// LITESTREAM_ACCESS_KEY_ID and LITESTREAM_SECRET_ACCESS_KEY, else from the places that
// AWS tools look in; never from the URL. With ?endpoint= any server that speaks S3 will
// do, as long as it can create an object only where none is (If-None-Match: *).
func OpenClient(rawURL string, o ClientOptions) (*Client, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme == "" {
		return nil, market.FieldErrorf("replica", "The replica %q is no URL. Write %s.", redacted(rawURL), URLForms)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Client{key: o.Key, log: o.Logger}
	switch u.Scheme {
	case "file":
		c.name, c.at, err = openDir(u)
	case "s3":
		c.name, c.at, err = openS3(rawURL, u, o.Logger)
	case "sftp":
		c.name, c.at, err = openSFTP(u, o)
	case "webdav", "webdavs":
		c.name, c.at, err = openWebDAV(u, o)
	case "gs", "abs", "oss", "nats":
		c.name, c.at, err = openCloud(u, o)
	default:
		err = market.FieldErrorf("replica", "A replica can't be reached by %s://. Write %s.", u.Scheme, URLForms)
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

// createObject creates a small object that isn't a change file, as transport.create.
func (c *Client) createObject(ctx context.Context, key string, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return c.create(ctx, key, bytes.NewReader(body), int64(len(body)), time.Now())
}

// overwriteObject writes a small object, whether or not there is one: a hint, on which
// nothing rests.
func (c *Client) overwriteObject(ctx context.Context, key string, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	c.count.sent(1, int64(len(body)))
	err := c.at.overwrite(ctx, key, bytes.NewReader(body), time.Now())
	c.count.answer(err)
	return c.explain(err)
}

// readObject reads a small object, as transport.read.
func (c *Client) readObject(ctx context.Context, key string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	c.count.get.Add(1)
	b, err := c.at.read(ctx, key)
	c.count.in.Add(uint64(len(b)))
	c.count.answer(err)
	return b, c.explain(err)
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
		return nil, c.explain(fmt.Errorf("replica: listing %s: %w", c.at.where(under), err))
	}
	files, err := ltx.SliceFileIterator(it)
	slices.SortFunc(files, func(a, b *ltx.FileInfo) int {
		return cmp.Or(cmp.Compare(a.MinTXID, b.MinTXID), cmp.Compare(a.MaxTXID, b.MaxTXID))
	})
	c.count.listed(len(files))
	if err = errors.Join(err, it.Close()); err != nil {
		return nil, c.explain(fmt.Errorf("replica: listing %s: %w", c.at.where(under), err))
	}
	c.count.answer(nil)
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
	c.count.get.Add(1)
	r, err := lc.OpenLTXFile(ctx, level, minTXID, maxTXID, offset, size)
	c.count.answer(err)
	if c.at.pastEnd(err) {
		return nil, &CorruptError{Name: c.where(under, level, minTXID, maxTXID), Reason: "it is cut short", Err: err}
	}
	if err != nil {
		return nil, c.explain(fmt.Errorf("replica: opening %s: %w", c.where(under, level, minTXID, maxTXID), err))
	}
	return &countingBody{r, &c.count.in}, nil
}

// put writes a file whose content is a function of its name, so that overwriting it is
// harmless: merged files, snapshots, segments and blobs. body must start with an LTX
// header; size may be a little off. A body that is an io.ReadSeeker can be sent again.
func (c *Client) put(ctx context.Context, under string, level int, minTXID, maxTXID ltx.TXID, body io.Reader, size int64) error {
	ctx, cancel := context.WithTimeout(ctx, transferTimeout(size))
	defer cancel()
	lc, err := c.at.ltx(ctx, under)
	if err != nil {
		return err
	}
	c.count.sent(c.at.writes(size), size)
	if _, err := lc.WriteLTXFile(ctx, level, minTXID, maxTXID, body); err != nil {
		return c.explain(fmt.Errorf("replica: writing %s: %w", c.where(under, level, minTXID, maxTXID), err))
	}
	c.count.answer(nil)
	return nil
}

// createChange writes a change file, in its plain form in body, where none is: ErrExists
// when there is one. Any other error leaves it open whether the file was written; a next
// attempt tells.
func (c *Client) createChange(ctx context.Context, f *footer, body io.ReadSeeker, size int64) error {
	ctx, cancel := context.WithTimeout(ctx, transferTimeout(size))
	defer cancel()
	sealed, err := c.sealed(f, body, size)
	if err != nil {
		return err
	}
	defer sealed.discard()
	key := c.at.ltxKey(generationPath(f.Generation), levelChanges, ltx.TXID(f.TXID), ltx.TXID(f.TXID))
	return c.create(ctx, key, sealed, sealed.size, f.time())
}

// putFile writes a merged file or snapshot, in its plain form in body.
func (c *Client) putFile(ctx context.Context, level int, f *footer, body io.ReadSeeker, size int64) error {
	sealed, err := c.sealed(f, body, size)
	if err != nil {
		return err
	}
	defer sealed.discard()
	return c.put(ctx, generationPath(f.Generation), level, f.minTXID(), ltx.TXID(f.TXID), sealed, sealed.size)
}

// delete deletes files, and returns those whose deletion the storage refuses: they are
// under an object lock, or this server isn't permitted to delete. Asking again later is
// right. Files that aren't there count as deleted. An error leaves it open which were.
func (c *Client) delete(ctx context.Context, refs []fileRef) (failed []fileRef, err error) {
	type place struct {
		under string
		level int
	}
	groups := map[place][]fileRef{}
	for _, ref := range refs {
		at := place{ref.under(), ref.level}
		groups[at] = append(groups[at], ref)
	}
	for at, group := range groups {
		for page := range slices.Chunk(group, pageSize) {
			refused, err := c.deletePage(ctx, at.under, at.level, page)
			if failed = append(failed, refused...); err != nil {
				return failed, err
			}
		}
	}
	return failed, nil
}

func (c *Client) deletePage(ctx context.Context, under string, level int, refs []fileRef) ([]fileRef, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*callTimeout) // some storages delete one by one
	defer cancel()
	c.count.delete.Add(1)
	refused, err := c.at.remove(ctx, under, level, refs)
	c.count.answer(err)
	return refused, c.explain(err)
}
