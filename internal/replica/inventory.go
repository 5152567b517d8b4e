package replica

import (
	"cmp"
	"context"
	"slices"
	"sort"
	"time"

	"github.com/superfly/ltx"
)

// levelCount is how many levels of change files there are: 0, cut as commits come, and
// 1 to 3, each merged from the one before.
const levelCount = 4

// levelNames are what the levels are called in front of people.
var levelNames = [levelCount]string{"seconds", "30 seconds", "5 minutes", "1 hour"}

// Inventory is what a replica holds, as its listings tell. A listing says that an object
// is there; that it misses one proves nothing, since it may be cut short or stale.
type Inventory struct {
	Generations []GenerationInventory // by number, from 1, without holes
	Segments    []Object              // by name
	Blobs       []Object              // by name; nil when they weren't listed
}

// GenerationInventory is what a replica holds of one generation.
type GenerationInventory struct {
	Manifest
	Levels    [levelCount][]Object // change files by their numbers
	Snapshots []SnapshotObject     // by their numbers
}

// Object is a file as it is listed.
type Object struct {
	// Min and Max are the first and last TXID in a change file, 1 and the TXID of a
	// snapshot, and the two halves of the name of a segment or blob.
	Min, Max uint64
	Bytes    int64
	// Time is the listing's: when the file was written, by the clock of the replica's
	// server; in a directory, when it was cut.
	Time time.Time
}

// SnapshotObject is a snapshot and what was read of it.
type SnapshotObject struct {
	Object
	Cut    time.Time // when its last change file was cut; zero when it wasn't read
	Usable bool      // it was read, verified, and lacks no segment that it names
}

// Inventory lists everything that the replica holds. It costs a LIST for each 1,000
// objects of each level, and reads the manifests, but no file: no snapshot is marked
// as usable.
func (c *Client) Inventory(ctx context.Context) (*Inventory, error) {
	manifests, err := c.generations(ctx)
	if err != nil {
		return nil, err
	}
	inv := &Inventory{Generations: make([]GenerationInventory, len(manifests))}
	for i, m := range manifests {
		if inv.Generations[i], err = c.listGeneration(ctx, m); err != nil {
			return nil, err
		}
	}
	if inv.Segments, err = c.listObjects(ctx, "", levelSegments); err != nil {
		return nil, err
	}
	inv.Blobs, err = c.listObjects(ctx, "", levelBlobs)
	return inv, err
}

// listGeneration lists the files of one generation.
func (c *Client) listGeneration(ctx context.Context, m Manifest) (GenerationInventory, error) {
	g := GenerationInventory{Manifest: m}
	var err error
	for level := range g.Levels {
		if g.Levels[level], err = c.listObjects(ctx, generationPath(m.Generation), level); err != nil {
			return g, err
		}
	}
	snapshots, err := c.listObjects(ctx, generationPath(m.Generation), levelSnapshot)
	for _, o := range snapshots {
		g.Snapshots = append(g.Snapshots, SnapshotObject{Object: o})
	}
	return g, err
}

// listObjects lists one level in the order of its numbers.
func (c *Client) listObjects(ctx context.Context, under string, level int) ([]Object, error) {
	files, err := c.list(ctx, under, level)
	if err != nil {
		return nil, err
	}
	all := make([]Object, len(files))
	for i, f := range files {
		all[i] = Object{Min: uint64(f.MinTXID), Max: uint64(f.MaxTXID), Bytes: f.Size, Time: f.CreatedAt.UTC()}
	}
	slices.SortFunc(all, func(a, b Object) int { return cmp.Or(cmp.Compare(a.Min, b.Min), cmp.Compare(a.Max, b.Max)) })
	return all, nil
}

// ref names a change file or snapshot of the generation.
func (g *GenerationInventory) ref(level int, o Object) fileRef {
	return fileRef{generation: g.Generation, level: level, min: ltx.TXID(o.Min), max: ltx.TXID(o.Max), size: o.Bytes}
}

// tip is the number of the newest file, 0 for none.
func (g *GenerationInventory) tip() (n uint64) {
	for _, files := range g.Levels {
		for _, f := range files {
			n = max(n, f.Max)
		}
	}
	for _, s := range g.Snapshots {
		n = max(n, s.Max)
	}
	return n
}

// chain walks from the end of file from to exactly the end of file to, over the coarsest
// files that don't reach beyond it. It returns the files, and the first number that
// none covers, 0 when the walk arrives.
func (g *GenerationInventory) chain(from, to uint64) (files []fileRef, missing uint64) {
	for at := from; at < to; {
		level, best := -1, Object{}
		for l := range slices.Backward(g.Levels[:]) {
			if o, ok := onwards(g.Levels[l], at, to); ok && (level < 0 || o.Max > best.Max) {
				level, best = l, o
			}
		}
		if level < 0 {
			return files, at + 1
		}
		files = append(files, g.ref(level, best))
		at = best.Max
	}
	return files, 0
}

// onwards finds the file that goes on from the end of file at and reaches furthest, but
// not beyond to. Files of a level may overlap, as when a merge was done twice, though
// never by many: so some before the last candidate are looked at, too.
func onwards(files []Object, at, to uint64) (best Object, ok bool) {
	const overlaps = 8
	n := sort.Search(len(files), func(i int) bool { return files[i].Min > at+1 })
	for _, f := range files[max(0, n-overlaps):n] {
		if f.Max > at && f.Max <= to && (!ok || f.Max > best.Max) {
			best, ok = f, true
		}
	}
	return best, ok
}

// newest is the time of the newest object of the generations: the replica's own clock,
// as far as it is known. Zero when they are empty.
func (inv *Inventory) newest() (t time.Time) {
	later := func(o Object) {
		if o.Time.After(t) {
			t = o.Time
		}
	}
	for i := range inv.Generations {
		g := &inv.Generations[i]
		for _, files := range g.Levels {
			for _, f := range files {
				later(f)
			}
		}
		for _, s := range g.Snapshots {
			later(s.Object)
		}
	}
	return t
}

// drop takes files out of the inventory.
func (inv *Inventory) drop(refs []fileRef) {
	gone := map[fileRef]bool{}
	for _, ref := range refs {
		gone[ref] = true
	}
	without := func(all []Object, ref func(Object) fileRef) []Object {
		return slices.DeleteFunc(all, func(o Object) bool { return gone[ref(o)] })
	}
	for i := range inv.Generations {
		g := &inv.Generations[i]
		for level := range g.Levels {
			g.Levels[level] = without(g.Levels[level], func(o Object) fileRef { return g.ref(level, o) })
		}
		g.Snapshots = slices.DeleteFunc(g.Snapshots, func(s SnapshotObject) bool { return gone[g.ref(levelSnapshot, s.Object)] })
	}
	inv.Segments = without(inv.Segments, func(o Object) fileRef { return contentRef(levelSegments, o) })
	inv.Blobs = without(inv.Blobs, func(o Object) fileRef { return contentRef(levelBlobs, o) })
}

// contentRef names a segment or blob.
func contentRef(level int, o Object) fileRef {
	return fileRef{level: level, min: ltx.TXID(o.Min), max: ltx.TXID(o.Max), size: o.Bytes}
}

// name is the name of a segment or blob.
func (o Object) name() objectName {
	return objectNameOf(&ltx.FileInfo{MinTXID: ltx.TXID(o.Min), MaxTXID: ltx.TXID(o.Max)})
}
