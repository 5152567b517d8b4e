package replica

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/benbjohnson/litestream"
	"github.com/superfly/ltx"
)

// simBucket is a bucket in memory. Reads are consistent, listings may be a few seconds
// old, and creating is one step.
type simBucket struct {
	forgetful bool // creating overwrites, for the test of the simulation

	mu      sync.Mutex
	objects map[string]simObject
}

type simObject struct {
	body []byte
	at   time.Time // when it was created, for listings
}

func (b *simBucket) put(key string, body []byte, onlyIfAbsent bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, there := b.objects[key]; there && onlyIfAbsent && (!b.forgetful || !strings.HasPrefix(key, "gen/")) {
		return ErrExists
	}
	b.objects[key] = simObject{bytes.Clone(body), time.Now()}
	return nil
}

func (b *simBucket) get(key string) ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	o, ok := b.objects[key]
	if !ok {
		return nil, fmt.Errorf("sim: %s: %w", key, fs.ErrNotExist)
	}
	return o.body, nil
}

// simLink is the line between one life of a node and the bucket. A request that passes
// arrives after a while; its answer may be lost; one that is given up may arrive later
// still. It is a transport.
type simLink struct {
	bucket *simBucket
	late   *sync.WaitGroup // requests that arrive after they were given up

	mu    sync.Mutex // guards everything below
	rng   *rand.Rand
	dead  bool          // the machine is off: nothing more leaves it
	cut   bool          // requests don't get through
	until time.Time     // requests wait until then
	lossy int           // percent of requests that go wrong in some way
	slow  time.Duration // on top of what a request takes
}

var errLine = errors.New("sim: no answer")

// roll returns what happens to a request.
func (l *simLink) roll() (dead, cut bool, wait time.Duration, fate int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	wait = l.slow + time.Duration(2+l.rng.IntN(40))*time.Millisecond
	if stall := time.Until(l.until); stall > 0 {
		wait += stall
	}
	fate = 100
	if l.rng.IntN(100) < l.lossy {
		fate = l.rng.IntN(3)
	}
	return l.dead, l.cut, wait, fate
}

func (l *simLink) isDead() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dead
}

// request carries out do as a request would: or not, or without an answer. One that is
// given up may still arrive where do may run late, also after the machine has died.
func (l *simLink) request(ctx context.Context, mayBeLate bool, do func() error) error {
	dead, cut, wait, fate := l.roll()
	arriveLater := func(after time.Duration) {
		if mayBeLate {
			l.late.Go(func() {
				pause(context.WithoutCancel(ctx), after)
				do()
			})
		}
	}
	switch {
	case dead || cut:
		pause(ctx, 3*time.Second)
		return errLine
	case fate == 0: // it never arrives
		pause(ctx, wait)
		return errLine
	case fate == 1:
		arriveLater(wait * 300)
		pause(ctx, wait)
		return errLine
	}
	if !pause(ctx, wait/2) {
		if wait%2 == 0 {
			arriveLater(wait / 2)
		}
		return ctx.Err()
	}
	err := do()
	if !pause(ctx, wait/2) || fate == 2 || l.isDead() { // the answer is lost
		return errLine
	}
	return err
}

func (l *simLink) write(ctx context.Context, key string, body io.Reader, onlyIfAbsent bool) error {
	b, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	return l.request(ctx, true, func() error { return l.bucket.put(key, b, onlyIfAbsent) })
}

func (l *simLink) create(ctx context.Context, key string, body io.ReadSeeker, _ time.Time) error {
	return l.write(ctx, key, body, true)
}

func (l *simLink) overwrite(ctx context.Context, key string, body io.ReadSeeker, _ time.Time) error {
	return l.write(ctx, key, body, false)
}

func (l *simLink) read(ctx context.Context, key string) (b []byte, err error) {
	err = l.request(ctx, false, func() (err error) {
		b, err = l.bucket.get(key)
		return err
	})
	return b, err
}

func (l *simLink) exists(ctx context.Context, key string) (bool, error) {
	_, err := l.read(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (l *simLink) remove(ctx context.Context, under string, level int, files []fileRef) ([]fileRef, error) {
	return nil, l.request(ctx, false, func() error {
		l.bucket.mu.Lock()
		defer l.bucket.mu.Unlock()
		for _, f := range files {
			delete(l.bucket.objects, l.ltxKey(under, level, f.min, f.max))
		}
		return nil
	})
}

func (l *simLink) createsByReplacing() bool { return false }
func (l *simLink) unsupported(error) bool   { return false }
func (l *simLink) writes(int64) uint64      { return 1 }
func (l *simLink) pastEnd(error) bool       { return false }
func (l *simLink) where(key string) string  { return "sim:" + key }

func (l *simLink) ltx(_ context.Context, under string) (litestream.ReplicaClient, error) {
	return &simFiles{l, under}, nil
}

func (l *simLink) ltxKey(under string, level int, minTXID, maxTXID ltx.TXID) string {
	return path.Join(under, fmt.Sprintf("%04x", level), ltx.FormatFilename(minTXID, maxTXID))
}

// simFiles is litestream's client for the files under a path.
type simFiles struct {
	l     *simLink
	under string
}

func (s *simFiles) Type() string               { return "sim" }
func (s *simFiles) Init(context.Context) error { return nil }
func (s *simFiles) SetLogger(*slog.Logger)     {}
func (s *simFiles) DeleteLTXFiles(context.Context, []*ltx.FileInfo) error {
	return errors.ErrUnsupported
}
func (s *simFiles) DeleteAll(context.Context) error { return errors.ErrUnsupported }

func (s *simFiles) LTXFiles(ctx context.Context, level int, seek ltx.TXID, _ bool) (ltx.FileIterator, error) {
	prefix := path.Join(s.under, fmt.Sprintf("%04x", level)) + "/"
	s.l.mu.Lock()
	old := time.Duration(s.l.rng.IntN(4000)) * time.Millisecond * time.Duration(s.l.rng.IntN(2))
	s.l.mu.Unlock()
	var files []*ltx.FileInfo
	err := s.l.request(ctx, false, func() error {
		s.l.bucket.mu.Lock()
		defer s.l.bucket.mu.Unlock()
		for key, o := range s.l.bucket.objects {
			name, ok := strings.CutPrefix(key, prefix)
			if !ok || time.Since(o.at) < old {
				continue
			}
			if lo, hi, err := ltx.ParseFilename(name); err == nil && lo >= seek {
				files = append(files, &ltx.FileInfo{Level: level, MinTXID: lo, MaxTXID: hi, Size: int64(len(o.body)), CreatedAt: o.at})
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return ltx.NewFileInfoSliceIterator(files), nil
}

func (s *simFiles) OpenLTXFile(ctx context.Context, level int, lo, hi ltx.TXID, offset, size int64) (io.ReadCloser, error) {
	b, err := s.l.read(ctx, s.l.ltxKey(s.under, level, lo, hi))
	if err != nil {
		return nil, err
	}
	b = b[min(offset, int64(len(b))):]
	if size > 0 {
		b = b[:min(size, int64(len(b)))]
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

func (s *simFiles) WriteLTXFile(ctx context.Context, level int, lo, hi ltx.TXID, r io.Reader) (*ltx.FileInfo, error) {
	if err := s.l.write(ctx, s.l.ltxKey(s.under, level, lo, hi), r, false); err != nil {
		return nil, err
	}
	return &ltx.FileInfo{Level: level, MinTXID: lo, MaxTXID: hi}, nil
}
