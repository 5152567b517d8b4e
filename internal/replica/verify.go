package replica

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/superfly/ltx"

	"github.com/souk-market/souk/internal/blob"
)

// VerifyOptions of Verify. The zero value is a quick one.
type VerifyOptions struct {
	// Full reads every byte that the replica holds; else the footers are read.
	Full bool
	// Retention is the policy that the replica is kept by. Files that it no longer asks
	// for may be missing in part.
	Retention Retention
	// Progress, when set, is called with the bytes read of how many.
	Progress func(done, total int64)
}

// What may be wrong with an object.
const (
	FindingMissing = "missing"
	FindingDamaged = "damaged" // or forged: its checksum, MAC or place in the chain is wrong
)

// Finding is an object of a replica with which something is wrong.
type Finding struct {
	Name   string `json:"name"` // as the replica calls it
	Kind   string `json:"kind"`
	Detail string `json:"detail"`
}

// VerifyReport says what Verify has looked at and found.
type VerifyReport struct {
	Generations int       `json:"generations"`
	Files       int       `json:"files"` // change files and snapshots
	Segments    int       `json:"segments"`
	Blobs       int       `json:"blobs"`
	BytesRead   int64     `json:"bytesRead"`
	Findings    []Finding `json:"findings,omitempty"`
	// Unchecked says, a sentence each, what could not be verified.
	Unchecked []string `json:"unchecked,omitempty"`
}

// verifier collects what Verify finds.
type verifier struct {
	*catalog
	opts  VerifyOptions
	inv   *Inventory
	rep   VerifyReport
	total int64
	seen  map[string]bool // names among the findings
}

// Verify looks for damaged, forged and missing objects: whether files lead to each point
// of the past that the policy keeps, whether each goes on from the one before, and whether
// what they name is there. Full also reads everything and compares every checksum.
//
// It needs no key for a plain replica. With a key that can't read it verifies the MACs,
// the chain and what is listed, and says what it could not look at. Findings are no error;
// an error means that the replica could not be read.
func (c *Client) Verify(ctx context.Context, o VerifyOptions) (VerifyReport, error) {
	inv, err := c.Inventory(ctx)
	if err != nil {
		return VerifyReport{}, err
	}
	v := &verifier{catalog: newCatalog(c, ""), opts: o, inv: inv, seen: map[string]bool{}}
	v.rep.Generations, v.rep.Segments, v.rep.Blobs = len(inv.Generations), len(inv.Segments), len(inv.Blobs)
	for i := range inv.Generations {
		v.rep.Files += inv.Generations[i].count()
	}
	v.total = inv.bytes()
	all := make([]Manifest, len(inv.Generations))
	if err := c.lostManifest(ctx, all); unusable(err) {
		v.missing(c.at.where(manifestKey(uint32(len(all)+1))), "there are files of its generation, and nothing of them can be restored")
	} else if err != nil {
		return v.rep, err
	}
	if err := v.readSnapshots(ctx, inv, func(ref fileRef, err error) { v.found(c.nameOf(ref), err) }); err != nil {
		return v.rep, err
	}
	if err := v.chains(ctx); err != nil {
		return v.rep, err
	}
	if err := v.names(ctx); err != nil {
		return v.rep, err
	}
	if o.Full {
		err = v.contents(ctx)
	}
	return v.rep, err
}

// found notes a finding, once for each object.
func (v *verifier) found(name string, err error) {
	f := Finding{Name: name, Kind: FindingDamaged, Detail: err.Error()}
	var bad *CorruptError
	if errors.As(err, &bad) {
		f.Name, f.Detail = bad.Name, bad.Reason
	}
	if errors.Is(err, fs.ErrNotExist) {
		f.Kind = FindingMissing
	}
	if !v.seen[f.Name] {
		v.seen[f.Name] = true
		v.rep.Findings = append(v.rep.Findings, f)
	}
}

// missing notes an object that should be there.
func (v *verifier) missing(name, why string) {
	v.found(name, &CorruptError{Name: name, Reason: why, Err: fs.ErrNotExist})
}

// chains verifies that files lead from a snapshot, or the beginning, to every point that
// the policy keeps, and that each goes on where the one before ended. It goes by the same
// rules as Retention.Expired.
func (v *verifier) chains(ctx context.Context) error {
	p, now := v.opts.Retention.withDefaults(), v.inv.newest()
	needed := make([][]uint64, len(v.inv.Generations)+1)
	for i := range slices.Backward(v.inv.Generations) {
		g := &v.inv.Generations[i]
		slices.Sort(needed[g.Generation])
		t := thinning{gen: g, forks: needed[g.Generation], fine: now.Add(-p.Fine), horizon: now.Add(-max(p.Fine, p.Medium))}
		t.over = t.isOver(v.inv)
		t.findBase()
		if t.needsParent() && g.Parent != 0 {
			needed[g.Parent] = append(needed[g.Parent], g.ForkTXID)
		}
		if !t.over {
			if err := v.chain(ctx, g, t.base, g.tip()); err != nil {
				return err
			}
		}
		for _, fork := range t.forks {
			if err := v.chain(ctx, g, t.lastSnapshot(fork), fork); err != nil {
				return err
			}
		}
	}
	return nil
}

// chain verifies the way from one file to another: each file of it goes on from the last.
func (v *verifier) chain(ctx context.Context, g *GenerationInventory, from, to uint64) error {
	files, gap := g.chain(from, to)
	if gap != 0 {
		v.missing(v.client.nameOf(changeRef(g.Generation, ltx.TXID(gap))),
			fmt.Sprintf("no file of any level holds it, so nothing up to file %d can be restored over it", to))
	}
	var last *reading
	if from > 0 {
		last = v.read[fileRef{g.Generation, levelSnapshot, 1, ltx.TXID(from), v.sizeOfSnapshot(g, from)}]
	}
	for _, ref := range files {
		f, err := v.reading(ctx, ref)
		if unusable(err) {
			v.found(v.client.nameOf(ref), err)
			last = nil
			continue
		}
		if err != nil {
			return err
		}
		if last != nil {
			v.follows(ref, &last.footer, &f.footer)
		}
		last = f
	}
	return nil
}

// follows verifies that a file goes on from the one before. Files that overlap can't be
// compared by their chains, since a footer has those at its ends only.
func (v *verifier) follows(ref fileRef, last, f *footer) {
	if uint64(ref.min) != last.TXID+1 {
		return
	}
	if f.LSNMin != last.LSNMax+1 || f.PrevChain != last.Chain || f.encrypted() && f.PrevLink != last.Link {
		v.found(v.client.nameOf(ref), &CorruptError{Name: v.client.nameOf(ref),
			Reason: fmt.Sprintf("it doesn't go on from file %d: it is of another history, or was forged", last.TXID)})
	}
}

// names verifies that every blob that files name is there. Snapshots' segments have been
// verified when those were read.
func (v *verifier) names(ctx context.Context) error {
	if !v.client.canRead() {
		v.rep.Unchecked = append(v.rep.Unchecked, "Which files for sale the records need: the server key can't read it. Use the recovery key.")
		return nil
	}
	for i := range v.inv.Generations { // those that can't be read are found here
		g := &v.inv.Generations[i]
		for level := range g.Levels {
			files := g.Levels[level]
			g.Levels[level] = slices.DeleteFunc(slices.Clone(files), func(f Object) bool {
				if g.coarser(level, f) {
					return false
				}
				_, err := v.reading(ctx, g.ref(level, f))
				if unusable(err) {
					v.found(v.client.nameOf(g.ref(level, f)), err)
				}
				return unusable(err)
			})
		}
	}
	m, err := v.mark(ctx, v.inv)
	if err != nil {
		return err
	}
	there := make(map[objectName]bool, len(v.inv.Blobs))
	for _, o := range v.inv.Blobs {
		there[o.name()] = true
	}
	for _, sum := range sortedSums(m.blobs) {
		if !there[v.client.contentName(sum)] {
			v.missing(v.client.whereContent(levelBlobs, sum), fmt.Sprintf("records name the file with SHA-256 %s", blob.Sum(sum)))
		}
	}
	return nil
}

// contents reads every object.
func (v *verifier) contents(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "souk-verify-*")
	if err != nil {
		return fmt.Errorf("replica: making a spool folder: %w", err)
	}
	defer os.RemoveAll(dir)
	if !v.client.canRead() {
		v.rep.Unchecked = append(v.rep.Unchecked, "The contents of files, segments and blobs: the server key can't read them. Use the recovery key.")
		return nil
	}
	for i := range v.inv.Generations {
		if err := v.generation(ctx, &v.inv.Generations[i], filepath.Join(dir, "file")); err != nil {
			return err
		}
	}
	sums := map[objectName]blob.Sum{}
	for _, sum := range v.sums.all {
		sums[v.client.contentName(sum)] = sum
	}
	for level, all := range map[int][]Object{levelSegments: v.inv.Segments, levelBlobs: v.inv.Blobs} {
		for _, o := range all {
			if sum, named := sums[o.name()]; named { // others are about to be deleted
				if err := v.content(ctx, level, sum); err != nil {
					return err
				}
			}
			v.count(o.Bytes)
		}
	}
	return nil
}

// generation reads the files of one generation.
func (v *verifier) generation(ctx context.Context, g *GenerationInventory, path string) error {
	var last *footer
	for level := range g.Levels {
		last = nil
		for _, o := range g.Levels[level] {
			ref := g.ref(level, o)
			cf, err := v.wholeFile(ctx, ref, path)
			v.count(o.Bytes)
			switch {
			case unusable(err):
				v.found(v.client.nameOf(ref), err)
				last = nil
				continue
			case err != nil:
				return err
			}
			if last != nil {
				v.follows(ref, last, &cf.footer)
			}
			f := cf.footer
			last = &f
		}
	}
	for _, s := range g.Snapshots {
		_, err := v.wholeFile(ctx, g.ref(levelSnapshot, s.Object), path)
		v.count(s.Bytes)
		if unusable(err) {
			v.found(v.client.nameOf(g.ref(levelSnapshot, s.Object)), err)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// wholeFile reads a file and verifies its tables.
func (v *verifier) wholeFile(ctx context.Context, ref fileRef, path string) (*changeFile, error) {
	cf, err := v.client.fetch(ctx, ref, path)
	if err != nil {
		return nil, err
	}
	defer os.Remove(path)
	defer cf.close()
	return cf, errors.Join(v.client.expect(ref, &cf.footer), cf.verify(ctx))
}

// content reads a segment or blob and compares its checksum.
func (v *verifier) content(ctx context.Context, level int, sum blob.Sum) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, err := v.client.openContent(ctx, level, sum)
	if err == nil {
		defer r.Close()
		body := newImpatientReader(r, cancel)
		defer body.stop()
		got := sha256.New()
		if _, err = io.Copy(got, body); err == nil && !bytes.Equal(got.Sum(nil), sum[:]) {
			err = &CorruptError{Name: v.client.whereContent(level, sum), Reason: "its checksum is wrong"}
		}
	}
	if unusable(err) {
		v.found(v.client.whereContent(level, sum), err)
		return nil
	}
	return err
}

// count adds to the bytes read.
func (v *verifier) count(n int64) {
	v.rep.BytesRead += n
	if v.opts.Progress != nil {
		v.opts.Progress(v.rep.BytesRead, v.total)
	}
}

// sizeOfSnapshot is the listed size of a snapshot.
func (v *verifier) sizeOfSnapshot(g *GenerationInventory, n uint64) int64 {
	for _, s := range g.Snapshots {
		if s.Max == n {
			return s.Bytes
		}
	}
	return 0
}

// count is how many files a generation has.
func (g *GenerationInventory) count() int {
	n := len(g.Snapshots)
	for _, files := range g.Levels {
		n += len(files)
	}
	return n
}

// bytes is the size of everything listed.
func (inv *Inventory) bytes() (n int64) {
	sum := func(all []Object) {
		for _, o := range all {
			n += o.Bytes
		}
	}
	for i := range inv.Generations {
		for _, files := range inv.Generations[i].Levels {
			sum(files)
		}
		for _, s := range inv.Generations[i].Snapshots {
			n += s.Bytes
		}
	}
	sum(inv.Segments)
	sum(inv.Blobs)
	return n
}
