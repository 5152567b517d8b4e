package blob

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestKilledProcess kills a process that puts, names and collects as fast as it can, and
// starts it again: everything that was named is there whole, and nothing is half there.
func TestKilledProcess(t *testing.T) {
	if dir := os.Getenv("SOUK_BLOB_VICTIM"); dir != "" {
		if err := victim(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	dir := t.TempDir()
	puts, removed, named := 0, 0, 0
	for range 8 {
		p, r := runVictim(t, dir, 40+rand.IntN(80))
		puts, removed = puts+p, removed+r
		s := open(t, filepath.Join(dir, "blobs"))
		names, err := readNames(dir)
		if err != nil {
			t.Fatal(err)
		}
		named = len(names)
		for sum := range names {
			if err := s.Verify(context.Background(), sum); err != nil {
				t.Errorf("named, but: %v", err)
			}
		}
		checkWhole(t, s)
	}
	t.Logf("%d puts, %d blobs named, %d removed", puts, named, removed)
	if named < 20 || removed < 20 {
		t.Errorf("%d blobs were named and %d removed: too few to show anything", named, removed)
	}
}

// runVictim kills the process after it has said that it put n blobs, and returns how
// many it put and removed.
func runVictim(t *testing.T, dir string, n int) (puts, removed int) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilledProcess$")
	cmd.Env = append(os.Environ(), "SOUK_BLOB_VICTIM="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for puts < n && lines.Scan() {
		if count, ok := strings.CutPrefix(lines.Text(), "removed "); ok {
			more, err := strconv.Atoi(count)
			if err != nil {
				t.Error(err)
			}
			removed += more
			continue
		}
		puts++
	}
	cmd.Process.Kill()
	cmd.Wait()
	if puts < n {
		t.Fatalf("the process ended by itself after %d puts", puts)
	}
	return puts, removed
}

const namesFile = "names"

// readNames reads the names that were written whole.
func readNames(dir string) (map[Sum]bool, error) {
	text, err := os.ReadFile(filepath.Join(dir, namesFile))
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	named := map[Sum]bool{}
	for line := range strings.Lines(string(text)) {
		if sum, err := ParseSum(strings.TrimSuffix(line, "\n")); err == nil && strings.HasSuffix(line, "\n") {
			named[sum] = true
		}
	}
	return named, nil
}

// victim puts blobs of a few hundred contents, so that most are there already, and names
// one in ten by a line in a file, while it collects all the time. A day passes whenever
// nobody is between putting and naming, which is all that Collect asks of its users.
func victim(dir string) error {
	s, err := Open(filepath.Join(dir, "blobs"))
	if err != nil {
		return err
	}
	records, err := os.OpenFile(filepath.Join(dir, namesFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	set, err := readNames(dir)
	if err != nil {
		return err
	}
	named := &names{set: set}
	var days atomic.Int64
	start := time.Now()
	s.clock = func() time.Time { return start.Add(time.Duration(days.Load()) * Young) }
	var naming sync.RWMutex
	failed := make(chan error)
	for range 3 {
		go func() {
			for {
				naming.RLock()
				err := putAndName(s, named, records)
				naming.RUnlock()
				if err != nil {
					failed <- err
				}
			}
		}()
	}
	go func() {
		for {
			naming.Lock()
			now := time.Now().Add(2 * Young)
			days.Add(1)
			naming.Unlock()
			c, err := s.Collect(context.Background(), now, named.has)
			if err != nil {
				failed <- err
			}
			fmt.Println("removed", c.Removed)
		}
	}()
	return <-failed
}

func putAndName(s *Store, named *names, records *os.File) error {
	n := rand.IntN(300)
	ref, err := s.Put(context.Background(), strings.NewReader(strings.Repeat(fmt.Sprint(n, " "), 3000)), 1<<20)
	if err != nil {
		return err
	}
	if rand.IntN(10) == 0 {
		if _, err := records.WriteString(ref.Sum.String() + "\n"); err != nil {
			return err
		}
		named.add(ref.Sum)
	}
	fmt.Println("put")
	return nil
}
