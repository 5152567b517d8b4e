package blob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// Young is how long a blob is left alone after it was last put, whether a record names
// it or not.
const Young = 24 * time.Hour

// Collected is what a collection did.
type Collected struct {
	Kept    int   // blobs that are named or young
	Removed int   // blobs
	Bytes   int64 // of the blobs removed
}

// Collect removes the blobs that no record names and that were last put a day before now
// or earlier, by the times of their files. What this process has put is left alone for a
// day of its own clock besides, which no change of the time of day moves. named is asked
// about each of the others just before it is removed.
//
// What isn't a blob is left where it is, and what can't be removed is left too: the
// collection goes on, and the error joins what was met, with ErrForeign the names of
// files that are no blobs. An error of named's or of ctx ends the collection.
func (s *Store) Collect(ctx context.Context, now time.Time, named func(Sum) (bool, error)) (c Collected, err error) {
	var met troubles
	for ref, err := range s.All() {
		if err != nil {
			met.add(err)
			continue
		}
		garbage, err := s.isGarbage(ctx, ref.Sum, now, named)
		if err != nil {
			return c, fmt.Errorf("blob: collecting %s: %w", ref.Sum, err)
		}
		if !garbage {
			c.Kept++
			continue
		}
		removed, err := s.remove(ref, now)
		met.add(err)
		if removed {
			c.Removed++
			c.Bytes += ref.Size
		}
	}
	s.forgetPuts()
	return c, met.join()
}

// Removed is how many blobs, and bytes of them, Collect has removed since Open.
func (s *Store) Removed() (blobs, bytes int64) { return s.removed.Load(), s.removedBytes.Load() }

func (s *Store) isGarbage(ctx context.Context, sum Sum, now time.Time, named func(Sum) (bool, error)) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	s.mu.Lock()
	young := s.isYoung(sum, now)
	s.mu.Unlock()
	if young {
		return false, nil
	}
	is, err := named(sum)
	return !is, err
}

// isYoung reports whether a blob must be left, by its file's time or this process's
// memory. One that can't be looked at is left. s.mu is held.
func (s *Store) isYoung(sum Sum, now time.Time) bool {
	if put, ok := s.puts[sum]; ok && s.clock().Sub(put) < Young {
		return true
	}
	info, err := os.Lstat(s.path(sum))
	return err != nil || now.Sub(info.ModTime()) < Young
}

// remove removes a blob that no record names, unless a Put has made it young since: who
// is about to name it has put it before. A crash may bring the file back, as garbage.
func (s *Store) remove(ref Ref, now time.Time) (removed bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isYoung(ref.Sum, now) {
		return false, nil
	}
	if err := os.Remove(s.path(ref.Sum)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		return false, fmt.Errorf("blob: %w", err)
	}
	s.removed.Add(1)
	s.removedBytes.Add(ref.Size)
	return true, nil
}

// forgetPuts lets go of the puts that protect nothing any more.
func (s *Store) forgetPuts() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for sum, put := range s.puts {
		if s.clock().Sub(put) >= Young {
			delete(s.puts, sum)
		}
	}
}

// troubles are errors that don't end a walk, the first ones of them.
type troubles struct {
	first []error
	more  int
}

const maxTroubles = 20

func (t *troubles) add(err error) {
	switch {
	case err == nil:
	case len(t.first) < maxTroubles:
		t.first = append(t.first, err)
	default:
		t.more++
	}
}

func (t *troubles) join() error {
	if t.more > 0 {
		return errors.Join(append(t.first, fmt.Errorf("blob: and %d more", t.more))...)
	}
	return errors.Join(t.first...)
}
