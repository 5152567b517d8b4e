package replica

import (
	"bytes"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/souk-market/souk/internal/blob"
)

// merge writes to w what files, in order, amount to, and returns the footer of the file
// that it makes of them, which the caller finishes. Applied to the state before the first
// of them, that file gives what they give one by one, byte for byte: of each key the
// newest value or deletion, and when some of them are full, of the last such one and those
// after it.
//
// The files must be those of one generation, each going on where the one before ended,
// without tombstones and snapshots; a *CorruptError names the one that doesn't. Tables
// are verified before they are read. Memory holds a block or two of each.
func merge(ctx context.Context, w *fileWriter, files []*changeFile) (*footer, error) {
	out, err := mergedFooter(files)
	if err != nil {
		return nil, err
	}
	for i, f := range slices.Backward(files) {
		if f.Full {
			files = files[i:] // it deletes what those before it bring
			break
		}
	}
	if out.Full {
		if err := w.deleteAll(replicatedFrom, replicatedTo); err != nil {
			return nil, err
		}
	}
	m := &merger{}
	defer m.close()
	for age, f := range files {
		if err := f.verify(ctx); err != nil {
			return nil, err
		}
		if err := m.add(f, age); err != nil {
			return nil, err
		}
	}
	n := 0
	return out, m.each(func(key, value []byte, deleted bool) error {
		if n++; n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if deleted && out.Full {
			return nil // everything has been
		}
		return w.set(key, value, deleted)
	})
}

// mergedFooter describes what files amount to, and verifies that they follow one another.
func mergedFooter(files []*changeFile) (*footer, error) {
	first, last := files[0], files[len(files)-1]
	out := &footer{
		Generation: last.Generation, TXID: last.TXID, MinTXID: uint64(first.minTXID()),
		LSNMin: first.LSNMin, LSNMax: last.LSNMax, PrevChain: first.PrevChain, Chain: last.Chain, PrevLink: first.PrevLink, Link: last.Link,
		Node: last.Node, Schema: last.Schema, Time: last.Time, Committed: last.Committed,
	}
	sums := map[blob.Sum]bool{}
	for i, f := range files {
		if f.Snapshot || f.Seal != nil || f.Generation != out.Generation {
			return nil, &CorruptError{Name: f.name, Reason: "it can't be merged with the files around it"}
		}
		if i > 0 {
			prev := files[i-1]
			if f.PrevLink != prev.Link {
				return nil, &CorruptError{Name: f.name, Reason: "it doesn't go on from the file before it"}
			}
			if uint64(f.minTXID()) != prev.TXID+1 || f.LSNMin != prev.LSNMax+1 || f.PrevChain != prev.Chain {
				return nil, &CorruptError{Name: f.name, Reason: fmt.Sprintf("it goes on from commit %d (%.8s), but the file before it ends with commit %d (%.8s)",
					f.LSNMin-1, f.PrevChain, prev.LSNMax, prev.Chain)}
			}
		}
		out.Full = out.Full || f.Full
		for _, sum := range f.Blobs {
			sums[sum] = true
		}
	}
	out.Blobs = sortedSums(sums)
	return out, nil
}

// verify compares the checksums of all tables with their bytes.
func (cf *changeFile) verify(ctx context.Context) error {
	for i, t := range cf.Tables {
		sums := newTableSums(t)
		_, err := io.Copy(sums, &contextReader{ctx, io.NewSectionReader(cf.r, t.Offset, t.Size)})
		if err != nil {
			return fmt.Errorf("replica: reading a table of %s: %w", cf.name, err)
		}
		if !sums.fit() {
			return cf.wrongSum(i)
		}
	}
	return nil
}

// each visits the keys of a file in order, those of all its tables, without verifying
// their checksums. That a full file deletes everything first is not among them.
func (cf *changeFile) each(visit visitor) error {
	m := &merger{}
	defer m.close()
	if err := m.add(cf, 0); err != nil {
		return err
	}
	return m.each(visit)
}

// merger steps through several files at once. It is a heap of them by their next key,
// and among equal keys the newest file first.
type merger []*mergerInput

// mergerInput steps through the tables of one file.
type mergerInput struct {
	cf    *changeFile
	age   int // greater is newer
	it    *tableIter
	table int   // that it is of
	seen  int64 // keys of it
}

// add opens a file and moves to its first key.
func (m *merger) add(cf *changeFile, age int) error {
	in := &mergerInput{cf: cf, age: age, table: -1}
	return m.push(in)
}

// push moves an input to its next key and puts it in, or closes it at its end.
func (m *merger) push(in *mergerInput) error {
	ok, err := in.next()
	if !ok {
		return errors.Join(err, in.close())
	}
	heap.Push(m, in)
	return nil
}

// each visits each key once, with what the newest file has of it.
func (m *merger) each(visit visitor) error {
	var last []byte
	started := false
	for m.Len() > 0 {
		in := heap.Pop(m).(*mergerInput)
		if !started || !bytes.Equal(in.it.key, last) {
			if err := visit(in.it.key, in.it.value, in.it.deleted); err != nil {
				return errors.Join(err, in.close())
			}
			last, started = append(last[:0], in.it.key...), true
		}
		if err := m.push(in); err != nil {
			return err
		}
	}
	return nil
}

func (m *merger) close() {
	for _, in := range *m {
		in.close()
	}
	*m = nil
}

// next moves to the file's next key; ok is false at its end and with an error.
func (in *mergerInput) next() (ok bool, err error) {
	for {
		if in.it != nil {
			if in.it.Next() {
				in.seen++
				return true, nil
			}
			if in.it.err != nil {
				return false, in.cf.unreadable(in.it.err)
			}
			if want := in.cf.Tables[in.table].Keys; in.seen != want {
				return false, &CorruptError{Name: in.cf.name, Reason: fmt.Sprintf("its table %d has %d keys instead of %d", in.table+1, in.seen, want)}
			}
			if err := in.close(); err != nil {
				return false, fmt.Errorf("replica: closing a table of %s: %w", in.cf.name, err)
			}
		}
		if in.table++; in.table == len(in.cf.Tables) {
			return false, nil
		}
		t := in.cf.Tables[in.table]
		if in.it, err = openTable(io.NewSectionReader(in.cf.r, t.Offset, t.Size), nil); err != nil {
			return false, in.cf.unreadable(err)
		}
		in.seen = 0
	}
}

func (in *mergerInput) close() error {
	if in.it == nil {
		return nil
	}
	it := in.it
	in.it = nil
	return it.Close()
}

// Len, Less, Swap, Push and Pop are for container/heap.
func (m merger) Len() int { return len(m) }
func (m merger) Less(i, j int) bool {
	c := bytes.Compare(m[i].it.key, m[j].it.key)
	return c < 0 || c == 0 && m[i].age > m[j].age
}
func (m merger) Swap(i, j int) { m[i], m[j] = m[j], m[i] }
func (m *merger) Push(x any)   { *m = append(*m, x.(*mergerInput)) }
func (m *merger) Pop() any {
	old := *m
	in := old[len(old)-1]
	*m = old[:len(old)-1]
	return in
}
