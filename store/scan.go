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
// begins, a transaction's own writes among them. After an error it ends.
func (r *reader) scan(lower, upper []byte) iter.Seq2[[]byte, scanned] {
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
