package replica

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/souk-market/souk/internal/blob"
	"github.com/souk-market/souk/store"
)

// catalog remembers what files name. Files don't change, so what was read stays true.
type catalog struct {
	client *Client
	spool  string // for downloads; "" is the system's temporary directory
	read   map[fileRef]*reading
	sums   numbered[blob.Sum]
	names  numbered[objectName]
}

func newCatalog(c *Client, spool string) *catalog {
	return &catalog{client: c, spool: spool, read: map[fileRef]*reading{}}
}

// reading is what retention wants to know of a file. Segments and blobs are numbers of
// the catalog's sums or, where the key can only write, of its names: the snapshots of years
// name the same things.
type reading struct {
	footer                  // without Tables, Segments, Blobs and their names
	segments, blobs         []uint32
	segmentSizes            []int64
	segmentNames, blobNames []uint32 // for a server key, which reads no sums
}

// numbered numbers what many files have in common.
type numbered[T comparable] struct {
	all   []T
	index map[T]uint32
}

func (t *numbered[T]) number(v T) uint32 {
	n, ok := t.index[v]
	if !ok {
		if t.index == nil {
			t.index = map[T]uint32{}
		}
		n = uint32(len(t.all))
		t.all, t.index[v] = append(t.all, v), n
	}
	return n
}

func (t *numbered[T]) numbers(all []T) []uint32 {
	numbers := make([]uint32, len(all))
	for i, v := range all {
		numbers[i] = t.number(v)
	}
	return numbers
}

// canRead reports whether the key, if one is needed, opens more than public parts.
func (c *Client) canRead() bool { return c.key == nil || c.key.CanRead() }

// reading reads a file's footer, once.
func (c *catalog) reading(ctx context.Context, ref fileRef) (*reading, error) {
	if f := c.read[ref]; f != nil {
		return f, nil
	}
	f, err := c.client.footerOf(ctx, ref)
	if err != nil {
		return nil, err
	}
	if f.Version < 2 && f.Seal == nil {
		if f.Blobs, err = c.readNames(ctx, ref); err != nil {
			return nil, err
		}
	}
	is := &reading{footer: *f}
	for _, s := range f.Segments {
		is.segments = append(is.segments, c.sums.number(s.Sum))
		is.segmentSizes = append(is.segmentSizes, s.Size)
	}
	for _, sum := range f.Blobs {
		is.blobs = append(is.blobs, c.sums.number(sum))
	}
	if !c.client.canRead() {
		is.segmentNames, is.blobNames = c.names.numbers(f.SegmentNames), c.names.numbers(f.BlobNames)
	}
	is.Tables, is.Segments, is.Blobs, is.SegmentNames, is.BlobNames = nil, nil, nil, nil, nil
	c.read[ref] = is
	return is, nil
}

// readNames finds the blobs of a file that was written before footers listed them, by
// reading all of it.
func (c *catalog) readNames(ctx context.Context, ref fileRef) ([][sha256.Size]byte, error) {
	if c.spool != "" {
		if err := os.MkdirAll(c.spool, 0o700); err != nil {
			return nil, fmt.Errorf("replica: making the spool folder: %w", err)
		}
	}
	dir, err := os.MkdirTemp(c.spool, "souk-names-*")
	if err != nil {
		return nil, fmt.Errorf("replica: making a spool folder: %w", err)
	}
	defer os.RemoveAll(dir)
	cf, err := c.client.fetch(ctx, ref, filepath.Join(dir, "file"))
	if err != nil {
		return nil, err
	}
	defer cf.close()
	sums := map[blob.Sum]bool{}
	err = cf.each(func(key, _ []byte, _ bool) error { return noteBlobs(sums, store.Key(key)) })
	return sortedSums(sums), err
}

// readSnapshots marks the snapshots that can be restored, and when each was cut. One that
// is damaged or lacks a segment is left as it is, of no use, and reported.
func (c *catalog) readSnapshots(ctx context.Context, inv *Inventory, report func(ref fileRef, err error)) error {
	there := make(map[objectName]int64, len(inv.Segments))
	for _, s := range inv.Segments {
		there[s.name()] = s.Bytes
	}
	for i := range inv.Generations {
		g := &inv.Generations[i]
		for j := range g.Snapshots {
			s := &g.Snapshots[j]
			ref := g.ref(levelSnapshot, s.Object)
			f, err := c.reading(ctx, ref)
			if err == nil {
				s.Cut = f.time()
				err = c.lacks(f, there)
			}
			switch {
			case err == nil:
				s.Usable = true
			case unusable(err):
				report(ref, err)
			default:
				return err
			}
		}
	}
	return nil
}

// lacks returns a *CorruptError for the first segment of a snapshot that isn't there, or
// is too short, which a server key can't tell.
func (c *catalog) lacks(f *reading, there map[objectName]int64) error {
	for _, n := range f.segmentNames {
		name := c.names.all[n]
		if _, ok := there[name]; !ok {
			lo, hi := name.txids()
			return &CorruptError{Name: c.client.where("", levelSegments, lo, hi), Reason: "the segment is missing, and a snapshot needs it", Err: os.ErrNotExist}
		}
	}
	for i, n := range f.segments {
		sum := c.sums.all[n]
		size, ok := there[c.client.contentName(sum)]
		if !ok {
			return &CorruptError{Name: c.client.whereContent(levelSegments, sum), Reason: "the segment is missing, and a snapshot needs it", Err: os.ErrNotExist}
		}
		if size < f.segmentSizes[i] {
			return &CorruptError{Name: c.client.whereContent(levelSegments, sum), Reason: "the segment is cut short"}
		}
	}
	return nil
}

// marks are the segments and blobs that some file names.
type marks struct {
	segments  map[objectName]bool
	blobNames map[objectName]bool
	blobs     map[blob.Sum]bool // none for a server key
}

// mark reads what the snapshots name, and the change files that no coarser one stands for:
// a merged file names what its inputs did. A damaged snapshot marks nothing, since nobody
// can restore it; any other file that can't be read is an error.
func (c *catalog) mark(ctx context.Context, inv *Inventory) (*marks, error) {
	m := &marks{segments: map[objectName]bool{}, blobNames: map[objectName]bool{}, blobs: map[blob.Sum]bool{}}
	for i := range inv.Generations {
		g := &inv.Generations[i]
		for _, s := range g.Snapshots {
			if err := c.markFile(ctx, m, g.ref(levelSnapshot, s.Object)); err != nil && !errors.Is(err, ErrCorrupt) {
				return nil, err
			}
		}
		for level, files := range g.Levels {
			for _, f := range files {
				if g.coarser(level, f) {
					continue
				}
				if err := c.markFile(ctx, m, g.ref(level, f)); err != nil {
					return nil, err
				}
			}
		}
	}
	for sum := range m.blobs {
		m.blobNames[c.client.contentName(sum)] = true
	}
	return m, nil
}

// coarser reports whether a file of a higher level holds all of f.
func (g *GenerationInventory) coarser(level int, f Object) bool {
	for l := level + 1; l < levelCount; l++ {
		if _, ok := container(g.Levels[l], f); ok {
			return true
		}
	}
	return false
}

// markFile marks what one file names.
func (c *catalog) markFile(ctx context.Context, m *marks, ref fileRef) error {
	f, err := c.reading(ctx, ref)
	if err != nil {
		return err
	}
	for _, n := range f.segments {
		m.segments[c.client.contentName(c.sums.all[n])] = true
	}
	for _, n := range f.blobs {
		m.blobs[c.sums.all[n]] = true
	}
	for _, n := range f.segmentNames {
		m.segments[c.names.all[n]] = true
	}
	for _, n := range f.blobNames {
		m.blobNames[c.names.all[n]] = true
	}
	return nil
}
