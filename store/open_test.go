package store

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/souk-market/souk/internal/market"
)

// wantSentence fails the test unless err is for a person: of a kind, and with these words.
func wantSentence(t *testing.T, err error, kind market.Kind, words ...string) {
	t.Helper()
	if !market.Is(err, kind) {
		t.Fatalf("the error is %v (%v), want one that is %v", err, market.KindOf(err), kind)
	}
	for _, w := range words {
		if !strings.Contains(market.Message(err), w) {
			t.Errorf("the message is %q; it doesn't say %q", market.Message(err), w)
		}
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	disk := newDisk(t)
	db := disk.open()
	rawSet(t, db, keySchema, versionBytes(standbyVersion+1))
	disk.close(db)
	_, err := Open(disk.opts)
	wantSentence(t, err, market.Conflict, "db", "schema version 4", "knows version 3", "newer souk")
}

func TestDamagedSchemaIsRefused(t *testing.T) {
	disk := newDisk(t)
	db := disk.open()
	rawSet(t, db, keySchema, []byte{1})
	disk.close(db)
	if _, err := Open(disk.opts); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a schema version of one byte: %v", err)
	}
}

func TestDirectoryInUse(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	open(t, Options{Dir: dir})
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Dir(dir))
	for name, spelling := range map[string]string{
		"same": dir, "relative": "store", "dots": dir + "/../store/.", "symlink": link,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Open(Options{Dir: spelling})
			wantSentence(t, err, market.Conflict, dir, "in use by another souk process")
			_, err = NewRestore(spelling)
			wantSentence(t, err, market.Conflict, dir, "in use by another souk process")
		})
	}
	t.Run("another process", func(t *testing.T) {
		if got := child(t, dir, false); !strings.Contains(got, "conflict: The data directory "+dir+" is in use by another souk process. Stop that one first.") {
			t.Errorf("the other process says %q", got)
		}
	})
}

const childEnv = "SOUK_STORE_CHILD"

// child opens a directory in a process of its own and returns what that says. unroot:
// it gives up root's rights first.
func child(t *testing.T, dir string, unroot bool) string {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestChild$", "-test.count=1")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%t %s", childEnv, unroot, dir))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// TestChild is the process that child starts.
func TestChild(t *testing.T) {
	unroot, dir, ok := strings.Cut(os.Getenv(childEnv), " ")
	if !ok {
		return // it runs in a process of its own, for other tests
	}
	if unroot == "true" && os.Geteuid() == 0 {
		if err := syscall.Setuid(65534); err != nil {
			t.Fatal(err)
		}
	}
	db, err := Open(Options{Dir: dir})
	if err != nil {
		fmt.Printf("%v: %s\n", market.KindOf(err), market.Message(err))
		return
	}
	fmt.Println("opened")
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

func TestTransactionMayRunForTwoSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := openTest(t, Options{})
		for spent, ok := range map[time.Duration]bool{MaxTime: true, MaxTime + time.Nanosecond: false} {
			_, err := db.Update(t.Context(), tenant, Op{ID: spent.String()}, func(tx *Tx) error {
				time.Sleep(spent)
				return Events.Put(tx, &market.ProviderEvent{ID: spent.String()})
			})
			if ok && err != nil || !ok && !errors.Is(err, ErrTimeLimit) {
				t.Errorf("after %v: %v", spent, err)
			}
		}
		if got := db.LastLSN(); got != 1 {
			t.Errorf("LSN %d, want 1", got)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestUpdateInsideUpdateIsRefused: it would wait for itself for ever.
func TestUpdateInsideUpdateIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := openTest(t, Options{})
		for name, inside := range map[string]func() error{
			"update": func() error {
				_, err := db.Update(t.Context(), tenant, Op{}, func(*Tx) error { return nil })
				return err
			},
			"snapshot": func() error { _, err := db.Snapshot(t.Context()); return err },
		} {
			_, err := db.Update(t.Context(), tenant, Op{ID: name}, func(*Tx) error { return inside() })
			wantSentence(t, err, market.Unavailable, "busy")
			if !strings.Contains(err.Error(), "an Update inside of it") {
				t.Errorf("%s: %v doesn't give the reason", name, err)
			}
		}
		// One who swallows it has been too slow.
		_, err := db.Update(t.Context(), tenant, Op{}, func(tx *Tx) error {
			db.Update(t.Context(), tenant, Op{}, func(*Tx) error { return nil })
			return Events.Put(tx, &market.ProviderEvent{ID: "x"})
		})
		if !errors.Is(err, ErrTimeLimit) {
			t.Errorf("swallowed: %v", err)
		}
		if got := db.LastLSN(); got != 0 {
			t.Errorf("LSN %d, want 0", got)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestManyWritersWaitTheirTurn: a long queue is no standstill.
func TestManyWritersWaitTheirTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := openTest(t, Options{})
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				_, err := db.Update(t.Context(), tenant, Op{}, func(*Tx) error { time.Sleep(time.Second); return nil })
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait() // 20 seconds, of which the last waits 19
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
}
