package store

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/souk-market/souk/internal/market"
)

// diskGuard refuses writes while the disk has less than floor bytes free: Pebble itself
// blocks for ever on a full disk (RELIABILITY finding 7). The disk is asked once a second.
type diskGuard struct {
	fs    vfs.FS
	dir   string
	floor uint64

	mu    sync.Mutex
	asked time.Time
	last  uint64
}

const diskAskedEvery = time.Second

// free is the number of bytes that this user may still write.
func (g *diskGuard) free() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now := time.Now(); now.Sub(g.asked) >= diskAskedEvery {
		g.asked = now
		usage, err := g.fs.GetDiskUsage(g.dir)
		if err != nil { // a file system that can't tell (memory) has no limit
			usage.AvailBytes = ^uint64(0)
		}
		g.last = usage.AvailBytes
	}
	return g.last
}

func (g *diskGuard) refuse() error {
	if free := g.free(); free < g.floor {
		return market.Errorf(market.Unavailable, "Nothing new can be stored at the moment, while everything can still be read. Please try again later.").
			Because(fmt.Errorf("the disk is nearly full: %d MB are left and %d MB are kept free; free some space to sell again", free>>20, g.floor>>20))
	}
	return nil
}

// openingRoom is free disk that opening a database needs besides what it flushes: for a
// MANIFEST, a log and their directory.
const openingRoom = 4 << 20

// roomToOpen refuses a directory whose disk has no room for what opening it writes: the
// commits that are only in its log become a table first. Pebble would try that again and
// again, and never say so. The two newest logs hold all such commits but in a burst.
func roomToOpen(fs vfs.FS, dir string) error {
	names, err := fs.List(dir)
	if err != nil {
		return openError(dir, err)
	}
	var logs []string
	for _, name := range names {
		if strings.HasSuffix(name, ".log") {
			logs = append(logs, name)
		}
	}
	slices.SortFunc(logs, func(a, b string) int { return cmp.Or(len(a)-len(b), strings.Compare(a, b)) }) // by number
	need := uint64(openingRoom)
	for _, name := range logs[max(0, len(logs)-2):] {
		if info, err := fs.Stat(fs.PathJoin(dir, name)); err == nil {
			need += uint64(info.Size())
		}
	}
	usage, err := fs.GetDiskUsage(dir)
	if err != nil || usage.AvailBytes >= need { // a file system that can't tell (memory) has no limit
		return nil
	}
	return market.Errorf(market.Unavailable, "The disk of %s is nearly full: %d MB are free, and opening the database needs up to %d MB. "+
		"Free some space and start again; nothing is lost.", dir, usage.AvailBytes>>20, (need+1<<20-1)>>20)
}

// damage notes files that were found damaged. Pebble would end the process, each time
// anew as long as somebody asks for what is in the file; here the reads of it fail, the
// rest is served, and Check says what is affected.
type damage struct {
	log *slog.Logger

	mu    sync.Mutex
	files map[string]bool
}

func (d *damage) noticed(info pebble.DataCorruptionInfo) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.files[info.Path] {
		return
	}
	if d.files == nil {
		d.files = map[string]bool{}
	}
	d.files[info.Path] = true
	d.log.Error("a file of the database is damaged: what is in it can't be read; run souk check, and restore from the replica",
		"file", info.Path, "err", info.Details)
}

func (d *damage) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.files)
}

// engineLogger sends Pebble's messages to slog. Pebble expects Fatalf not to return.
type engineLogger struct {
	log   *slog.Logger
	fatal func(error)
}

func (l engineLogger) Infof(format string, args ...any) {
	l.log.Debug("pebble: " + fmt.Sprintf(format, args...))
}

func (l engineLogger) Errorf(format string, args ...any) {
	l.log.Error("pebble: " + fmt.Sprintf(format, args...))
}

func (l engineLogger) Fatalf(format string, args ...any) {
	err := fmt.Errorf("store: "+format, args...)
	l.fatal(err)
	panic(err)
}
