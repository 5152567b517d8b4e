package store

import (
	"encoding/base64"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/souk-market/souk/internal/market"
)

// TestDiskSpaceOfARecord: a record of 1 KB costs at most 1.3 KB on disk after compaction,
// the entries of its indexes included, even when its text can't be compressed.
func TestDiskSpaceOfARecord(t *testing.T) {
	db := open(t, Options{Dir: t.TempDir()})
	const n, perTx, most = 20_000, 100, 1.3
	rng := rand.New(rand.NewPCG(1, 2))
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	stored := 0
	for i := 0; i < n; i += perTx {
		update(t, db, Op{}, func(tx *Tx) error {
			for k := i; k < i+perTx; k++ {
				a := incompressibleAgent(rng, k, at)
				v, err := encode(a)
				if err != nil {
					return err
				}
				stored += len(v)
				if err := Agents.Insert(tx, a); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := db.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	onDisk, err := db.engine.EstimateDiskUsage([]byte{spaceTenant}, []byte{spaceTenant + 1})
	if err != nil {
		t.Fatal(err)
	}
	ratio := float64(onDisk) / float64(stored)
	t.Logf("%d records of %d bytes: %d bytes each on disk, %.2f times", n, stored/n, onDisk/n, ratio)
	if size := stored / n; size < 1000 || size > 1050 {
		t.Errorf("the records have %d bytes, not about 1 KB", size)
	}
	if ratio > most {
		t.Errorf("a record costs %.2f times its size on disk, want at most %.2f", ratio, most)
	}
}

// incompressibleAgent is a listing that is in all six indexes.
func incompressibleAgent(rng *rand.Rand, n int, at time.Time) *market.Agent {
	return &market.Agent{
		ID: market.NewAgentID(at.Add(time.Duration(n) * time.Second)), Seller: "sel_01k2b3c4d5e6f7g8h9jakbmcnd", State: market.ListingPublished,
		Slug: fmt.Sprint("agent-", n), Name: randomText(rng, 18), Summary: randomText(rng, 525), Category: "tool", ExternalID: fmt.Sprint("pypi:agent-", n),
		Popularity: int64(rng.Uint32()), Created: at, Updated: at,
		Release: market.Release{File: market.File{OnDemand: true}},
	}
}

// randomText is as many random bytes, in base64.
func randomText(rng *rand.Rand, bytes int) string {
	b := make([]byte, bytes)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return base64.StdEncoding.EncodeToString(b)
}

// TestDiskSpaceOfAnEmptyDatabase: a database takes about the room of what is in it.
func TestDiskSpaceOfAnEmptyDatabase(t *testing.T) {
	dir := t.TempDir()
	db := open(t, Options{Dir: dir})
	putEvent(t, db, "a", "")
	var blocks int64
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var stat syscall.Stat_t
		if err := syscall.Stat(path, &stat); err != nil {
			return err
		}
		blocks += stat.Blocks
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, most := 512*blocks, int64(1<<20); got > most {
		t.Errorf("a database of one record takes %d bytes of the disk, want at most %d", got, most)
	}
}
