package store

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// points reads one key after the other through one iterator, for those who read several:
// a page of a hundred records costs 290 µs so, and 400 µs by single reads
// (BenchmarkScan100). It asks the Bloom filters of all levels, while a single read
// doesn't ask those of the lowest, where most of the data lies: a key that isn't stored
// would cost a block of data. What is written after its first read isn't seen.
type points struct {
	from pebble.Reader
	it   *pebble.Iterator
}

// read calls use with what is stored at a key, and reports whether anything is.
func (p *points) read(key []byte, use func(v []byte) error) (found bool, err error) {
	if p.it == nil {
		if p.it, err = p.from.NewIter(&pebble.IterOptions{UseL6Filters: true}); err != nil {
			return false, fmt.Errorf("store: reading %s: %w", Key(key), err)
		}
	}
	if !p.it.SeekPrefixGE(key) {
		if err := p.it.Error(); err != nil {
			return false, fmt.Errorf("store: reading %s: %w", Key(key), err)
		}
		return false, nil
	}
	v, err := p.it.ValueAndErr()
	if err != nil {
		return false, fmt.Errorf("store: reading %s: %w", Key(key), err)
	}
	return true, use(v)
}

func (p *points) close() {
	if p.it != nil {
		p.it.Close() // whose error, if any, a read has returned
	}
}
