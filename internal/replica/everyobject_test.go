package replica

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/souk-market/souk/store"
)

var everyHarm = flag.Bool("every-harm", false, "TestEveryObject does each harm to each object, instead of one")

// harms are what can become of an object.
var harms = map[string]func(path string) error{
	"removed":            os.Remove,
	"emptied":            func(path string) error { return os.Truncate(path, 0) },
	"cut":                func(path string) error { return cutIn(path, 2) },
	"a header flipped":   flipByte(20),
	"a byte flipped":     func(path string) error { return flipIn(path, 2) },
	"the end flipped":    flipByte(-5),
	"something appended": func(path string) error { return appendTo(path, "something") },
}

func sizeAt(path string) (int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// cutIn cuts a file to a part of its length.
func cutIn(path string, parts int64) error {
	size, err := sizeAt(path)
	if err != nil {
		return err
	}
	return os.Truncate(path, size/parts)
}

// flipIn flips a byte at a part of a file's length.
func flipIn(path string, parts int64) error {
	size, err := sizeAt(path)
	if err != nil {
		return err
	}
	return flipByte(int(size / parts))(path)
}

func appendTo(path, s string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(s)
	return errors.Join(err, f.Close())
}

// TestEveryObject harms each object of a replica of two generations, with merged files,
// snapshots and blobs, in each way: a restore gives what was committed, or an error that
// names an object and leaves nothing; it never gives anything else.
func TestEveryObject(t *testing.T) {
	if testing.Short() {
		t.Skip("it restores a hundred times")
	}
	for name, key := range map[string]*Key{"plain": nil, "encrypted": NewRecoveryKey()} {
		t.Run(name, func(t *testing.T) { harmEveryObject(t, key) })
	}
}

func harmEveryObject(t *testing.T, key *Key) {
	p := &place{t: t, root: t.TempDir(), key: key}
	p.url = "file://" + p.root
	p.c = p.client()
	digests := twoGenerations(t, p)
	objects := p.paths()
	restored, healed, refused, unseen := 0, 0, 0, 0
	for i, path := range objects {
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for j, what := range slices.Sorted(maps.Keys(harms)) {
			if !*everyHarm && i%len(harms) != j {
				continue
			}
			if err := harms[what](path); err != nil {
				if len(whole) < 40 {
					continue // too short for this harm
				}
				t.Fatalf("%s of %s: %v", what, path, err)
			}
			about := fmt.Sprintf("%s: %s", what, strings.TrimPrefix(path, p.root))
			dir := filepath.Join(t.TempDir(), "restored")
			rep, err := Restore(ctx, []*Client{p.client()}, dir, Target{}, RestoreOptions{})
			switch {
			case err != nil:
				refused++
				if !strings.Contains(err.Error(), filepath.Base(path)) && !strings.Contains(err.Error(), p.root) {
					t.Errorf("%s: the refusal names nothing: %v", about, err)
				}
				if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s: a refused restore left a directory", about)
				}
			default:
				restored++
				if len(rep.Healed) > 0 {
					healed++
				}
				n := openNode(t, dir)
				if n.digest() != digests[rep.LSN] {
					t.Errorf("%s: restored to commit %d, the data are not those of it", about, rep.LSN)
				}
				n.close()
			}
			if found, err := p.client().Verify(ctx, VerifyOptions{Full: true}); err == nil && len(found.Findings) == 0 {
				unseen++
				if harmless(path, what) == "" {
					t.Errorf("%s: verify finds nothing wrong", about)
				}
			}
			if err := os.WriteFile(path, whole, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("%d objects: %d restores were right, %d of them around the damage, %d were refused; verify could not know of %d", len(objects), restored, healed, refused, unseen)
	if restored == 0 || refused == 0 || *everyHarm && healed == 0 {
		t.Error("some outcome was never met")
	}
}

// harmless says why verify need not find a harm, "" when it must.
func harmless(path, what string) string {
	switch name := filepath.Base(path); {
	case name == "probe" || name == "lease.json" || name == "handover.json":
		return "nothing rests on it"
	case (strings.Contains(path, "/ltx/16/") || strings.Contains(path, "/ltx/17/")) && (what == "a header flipped" || what == "a byte flipped"):
		return "the header of a segment or blob says nothing, and the middle of a short one is in it"
	case what == "removed":
		return "an object that is gone, and that others make up for, may have been deleted by retention"
	case strings.Contains(path, "manifest.json"):
		return "it is JSON, in which not each byte counts"
	}
	return ""
}

// paths lists the replica's objects.
func (p *place) paths() (all []string) {
	p.t.Helper()
	err := filepath.WalkDir(p.root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			all = append(all, path)
		}
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return all
}

// twoGenerations fills a replica, and returns the digest of each commit that a file ends with.
func twoGenerations(t *testing.T, p *place) map[store.LSN][32]byte {
	t.Helper()
	digests := map[store.LSN][32]byte{}
	fill := func(n *node, r *Replicator) {
		for i := range 12 {
			n.sell(fmt.Sprint("a", i%5), fmt.Sprint("b", i))
			n.upload(fmt.Sprint(r.Position().Generation, " file ", i%4))
			if i%3 == 2 {
				n.remove(fmt.Sprint("b", i-1))
			}
			mustSync(t, r)
			digests[n.db.LastLSN()] = n.digest()
			if i == 4 {
				if err := r.Snapshot(ctx); err != nil {
					t.Fatal(err)
				}
			}
		}
		mergeAll(t, r)
	}
	n := openNode(t, t.TempDir())
	r := n.replicate(p.client())
	fill(n, r)
	n.close()
	n, _ = p.restore(Target{})
	r = New(n.db, n.blobs, p.client(), Options{TakeOver: true, SpoolDir: t.TempDir()})
	if err := r.Open(ctx); err != nil {
		t.Fatal(err)
	}
	fill(n, r)
	n.close()
	return digests
}
