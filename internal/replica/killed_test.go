package replica

import (
	"bufio"
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/benbjohnson/litestream"
	"github.com/superfly/ltx"

	"github.com/souk-market/souk/internal/blob"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/testenv"
	"github.com/souk-market/souk/store"
)

var replicaKills = flag.Int("replica-kills", 3, "how often TestKilled kills a replicating process")

// childEnv tells a process of this test binary what to do: "replicate" or "restore", the
// directory, the replica's URL, and when the test began in milliseconds of Unix time, each
// on a line.
const childEnv = "SOUK_TEST_CHILD"

// fast is how much faster than the machine's the clock of all children runs: a day in a
// second, so that one that lives for more sees two sweeps, which are a day apart.
const fast = 24 * 3600

// killedRetention keeps every file for a second of the machine's, a time in which one that
// is being shipped is reported, and little besides.
var killedRetention = Retention{Fine: day, Medium: day, Daily: 3, Weekly: -1, Monthly: -1, Grace: day}

// TestKilled kills a process again and again while it commits, ships, merges, takes
// snapshots and deletes what is no longer kept, and then one that restores. Each state
// that the replica can be restored to is that of its commit; what was reported to be
// shipped is there.
func TestKilled(t *testing.T) {
	for name, url := range map[string]func(t *testing.T) string{
		"file": func(t *testing.T) string { return "file://" + t.TempDir() },
		"s3":   func(t *testing.T) string { return testenv.S3(t).URL("killed") },
	} {
		t.Run(name, func(t *testing.T) {
			k := &killed{t: t, rng: rand.New(rand.NewPCG(rand.Uint64(), 0)), dir: filepath.Join(t.TempDir(), "node"), url: url(t), began: time.Now()}
			for range *replicaKills {
				k.life()
			}
			k.settle()
			k.restores()
			k.killRestore()
			t.Logf("%d commits; deleted were %d files, %d segments, %d blobs", k.shipped, k.deleted.Files, k.deleted.Segments, k.deleted.Blobs)
			if *replicaKills >= 20 && (k.deleted.Files == 0 || k.deleted.Segments == 0 || k.deleted.Blobs == 0) {
				t.Error("retention deleted nothing: it was not tested")
			}
		})
	}
}

type killed struct {
	t       *testing.T
	rng     *rand.Rand
	dir     string
	url     string
	began   time.Time
	shipped store.LSN   // the highest that a child has reported
	kept    []store.LSN // those reported since retention looked for the last time, which has deleted none of them
	deleted Collection  // in all
}

// quick is a clock that shows the machine's time at began, and runs fast from then on.
func quick(began time.Time) func(at time.Time) time.Time {
	return func(at time.Time) time.Time { return began.Add(fast * at.Sub(began)) }
}

// quickened is a bucket whose listings have the times of such a clock: S3 lists when an
// object was uploaded, by the server's.
type quickened struct {
	transport
	clock func(time.Time) time.Time
}

func (q quickened) ltx(ctx context.Context, under string) (litestream.ReplicaClient, error) {
	c, err := q.transport.ltx(ctx, under)
	return quickenedClient{c, q.clock}, err
}

type quickenedClient struct {
	litestream.ReplicaClient
	clock func(time.Time) time.Time
}

func (c quickenedClient) LTXFiles(ctx context.Context, level int, seek ltx.TXID, metadata bool) (ltx.FileIterator, error) {
	all, err := c.ReplicaClient.LTXFiles(ctx, level, seek, metadata)
	if err != nil {
		return nil, err
	}
	return quickenedFiles{all, c.clock}, nil
}

type quickenedFiles struct {
	ltx.FileIterator
	clock func(time.Time) time.Time
}

func (f quickenedFiles) Item() *ltx.FileInfo {
	info := *f.FileIterator.Item()
	info.CreatedAt = f.clock(info.CreatedAt)
	return &info
}

// start runs a child of this test.
func (k *killed) start(job, dir string) (cmd *exec.Cmd, out *bufio.Scanner) {
	k.t.Helper()
	cmd = exec.Command(os.Args[0], "-test.run", "^TestKilledChild$", "-test.v")
	cmd.Env = append(os.Environ(), childEnv+"="+strings.Join([]string{job, dir, k.url, fmt.Sprint(k.began.UnixMilli())}, "\n"))
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		k.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	return cmd, bufio.NewScanner(pipe)
}

// life starts a child that replicates, and kills it at a random moment.
func (k *killed) life() {
	cmd, out := k.start("replicate", k.dir)
	time.AfterFunc(time.Duration(200+k.rng.IntN(2500))*time.Millisecond, func() { cmd.Process.Kill() })
	for out.Scan() {
		var lsn store.LSN
		var gone Collection
		if n, _ := fmt.Sscanf(out.Text(), "shipped %d", &lsn); n == 1 {
			k.shipped = max(k.shipped, lsn)
			k.kept = append(k.kept, lsn)
			continue
		}
		if n, _ := fmt.Sscanf(out.Text(), "deleted %d %d %d", &gone.Files, &gone.Segments, &gone.Blobs); n == 3 {
			k.deleted.Files += gone.Files
			k.deleted.Segments += gone.Segments
			k.deleted.Blobs += gone.Blobs
		}
		switch {
		case out.Text() == "collecting":
			k.kept = nil
		case strings.HasPrefix(out.Text(), "failed"):
			k.t.Error(out.Text())
		}
	}
	cmd.Wait()
}

// settle ships what the last child has left.
func (k *killed) settle() {
	n := openNode(k.t, k.dir)
	defer n.close()
	r := n.replicate((&place{t: k.t, url: k.url}).client())
	if pos := mustSync(k.t, r); pos.LSN < k.shipped {
		k.t.Errorf("the replica stands at %v, and commit %d was reported to be in it", pos, k.shipped)
	}
	if k.shipped == 0 {
		k.t.Error("nothing was shipped before the kills: nothing was tested")
	}
	k.shipped = n.db.DurableLSN()
}

// restores compares restores to the end and to commits on the way with the model.
func (k *killed) restores() {
	p := &place{t: k.t, url: k.url}
	for i := range 8 {
		target := Target{}
		if i > 0 {
			target.LSN = 1 + store.LSN(k.rng.Uint64N(uint64(k.shipped)))
		}
		if i > 4 && len(k.kept) > 0 {
			target.LSN = k.kept[k.rng.IntN(len(k.kept))]
		}
		dir := filepath.Join(k.t.TempDir(), "restored")
		rep, err := Restore(ctx, []*Client{p.client()}, dir, target, RestoreOptions{})
		kept := k.keptBefore(target.LSN)
		if target.LSN > 0 && kept == 0 && market.Is(err, market.NotFound) {
			continue // that commit is no longer kept
		}
		if err != nil {
			k.t.Fatalf("restoring commit %d, where a kept file ends with %d: %v", target.LSN, kept, err)
		}
		if rep.LSN < kept {
			k.t.Errorf("restoring commit %d goes to %d, and a file ended with %d", target.LSN, rep.LSN, kept)
		}
		k.compare(dir, rep.LSN)
	}
}

// keptBefore is the last commit up to lsn with which a file ends that is surely kept, 0
// for none.
func (k *killed) keptBefore(lsn store.LSN) (last store.LSN) {
	for _, at := range k.kept {
		if at <= lsn {
			last = max(last, at)
		}
	}
	return last
}

// killRestore kills restores at random moments, and lets the last one end.
func (k *killed) killRestore() {
	dir := filepath.Join(k.t.TempDir(), "killed", "restored")
	for range 3 {
		cmd, _ := k.start("restore", dir)
		time.AfterFunc(time.Duration(20+k.rng.IntN(400))*time.Millisecond, func() { cmd.Process.Kill() })
		cmd.Wait()
		if _, err := os.Stat(dir); err == nil {
			k.t.Log("a restore ended before it was killed")
			break
		}
	}
	if _, err := os.Stat(dir); err != nil {
		rep, err := Restore(ctx, []*Client{(&place{t: k.t, url: k.url}).client()}, dir, Target{}, RestoreOptions{})
		if err != nil {
			k.t.Fatalf("restoring after kills: %v", err)
		}
		if rep.LSN != k.shipped {
			k.t.Errorf("restored commit %d, want %d", rep.LSN, k.shipped)
		}
	}
	k.compare(dir, k.shipped)
}

// compare compares a restored directory with what the commits up to lsn amount to.
func (k *killed) compare(dir string, lsn store.LSN) {
	k.t.Helper()
	want := map[market.SellerID]string{}
	for i := store.LSN(1); i <= lsn; i++ {
		switch id, name := commitOf(i); {
		case name != "":
			want[id] = name
		case want[id] != "":
			delete(want, id)
		default: // a commit writes something
			want["sel_none"] = "none"
		}
	}
	n := openNode(k.t, dir)
	defer n.close()
	seen := 0
	err := n.db.View(ctx, market.MainTenant, func(tx *store.ReadTx) error {
		for s, err := range store.Sellers.All(tx, "") {
			if err != nil {
				return err
			}
			if seen++; want[s.ID] != s.Name {
				k.t.Errorf("restored to commit %d, %s is %.20q, want %.20q", lsn, s.ID, s.Name, want[s.ID])
			}
		}
		return nil
	})
	if err != nil || seen != len(want) {
		k.t.Errorf("restored to commit %d: %d sellers, want %d (%v)", lsn, seen, len(want), err)
	}
}

// commitOf is what commit lsn does: it gives a seller a name, or deletes it for "". Each
// 19th uploads a file besides, and forgets one.
func commitOf(lsn store.LSN) (id market.SellerID, name string) {
	id = market.SellerID(fmt.Sprint("sel_", lsn%211))
	if lsn%7 == 0 {
		return id, ""
	}
	return id, fmt.Sprintf("%d %s", lsn, strings.Repeat("x", int(lsn%977)))
}

// TestKilledChild is the process that is killed; by itself it does nothing.
func TestKilledChild(t *testing.T) {
	job := strings.Split(os.Getenv(childEnv), "\n")
	if len(job) != 4 {
		t.Skip("it is a part of TestKilled")
	}
	c, err := OpenClient(job[2], ClientOptions{})
	if err == nil {
		if job[0] == "restore" {
			_, err = Restore(ctx, []*Client{c}, job[1], Target{}, RestoreOptions{})
		} else {
			began, _ := strconv.ParseInt(job[3], 10, 64)
			err = replicateForever(openNode(t, job[1]), c, t.TempDir(), quick(time.UnixMilli(began)))
		}
	}
	if err != nil {
		fmt.Printf("failed: %v\n", err) // to its parent
	}
}

// replicateForever commits and replicates until it is killed.
func replicateForever(n *node, c *Client, spool string, clock func(time.Time) time.Time) error {
	if _, dir := c.at.(*dirTransport); !dir {
		c.at = quickened{c.at, clock}
	}
	r := New(n.db, n.blobs, c, Options{
		Interval: 30 * time.Millisecond, SnapshotEvery: 8 * time.Hour, Retention: killedRetention,
		SpoolDir: spool, Clock: func() time.Time { return clock(time.Now()) },
	})
	if err := r.Open(ctx); err != nil {
		return err
	}
	go func() {
		for r.Shipped(ctx, r.Position().LSN+1) == nil { // whenever there is a new file
			fmt.Println("collecting")
			done, err := r.Collect(ctx)
			if err != nil {
				fmt.Printf("failed: collecting: %v\n", err)
				return
			}
			fmt.Printf("deleted %d %d %d\n", done.Files, done.Segments, done.Blobs)
		}
	}()
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	go func() {
		for at := store.LSN(0); ; {
			if r.Shipped(ctx, at+1) != nil {
				return
			}
			at = r.Position().LSN
			fmt.Printf("shipped %d\n", at)
		}
	}()
	for {
		select {
		case err := <-ended:
			return err
		default:
		}
		if err := n.commitNext(); err != nil {
			return err
		}
	}
}

// commitNext makes the commit that follows the last one.
func (n *node) commitNext() error {
	lsn := n.db.LastLSN() + 1
	id, name := commitOf(lsn)
	file := func(lsn store.LSN) string { return fmt.Sprintf("file of commit %d", lsn) }
	var ref blob.Ref
	if lsn%19 == 0 {
		var err error
		if ref, err = n.blobs.Put(ctx, strings.NewReader(file(lsn)), 1<<20); err != nil {
			return err
		}
	}
	_, err := n.db.Update(context.Background(), market.MainTenant, store.Op{}, func(tx *store.Tx) error {
		if ref.Size > 0 {
			if err := store.Blobs.Put(tx, &market.Blob{SHA256: ref.Sum.String(), Size: ref.Size}); err != nil {
				return err
			}
			if lsn > 10*19 {
				old := fmt.Sprintf("%x", sha256.Sum256([]byte(file(lsn-10*19))))
				if err := store.Blobs.Delete(tx, old); err != nil {
					return err
				}
			}
		}
		if name != "" {
			return store.Sellers.Put(tx, &market.Seller{ID: id, Slug: string(id), Name: name})
		}
		if _, err := store.Sellers.Load(tx, id); market.Is(err, market.NotFound) {
			return store.Sellers.Put(tx, &market.Seller{ID: "sel_none", Slug: "none", Name: "none"})
		}
		return store.Sellers.Delete(tx, id)
	})
	return err
}
