package store

import (
	"bytes"
	"fmt"
	"iter"

	"github.com/cockroachdb/pebble/v2"
)

// scanned is a value met by a scan, or the error that ended it. Its bytes are valid
// until the next step.
type scanned struct {
	bytes []byte
	err   error
}

func (s scanned) decode(v any) error {
	if s.err != nil {
		return s.err
	}
	return decode(s.bytes, v)
}

// scan yields keys and values of [lower, upper) in order: those of the moment when it
// begins, a transaction's own writes among them. After an error it ends. Where reads are
// noted, upper is the successor of a prefix.
func (r *reader) scan(lower, upper []byte) iter.Seq2[[]byte, scanned] {
	if r.reads != nil {
		return r.noted(lower, upper)
	}
	return r.stretch(lower, upper)
}

// noted is stretch, and notes how far it was followed.
func (r *reader) noted(lower, upper []byte) iter.Seq2[[]byte, scanned] {
	return func(yield func([]byte, scanned) bool) {
		for k, v := range r.stretch(lower, upper) {
			if !yield(k, v) {
				r.reads.scanned(lower, upper, k)
				return
			}
		}
		r.reads.scanned(lower, upper, nil)
	}
}

func (r *reader) stretch(lower, upper []byte) iter.Seq2[[]byte, scanned] {
	return func(yield func([]byte, scanned) bool) {
		it, err := r.from.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
		if err != nil {
			yield(nil, scanned{err: fmt.Errorf("store: scanning: %w", err)})
			return
		}
		defer it.Close()
		var own []write
		if r.own != nil {
			own = r.own.between(lower, upper)
		}
		for stored := it.First(); stored || len(own) > 0; {
			if len(own) > 0 && (!stored || bytes.Compare(own[0].key, it.Key()) <= 0) {
				w := own[0]
				own = own[1:]
				if stored && bytes.Equal(w.key, it.Key()) {
					stored = it.Next()
				}
				if !w.deleted && !yield(w.key, scanned{bytes: w.value}) {
					return
				}
				continue
			}
			v, err := it.ValueAndErr()
			if err != nil {
				yield(nil, scanned{err: fmt.Errorf("store: scanning: %w", err)})
				return
			}
			if !yield(it.Key(), scanned{bytes: v}) {
				return
			}
			stored = it.Next()
		}
		if err := it.Error(); err != nil {
			yield(nil, scanned{err: fmt.Errorf("store: scanning: %w", err)})
		}
	}
}
