package replica

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"

	"github.com/benbjohnson/litestream"
	"github.com/superfly/ltx"
)

// boundClient is litestream's client for a path of a genericTransport, with calls that end
// when their context does. The clients for SFTP and WebDAV take no notice of one: a call
// that is given up goes on by itself until its connection breaks, and the next call
// connects anew.
type boundClient struct {
	g     *genericTransport
	under string
}

// bound carries out a call, and returns ctx's error when that ends first; then release
// gets what the call returns later.
func bound[T any](ctx context.Context, b *boundClient, release func(T), call func(litestream.ReplicaClient) (T, error)) (T, error) {
	var none T
	select {
	case b.g.calls <- struct{}{}:
	case <-ctx.Done():
		return none, fmt.Errorf("replica: %s doesn't answer: %w", b.g.name, ctx.Err())
	}
	c, err := b.g.client(b.under)
	if err != nil {
		<-b.g.calls
		return none, err
	}
	type outcome struct {
		v   T
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		defer func() { <-b.g.calls }()
		v, err := call(c)
		done <- outcome{v, err}
	}()
	select {
	case o := <-done:
		if b.g.notThere != nil && o.err != nil && b.g.notThere(o.err) {
			o.err = fmt.Errorf("%w: %w", fs.ErrNotExist, o.err)
		}
		return o.v, o.err
	case <-ctx.Done():
		b.g.forget(b.under, c)
		go func() {
			if o := <-done; o.err == nil {
				release(o.v)
			}
		}()
		return none, fmt.Errorf("replica: %s doesn't answer: %w", b.g.name, ctx.Err())
	}
}

func (b *boundClient) Type() string                    { return "generic" }
func (b *boundClient) Init(context.Context) error      { return nil }
func (b *boundClient) SetLogger(*slog.Logger)          {}
func (b *boundClient) DeleteAll(context.Context) error { return errors.ErrUnsupported }

// LTXFiles lists a level in one call.
func (b *boundClient) LTXFiles(ctx context.Context, level int, seek ltx.TXID, useMetadata bool) (ltx.FileIterator, error) {
	files, err := bound(ctx, b, func([]*ltx.FileInfo) {}, func(c litestream.ReplicaClient) ([]*ltx.FileInfo, error) {
		it, err := c.LTXFiles(ctx, level, seek, useMetadata)
		if err != nil {
			return nil, err
		}
		files, err := ltx.SliceFileIterator(it)
		return files, errors.Join(err, it.Close())
	})
	return ltx.NewFileInfoSliceIterator(files), err
}

// OpenLTXFile opens a file, whose content then comes through a pipe that ctx ends.
func (b *boundClient) OpenLTXFile(ctx context.Context, level int, minTXID, maxTXID ltx.TXID, offset, size int64) (io.ReadCloser, error) {
	body, err := bound(ctx, b, func(r io.ReadCloser) { r.Close() }, func(c litestream.ReplicaClient) (io.ReadCloser, error) {
		return c.OpenLTXFile(ctx, level, minTXID, maxTXID, offset, size)
	})
	if err != nil {
		return nil, err
	}
	r, w := io.Pipe()
	stop := context.AfterFunc(ctx, func() { w.CloseWithError(ctx.Err()) })
	go func() {
		_, err := io.Copy(w, body)
		w.CloseWithError(err)
		body.Close()
	}()
	return &stoppedReader{r, stop}, nil
}

// stoppedReader lets go of a context when it is closed.
type stoppedReader struct {
	*io.PipeReader
	stop func() bool
}

func (s *stoppedReader) Close() error {
	s.stop()
	return s.PipeReader.Close()
}

// WriteLTXFile writes a file. Where the name is taken, some SFTP servers refuse the
// rename that gives it: then the file that is there is deleted, and another attempt made.
func (b *boundClient) WriteLTXFile(ctx context.Context, level int, minTXID, maxTXID ltx.TXID, r io.Reader) (*ltx.FileInfo, error) {
	write := func() (*ltx.FileInfo, error) {
		return bound(ctx, b, func(*ltx.FileInfo) {}, func(c litestream.ReplicaClient) (*ltx.FileInfo, error) {
			return c.WriteLTXFile(ctx, level, minTXID, maxTXID, r)
		})
	}
	info, err := write()
	seeker, again := r.(io.Seeker)
	if err == nil || !again || ctx.Err() != nil {
		return info, err
	}
	there, openErr := b.OpenLTXFile(ctx, level, minTXID, maxTXID, 0, 1)
	if openErr != nil {
		return nil, err
	}
	there.Close()
	if err := b.DeleteLTXFiles(ctx, []*ltx.FileInfo{{Level: level, MinTXID: minTXID, MaxTXID: maxTXID}}); err != nil {
		return nil, err
	}
	if _, err := seeker.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("replica: rewinding: %w", err)
	}
	return write()
}

// DeleteLTXFiles deletes files.
func (b *boundClient) DeleteLTXFiles(ctx context.Context, files []*ltx.FileInfo) error {
	_, err := bound(ctx, b, func(struct{}) {}, func(c litestream.ReplicaClient) (struct{}, error) {
		return struct{}{}, c.DeleteLTXFiles(ctx, files)
	})
	return err
}
