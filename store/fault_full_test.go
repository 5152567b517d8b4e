//go:build linux

package store

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/souk-market/souk/internal/market"
)

// smallDisk mounts a file system of some MB. Who may not mount tests the same on a disk
// in memory only (TestFaultEndsTheProcess).
func smallDisk(t *testing.T, mb int) (dir string) {
	t.Helper()
	dir = t.TempDir()
	err := syscall.Mount("souk-test", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", mb))
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
		t.Skipf("this user may not mount a small disk: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// ballast takes space from a disk and returns how to give it back.
func ballast(t *testing.T, dir string, mb int) (drop func()) {
	t.Helper()
	name := filepath.Join(dir, "ballast")
	if err := os.WriteFile(name, make([]byte, mb<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(name); err != nil {
			t.Error(err)
		}
	}
}

// TestFaultReallyFullDisk fills a small disk up to its last byte, past the space that is
// kept free: the process ends with a reason, and what it has acknowledged is there when
// the disk has space again.
func TestFaultReallyFullDisk(t *testing.T) {
	disk := smallDisk(t, 48)
	drop := ballast(t, disk, 38) // a restart needs space for what is in the log once more
	cmd := exec.Command(os.Args[0], "-test.run=^TestFillChild$", "-test.count=1")
	cmd.Env = append(os.Environ(), fillEnv+"="+filepath.Join(disk, "store"))
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 70 {
		t.Fatalf("the process ended with %v: %s", err, said.String())
	}
	if got := said.String(); !strings.Contains(got, "no space left on device") || !strings.Contains(got, "a restart can recover") {
		t.Errorf("the process says %q", got)
	}
	drop()
	db := openTest(t, Options{Dir: filepath.Join(disk, "store"), MinFree: 1})
	acked := 0
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); acked++ {
		err := db.View(t.Context(), tenant, func(tx *ReadTx) error { _, err := Events.Load(tx, lines.Text()); return err })
		if err != nil {
			t.Fatalf("event %s was acknowledged: %v", lines.Text(), err)
		}
	}
	t.Logf("%d commits fitted on the disk, and are there", acked)
	if acked == 0 {
		t.Error("nothing was acknowledged")
	}
	putEvent(t, db, "new", "")
}

const fillEnv = "SOUK_STORE_FILL"

// TestFillChild is the process that TestFaultReallyFullDisk starts: it writes until it dies.
func TestFillChild(t *testing.T) {
	dir := os.Getenv(fillEnv)
	if dir == "" {
		return // it runs in a process of its own, for another test
	}
	db, err := Open(Options{Dir: dir, MinFree: 1, Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))})
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	value := make([]byte, 20_000)
	for i := 0; ; i++ {
		for j := range value { // nothing that could be compressed
			value[j] = byte(rng.Uint32())
		}
		id := fmt.Sprint(i)
		_, err := db.Update(t.Context(), tenant, Op{}, func(tx *Tx) error {
			return Events.Put(tx, &market.ProviderEvent{ID: id, Quarantine: string(value)})
		})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println(id)
	}
}

// TestFaultFullDiskIsRefusedBefore: with space kept free, it doesn't come to that. Writes
// are refused in a sentence, reads go on, and writes too when there is space again.
func TestFaultFullDiskIsRefusedBefore(t *testing.T) {
	disk := smallDisk(t, 128)
	db := openTest(t, Options{Dir: filepath.Join(disk, "store"), MinFree: 64 << 20})
	putEvent(t, db, "before", "")
	drop := ballast(t, disk, 80)
	db.disk.forget()
	_, err := db.Update(t.Context(), tenant, Op{}, func(tx *Tx) error { return Events.Put(tx, &market.ProviderEvent{ID: "x"}) })
	wantSentence(t, err, market.Unavailable, "can still be read")
	if err := db.View(t.Context(), tenant, func(tx *ReadTx) error { _, err := Events.Load(tx, "before"); return err }); err != nil {
		t.Errorf("reading: %v", err)
	}
	drop()
	db.disk.forget()
	if got := putEvent(t, db, "after", ""); got != 2 {
		t.Errorf("with space again: LSN %d, want 2", got)
	}
}

// forget makes the guard ask the disk at once.
func (g *diskGuard) forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked = g.asked.Add(-diskAskedEvery)
}
