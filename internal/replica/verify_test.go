package replica

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/souk-market/souk/store"
)

// twoDays is a replica with changes, merged files, snapshots and blobs.
func twoDays(t *testing.T, key *Key) *place {
	p := &place{t: t, root: t.TempDir()}
	p.url = "file://" + p.root
	client := func(k *Key) *Client {
		c, err := OpenClient(p.url, ClientOptions{Key: k})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	p.c = client(key)
	n := openNode(t, t.TempDir())
	now := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	r := New(n.db, n.blobs, client(key), Options{SpoolDir: t.TempDir(), Clock: func() time.Time { return now }})
	if err := r.Open(ctx); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		n.upload(fmt.Sprint("file ", i))
		n.update(store.Transaction, func(*store.Tx) error { return nil })
		mustSync(t, r)
		now = now.Add(6 * time.Hour)
		if i == 5 {
			if err := r.Snapshot(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	return p
}

func mustVerify(t *testing.T, c *Client, full bool) VerifyReport {
	t.Helper()
	rep, err := c.Verify(ctx, VerifyOptions{Full: full})
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

// TestVerifyNamesWhatIsWrong damages, empties and removes objects, one at a time.
func TestVerifyNamesWhatIsWrong(t *testing.T) {
	key := NewRecoveryKey()
	for name, key := range map[string]*Key{"plain": nil, "encrypted": key} {
		t.Run(name, func(t *testing.T) {
			p := twoDays(t, key)
			if rep := mustVerify(t, p.c, true); len(rep.Findings)+len(rep.Unchecked) > 0 || rep.BytesRead == 0 || rep.Files < 10 || rep.Blobs != 10 {
				t.Fatalf("a replica that is whole: %+v", rep)
			}
			inv, err := p.c.Inventory(ctx)
			if err != nil {
				t.Fatal(err)
			}
			g := inv.Generations[0]
			pathOf := func(ref fileRef) string { return p.c.at.where(p.c.at.ltxKey(ref.under(), ref.level, ref.min, ref.max)) }
			for _, tt := range []struct {
				what  string
				ref   fileRef
				quick bool // is found without reading everything
				harm  func(path string) error
				kind  string
			}{
				{"a change file is gone", changeRef(1, 8), true, os.Remove, FindingMissing},
				{"the footer of a change file is damaged", changeRef(1, 9), true, flipByte(-30), FindingDamaged},
				{"the middle of a change file is damaged", changeRef(1, 9), key != nil, // small files are sealed as a whole
					flipByte(200), FindingDamaged},
				{"a snapshot is damaged", g.ref(levelSnapshot, g.Snapshots[0].Object), true, flipByte(-30), FindingDamaged},
				{"a segment is gone", contentRef(levelSegments, inv.Segments[0]), true, os.Remove, FindingMissing},
				{"a segment is damaged", contentRef(levelSegments, inv.Segments[0]), false, flipByte(-20), FindingDamaged},
				{"a blob is gone", contentRef(levelBlobs, inv.Blobs[3]), true, os.Remove, FindingMissing},
				{"a blob is damaged", contentRef(levelBlobs, inv.Blobs[3]), false, flipByte(-2), FindingDamaged},
			} {
				path := pathOf(tt.ref)
				whole, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if err := tt.harm(path); err != nil {
					t.Fatal(err)
				}
				for _, full := range []bool{false, true} {
					rep := mustVerify(t, p.c, full)
					found := ""
					for _, f := range rep.Findings {
						if f.Kind == tt.kind && f.Name == path {
							found = f.Detail
						}
					}
					if want := full || tt.quick; (found != "") != want {
						t.Errorf("%s: looking at everything %t: found %t, want %t; findings %+v", tt.what, full, found != "", want, rep.Findings)
					}
				}
				if err := os.WriteFile(path, whole, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// flipByte changes a byte, counted from the end when at is negative.
func flipByte(at int) func(path string) error {
	return func(path string) error {
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		i := at
		if at < 0 {
			i += len(b)
		}
		b[i] ^= 0x40
		return os.WriteFile(path, b, 0o600)
	}
}

func TestVerifyWithoutTheReadingKey(t *testing.T) {
	key := NewRecoveryKey()
	p := twoDays(t, key)
	server, err := ParseKey(key.ServerKey())
	if err != nil {
		t.Fatal(err)
	}
	c, err := OpenClient(p.url, ClientOptions{Key: server})
	if err != nil {
		t.Fatal(err)
	}
	rep := mustVerify(t, c, true)
	if len(rep.Findings) > 0 || len(rep.Unchecked) != 2 || !strings.Contains(rep.Unchecked[1], "recovery key") {
		t.Errorf("with the server key: %+v, want it to say what it can't read", rep)
	}
	if err := os.Remove(p.file(1, levelChanges, 8, 8)); err != nil {
		t.Fatal(err)
	}
	if rep := mustVerify(t, c, false); len(rep.Findings) != 1 || rep.Findings[0].Kind != FindingMissing {
		t.Errorf("with a file missing, by the server key: %+v", rep.Findings)
	}
}
