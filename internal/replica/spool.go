package replica

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// spool copies r to a file and opens it as a change file, which keeps it open until
// close. key is as openWith's.
func spool(key *Key, name string, r io.Reader, path string) (*changeFile, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("replica: making a spool file: %w", err)
	}
	size, err := io.Copy(f, r)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("replica: fetching %s: %w", name, err), f.Close())
	}
	cf, err := openWith(key, name, f, size)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	cf.file = f
	return cf, nil
}

// close lets go of the file behind the change file, if it has one.
func (cf *changeFile) close() error {
	if cf.file != nil {
		return cf.file.Close()
	}
	if f, ok := cf.r.(*os.File); ok {
		return f.Close()
	}
	return nil
}

// impatientReader cancels a transfer that stands still for callTimeout.
type impatientReader struct {
	r     io.Reader
	timer *time.Timer
}

func newImpatientReader(r io.Reader, cancel context.CancelFunc) *impatientReader {
	return &impatientReader{r, time.AfterFunc(callTimeout, cancel)}
}

func (i *impatientReader) Read(p []byte) (int, error) {
	i.timer.Reset(callTimeout)
	return i.r.Read(p)
}

func (i *impatientReader) stop() { i.timer.Stop() }
