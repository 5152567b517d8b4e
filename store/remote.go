package store

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2/objstorage/remote"

	"github.com/souk-market/souk/internal/market"
)

// remoteTables is the engine's way to a RemoteReader. Whatever fails is temporary and
// names the object: the engine ends the process, or takes a file for damaged, when it is
// told that one doesn't exist.
type remoteTables struct {
	reader RemoteReader
	life   context.Context // ends when the database is closed
}

func (t remoteTables) CreateStorage(remote.Locator) (remote.Storage, error) { return t, nil }

func (t remoteTables) ReadObject(ctx context.Context, name string) (remote.ObjectReader, int64, error) {
	ctx, done := t.during(ctx)
	defer done()
	o, err := t.reader.OpenObject(ctx, name)
	if err != nil {
		return nil, 0, remoteError(name, err)
	}
	return remoteTable{name, o}, o.Size(), nil
}

// during returns a context that ends with the database's life, too.
func (t remoteTables) during(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(t.life, cancel)
	return ctx, func() { stop(); cancel() }
}

func remoteError(name string, err error) error {
	return market.Errorf(market.Unavailable, "Some of this is still in the replica, which can't be reached. Please try again in a moment.").
		Because(fmt.Errorf("store: reading the object %s of the replica: %w", name, err))
}

func (t remoteTables) Size(name string) (int64, error) {
	o, size, err := t.ReadObject(t.life, name)
	if err != nil {
		return 0, err
	}
	return size, o.Close()
}

// The engine never creates, lists or deletes what a restore has attached.

var errReadOnlyObjects = errors.New("store: the objects of a replica are only read")

func (remoteTables) CreateObject(string) (io.WriteCloser, error)     { return nil, errReadOnlyObjects }
func (remoteTables) List(prefix, delimiter string) ([]string, error) { return nil, errReadOnlyObjects }
func (remoteTables) Delete(string) error                             { return errReadOnlyObjects }
func (remoteTables) IsNotExistError(error) bool                      { return false }
func (remoteTables) Close() error                                    { return nil }

type remoteTable struct {
	name   string
	object RemoteObject
}

func (t remoteTable) ReadAt(_ context.Context, p []byte, off int64) error {
	if n, err := t.object.ReadAt(p, off); n < len(p) {
		return remoteError(t.name, err)
	}
	return nil
}

func (t remoteTable) Close() error { return t.object.Close() }
