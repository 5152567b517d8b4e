package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/souk-market/souk/internal/market"
)

// KeepLog makes CutLog leave n entries of the change log instead of logKept.
func KeepLog(n LSN, o Options) Options {
	o.logKept = n
	return o
}

func TestFaultReadOnlyDirectory(t *testing.T) {
	// The parents of a test's directory are for its user alone; the child is another's.
	dir := t.TempDir()
	for p := dir; strings.Contains(p, t.Name()); p = filepath.Dir(p) {
		if err := os.Chmod(p, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, sub := range []string{"", "missing"} {
		if err := os.Chmod(dir, 0o555); err != nil {
			t.Fatal(err)
		}
		if got := child(t, filepath.Join(dir, sub), true); !strings.Contains(got, "unavailable: The data directory") || !strings.Contains(got, "can't be written to") {
			t.Errorf("opening %q in a read-only directory says %q", sub, got)
		}
	}
}

func TestFaultFlippedByte(t *testing.T) {
	dir := t.TempDir()
	db := open(t, Options{Dir: dir})
	insertMany(t, db, 40) // few: Pebble tries all bits of a block that might have flipped
	if err := db.engine.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	flip(t, dir, "*.sst", 50)
	var logged bytes.Buffer
	db = open(t, Options{Dir: dir, Logger: slog.New(slog.NewTextHandler(&logged, nil))})
	wantReadOrDamaged(t, db, 40)
	if !strings.Contains(logged.String(), ".sst") || !strings.Contains(logged.String(), "souk check") {
		t.Errorf("the operator isn't told which file is damaged: %q", logged.String())
	}
	err := db.View(t.Context(), tenant, func(tx *ReadTx) error {
		for _, err := range PopularAgents.Scan(tx, All{}, "") {
			if err != nil {
				return err
			}
		}
		return nil
	})
	if !pebble.IsCorruptionError(err) || !market.Is(err, market.Internal) {
		t.Errorf("reading a flipped byte: %v, want a corruption", err)
	}
	rep, err := db.Check(t.Context(), CheckOptions{})
	if err != nil || rep.OK() {
		t.Errorf("checking a flipped byte: %v, %v", rep.Problems, err)
	}
	if !strings.Contains(strings.Join(rep.Problems, "\n"), "can't be read") {
		t.Errorf("the report doesn't say that something can't be read: %q", rep.Problems)
	}
	if got := db.Stats().DamagedFiles; got != 1 {
		t.Errorf("the figures count %d damaged files, want 1", got)
	}
	putEvent(t, db, "new", "") // the rest goes on
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	flip(t, dir, "*.sst", 1) // and where the store's own records are
	_, err = Open(Options{Dir: dir})
	wantSentence(t, err, market.Internal, "damaged", dir, "souk restore")
}

// wantReadOrDamaged loads every agent of insertMany: it is there, or it can't be read, and
// never is there "no such agent".
func wantReadOrDamaged(t *testing.T, db *DB, n int) {
	t.Helper()
	damaged := 0
	for i := range n {
		err := db.View(t.Context(), tenant, func(tx *ReadTx) error {
			a, err := Agents.Load(tx, market.AgentID(fmt.Sprintf("agt_%06d", i)))
			if err == nil && a.Slug != fmt.Sprint("s", i) {
				t.Errorf("agent %d came back as %+v", i, a)
			}
			return err
		})
		if pebble.IsCorruptionError(err) {
			damaged++
		} else if err != nil {
			t.Errorf("agent %d: %v", i, err)
		}
	}
	if damaged == 0 {
		t.Error("no agent is where the damage is")
	}
}

func TestFaultDamagedManifest(t *testing.T) {
	dir := t.TempDir()
	db := open(t, Options{Dir: dir})
	insertMany(t, db, 50)
	if err := db.engine.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	flip(t, dir, "MANIFEST-*", 10)
	_, err := Open(Options{Dir: dir})
	wantSentence(t, err, market.Internal, "damaged", dir, "souk restore")
}

// flip changes every 300th byte, from some percent on, of every file of a pattern.
func flip(t *testing.T, dir, pattern string, percent int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no %s: %v", pattern, err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for at := len(b) * percent / 100; at < len(b)*3/4; at += 300 {
			b[at] ^= 0x10
		}
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFaultLostMarker: a directory whose MANIFEST nothing names is refused, not taken for
// an empty one.
func TestFaultLostMarker(t *testing.T) {
	for name, flush := range map[string]bool{"with data in the log": false, "with data in tables": true} {
		t.Run(name, func(t *testing.T) {
			fs := vfs.NewMem()
			db := openTest(t, Options{Dir: "db", FS: fs})
			putEvent(t, db, "a", "")
			if flush {
				if err := db.engine.Flush(); err != nil {
					t.Fatal(err)
				}
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			names, err := fs.List("db")
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range names {
				if strings.HasPrefix(n, "marker.manifest.") {
					if err := fs.Remove(fs.PathJoin("db", n)); err != nil {
						t.Fatal(err)
					}
				}
			}
			_, err = Open(Options{Dir: "db", FS: fs})
			wantSentence(t, err, market.Internal, "is damaged", "souk restore")
		})
	}
}

// TestFaultTornLog cuts or spoils the write-ahead log anywhere in its last
// commits, as a power cut does: what is found is the history up to some commit.
func TestFaultTornLog(t *testing.T) {
	disk := newDisk(t)
	db := disk.open()
	const commits = 12
	for i := range commits {
		putEvent(t, db, fmt.Sprint(i), strings.Repeat("x", 200))
	}
	want := chains(t, db)
	name, wal := newestLog(t, disk.opts.FS)
	seen := map[LSN]bool{}
	for cut := 0; cut < 1500; cut += 37 {
		fs := vfs.NewMem()
		if _, err := vfs.Clone(disk.opts.FS, fs, "db", "db"); err != nil {
			t.Fatal(err)
		}
		writeFile(t, fs, name, wal[:len(wal)-cut])
		torn := openTest(t, Options{Dir: "db", FS: fs})
		got := torn.LastLSN()
		seen[got] = true
		if chain, err := torn.ChainAt(got); err != nil || chain != want[got] {
			t.Fatalf("cut by %d bytes: the chain at %d is %v, %v", cut, got, chain, err)
		}
		if next := putEvent(t, torn, "next", ""); next != got+1 {
			t.Errorf("cut by %d bytes: the next LSN is %d, want %d", cut, next, got+1)
		}
	}
	if !seen[commits] || len(seen) < 4 {
		t.Errorf("the cuts left only the histories up to %v", seen)
	}
}

func newestLog(t *testing.T, fs vfs.FS) (name string, content []byte) {
	t.Helper()
	names, err := fs.List("db")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if strings.HasSuffix(n, ".log") && n > filepath.Base(name) {
			name = fs.PathJoin("db", n)
		}
	}
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if content, err = io.ReadAll(f); err != nil {
		t.Fatal(err)
	}
	return name, bytes.TrimRight(content, "\x00") // not what was only allocated
}

func writeFile(t *testing.T, fs vfs.FS, name string, content []byte) {
	t.Helper()
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}
