package replica

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/benbjohnson/litestream"
	"github.com/benbjohnson/litestream/file"
	"github.com/superfly/ltx"

	"github.com/souk-market/souk/internal/market"
)

// dirTransport keeps a replica in a directory: a second disk, or a mounted share that
// knows hard links.
type dirTransport struct{ root string }

// openDir makes the transport of a file:// URL. The URL is parsed here and not by
// litestream, which keeps the percent signs of a path with spaces.
func openDir(u *url.URL) (string, transport, error) {
	if u.Host != "" || u.User != nil || !filepath.IsAbs(u.Path) {
		return "", nil, market.FieldErrorf("replica", "A file replica needs three slashes and an absolute path. Write file:///path/to/replica.")
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return "", nil, market.FieldErrorf("replica", "A file replica takes no parameters. Write file:///path/to/replica, with %%3F for a question mark.")
	}
	root := filepath.Clean(filepath.FromSlash(u.Path))
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(root)}).String(), &dirTransport{root}, nil
}

func (d *dirTransport) path(key string) string { return filepath.Join(d.root, filepath.FromSlash(key)) }

// where is the file's name: what an operator would look at.
func (d *dirTransport) where(key string) string { return d.path(key) }

// ltx makes a client per call: it holds nothing but the path.
func (d *dirTransport) ltx(_ context.Context, under string) (litestream.ReplicaClient, error) {
	return file.NewReplicaClient(d.path(under)), nil
}

func (d *dirTransport) ltxKey(under string, level int, minTXID, maxTXID ltx.TXID) string {
	return litestream.LTXFilePath(under, level, minTXID, maxTXID)
}

// pastEnd is false: reading a file beyond its end is an empty read.
func (d *dirTransport) pastEnd(error) bool { return false }

// create gives a new file its name by a hard link, which fails where the name is taken:
// unlike a rename, which would replace the file.
func (d *dirTransport) create(ctx context.Context, key string, body io.ReadSeeker, at time.Time) error {
	return d.write(ctx, key, body, at, func(from, to string) error {
		err := os.Link(from, to)
		if errors.Is(err, fs.ErrExist) {
			return ErrExists
		}
		return err
	})
}

// overwrite replaces a file by a rename.
func (d *dirTransport) overwrite(ctx context.Context, key string, body io.ReadSeeker, at time.Time) error {
	return d.write(ctx, key, body, at, os.Rename)
}

// write puts a synced temporary file beside the key's, and has place give it its name.
func (d *dirTransport) write(ctx context.Context, key string, body io.Reader, at time.Time, place func(from, to string) error) error {
	name := d.path(key)
	dir := filepath.Dir(name)
	if err := makeDirs(dir); err != nil {
		return fmt.Errorf("replica: %w", err)
	}
	f, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return fmt.Errorf("replica: %w", err)
	}
	defer os.Remove(f.Name()) // a link keeps the file, and after a rename the name is gone
	_, err = io.Copy(f, &contextReader{ctx, body})
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("replica: writing %s: %w", name, err)
	}
	// The time is part of what litestream's clients keep of a file; it needn't be synced.
	if err := os.Chtimes(f.Name(), at, at); err != nil {
		return fmt.Errorf("replica: %w", err)
	}
	if err := place(f.Name(), name); errors.Is(err, ErrExists) {
		return ErrExists
	} else if err != nil {
		return fmt.Errorf("replica: %w", err)
	}
	return syncDir(dir)
}

func (d *dirTransport) exists(_ context.Context, key string) (bool, error) {
	_, err := os.Stat(d.path(key))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("replica: %w", err)
	}
	return true, nil
}

func (d *dirTransport) createsByReplacing() bool { return false }

// unsupported: a disk without hard links, like FAT, has no way to create in one step.
func (d *dirTransport) unsupported(err error) bool {
	return errors.Is(err, syscall.EPERM) || errors.Is(err, errors.ErrUnsupported)
}

func (d *dirTransport) writes(int64) uint64 { return 1 }

// remove deletes files. One that can't be removed for want of permission is refused: it
// may be immutable (chattr +i), or belong to another user.
func (d *dirTransport) remove(ctx context.Context, under string, level int, files []fileRef) (refused []fileRef, err error) {
	for _, ref := range files {
		if err := ctx.Err(); err != nil {
			return refused, err
		}
		err := os.Remove(d.path(d.ltxKey(under, level, ref.min, ref.max)))
		switch {
		case err == nil || errors.Is(err, fs.ErrNotExist):
		case errors.Is(err, fs.ErrPermission):
			refused = append(refused, ref)
		default:
			return refused, fmt.Errorf("replica: deleting: %w", err)
		}
	}
	return refused, nil
}

// read returns a small file.
func (d *dirTransport) read(_ context.Context, key string) ([]byte, error) {
	b, err := os.ReadFile(d.path(key))
	if err != nil {
		return nil, fmt.Errorf("replica: %w", err)
	}
	return b, nil
}

// makeDirs makes a directory and its parents, each durable in its own parent.
func makeDirs(dir string) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := makeDirs(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(parent)
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("replica: %w", err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("replica: syncing %s: %w", dir, err)
	}
	return nil
}

// contextReader ends with the context's error.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
