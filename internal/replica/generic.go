package replica

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path"
	"strconv"
	"sync"
	"time"

	"github.com/benbjohnson/litestream"
	"github.com/superfly/ltx"
)

// genericTransport keeps a replica wherever one of litestream's clients writes to: it
// adds nothing of its own to the protocol. So it can't create an object only where none
// is, and small objects travel as LTX files, too:
//
//	LTX header | content | length, 4 bytes | CRC-32C of the content, 4 bytes, big-endian
//
// in a level of their own, by the first 128 bits of the SHA-256 of their name.
type genericTransport struct {
	name string // the URL, for people
	// connect makes a client for a path under the replica's root. It connects later.
	connect func(under string) (litestream.ReplicaClient, error)
	// notThere reports whether an error says that there is no such file, besides those
	// that are fs.ErrNotExist; past, that an offset lies beyond its end; denied, that
	// deleting is refused. Each may be nil.
	notThere, past, denied func(error) bool

	// calls bounds how many calls are under way, those included that were given up and
	// still hang: some of the clients take no notice of a context.
	calls chan struct{}

	mu      sync.Mutex
	clients map[string]litestream.ReplicaClient // by path; guarded by mu
}

// levelObjects is the level of small objects that aren't LTX files by themselves.
const levelObjects = 0x20

// maxCalls is the bound of genericTransport.calls, above what blobs and segments use.
const maxCalls = 64

func newGeneric(name string, connect func(under string) (litestream.ReplicaClient, error)) *genericTransport {
	return &genericTransport{name: name, connect: connect, calls: make(chan struct{}, maxCalls), clients: map[string]litestream.ReplicaClient{}}
}

func (g *genericTransport) where(key string) string { return g.name + "/" + key }

func (g *genericTransport) ltx(_ context.Context, under string) (litestream.ReplicaClient, error) {
	return &boundClient{g, under}, nil
}

func (g *genericTransport) ltxKey(under string, level int, minTXID, maxTXID ltx.TXID) string {
	return litestream.LTXFilePath(under, level, minTXID, maxTXID)
}

// locate is where a key's object lies: an LTX file where its name says, or a small object.
func (g *genericTransport) locate(key string) (c *boundClient, level int, lo, hi ltx.TXID) {
	dir, name := path.Split(key)
	if lo, hi, err := ltx.ParseFilename(name); err == nil {
		dir = path.Clean(dir)
		if level, err := strconv.Atoi(path.Base(dir)); err == nil {
			return &boundClient{g, path.Dir(path.Dir(dir))}, level, lo, hi
		}
	}
	sum := sha256.Sum256([]byte(name))
	lo, hi = objectName(sum[:16]).txids()
	return &boundClient{g, path.Clean(dir)}, levelObjects, lo, hi
}

// create looks first. It isn't one step; see createsByReplacing.
func (g *genericTransport) create(ctx context.Context, key string, body io.ReadSeeker, at time.Time) error {
	there, err := g.exists(ctx, key)
	if err != nil {
		return err
	}
	if there {
		return ErrExists
	}
	return g.overwrite(ctx, key, body, at)
}

func (g *genericTransport) overwrite(ctx context.Context, key string, body io.ReadSeeker, at time.Time) error {
	c, level, lo, hi := g.locate(key)
	if level == levelObjects {
		b, err := io.ReadAll(body)
		if err != nil {
			return fmt.Errorf("replica: writing %s: %w", g.where(key), err)
		}
		framed := append(ltxHeader(lo, hi, at.UnixMilli(), ""), b...)
		framed = binary.BigEndian.AppendUint32(framed, uint32(len(b)))
		framed = binary.BigEndian.AppendUint32(framed, crc32.Checksum(b, castagnoli))
		body = bytes.NewReader(framed)
	}
	if _, err := c.WriteLTXFile(ctx, level, lo, hi, body); err != nil {
		return fmt.Errorf("replica: writing %s: %w", g.where(key), err)
	}
	return nil
}

// read returns a small object. One that was cut short while it was written isn't there yet.
func (g *genericTransport) read(ctx context.Context, key string) ([]byte, error) {
	c, level, lo, hi := g.locate(key)
	r, err := c.OpenLTXFile(ctx, level, lo, hi, 0, 0)
	if err != nil {
		return nil, fmt.Errorf("replica: reading %s: %w", g.where(key), err)
	}
	b, err := io.ReadAll(io.LimitReader(r, 1<<20))
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, fmt.Errorf("replica: reading %s: %w", g.where(key), err)
	}
	const tail = 8
	if len(b) >= ltx.HeaderSize+tail {
		body, end := b[ltx.HeaderSize:len(b)-tail], b[len(b)-tail:]
		if binary.BigEndian.Uint32(end) == uint32(len(body)) && binary.BigEndian.Uint32(end[4:]) == crc32.Checksum(body, castagnoli) {
			return body, nil
		}
	}
	return nil, fmt.Errorf("replica: %s is cut short: %w", g.where(key), fs.ErrNotExist)
}

func (g *genericTransport) exists(ctx context.Context, key string) (bool, error) {
	c, level, lo, hi := g.locate(key)
	if level == levelObjects {
		_, err := g.read(ctx, key)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		return err == nil, err
	}
	r, err := c.OpenLTXFile(ctx, level, lo, hi, 0, ltx.HeaderSize)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("replica: looking for %s: %w", g.where(key), err)
	}
	return true, r.Close()
}

func (g *genericTransport) createsByReplacing() bool { return true }
func (g *genericTransport) unsupported(error) bool   { return false }
func (g *genericTransport) writes(int64) uint64      { return 1 }

func (g *genericTransport) pastEnd(err error) bool { return err != nil && g.past != nil && g.past(err) }

// remove deletes files one by one, so that one that is refused doesn't keep the others.
func (g *genericTransport) remove(ctx context.Context, under string, level int, files []fileRef) (refused []fileRef, err error) {
	c := &boundClient{g, under}
	for _, ref := range files {
		err := c.DeleteLTXFiles(ctx, []*ltx.FileInfo{{Level: level, MinTXID: ref.min, MaxTXID: ref.max}})
		switch {
		case err == nil || errors.Is(err, fs.ErrNotExist):
		case errors.Is(err, fs.ErrPermission) || g.denied != nil && g.denied(err):
			refused = append(refused, ref)
		default:
			return refused, fmt.Errorf("replica: deleting in %s: %w", g.where(under), err)
		}
	}
	return refused, nil
}

// client returns the client of a path, with its connection.
func (g *genericTransport) client(under string) (litestream.ReplicaClient, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c := g.clients[under]; c != nil {
		return c, nil
	}
	c, err := g.connect(under)
	if err != nil {
		return nil, fmt.Errorf("replica: connecting to %s: %w", g.name, err)
	}
	g.clients[under] = c
	return c, nil
}

// forget lets the next call connect anew.
func (g *genericTransport) forget(under string, c litestream.ReplicaClient) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.clients[under] == c {
		delete(g.clients, under)
	}
}
