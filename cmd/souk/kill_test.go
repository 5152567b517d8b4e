//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

var kills = flag.Int("kills", 5, "how often TestKill kills a marketplace")

// TestKill kills the real binary again and again, at work and while it starts, while
// buyers check out. What a buyer has seen confirmed is there from then on, once and
// whole; who got no answer asks again, and has bought once too; LSNs never go back.
func TestKill(t *testing.T) {
	k := newKiller(t, binary(t))
	for n := range *kills {
		k.life(n%4 == 3)
	}
	k.reckon()
	t.Log(k)
	for _, l := range k.lost {
		t.Error(l)
	}
	if out := mustSouk(t, "check", "--data", k.data, "--full"); !strings.Contains(out, "everything is in order") {
		t.Errorf("check says: %s", out)
	}
	if k.amid == 0 || k.verified == 0 || k.durable.Load() == 0 || *kills > 3 && k.starting == 0 {
		t.Error("nothing was compared")
	}
}

// TestKillFindsAMissingSync is the test of that test: a binary that acknowledges what it
// hasn't written yet loses some of it.
func TestKillFindsAMissingSync(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "souk")
	if out, err := exec.Command("go", "build", "-tags", "souk_nosync", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("building souk without syncing: %v\n%s", err, out)
	}
	k := newKiller(t, bin)
	for range 6 {
		if k.life(false); len(k.lost) > 0 {
			break
		}
	}
	k.reckon()
	t.Logf("%d losses found: %s", len(k.lost), k)
	if len(k.lost) == 0 {
		t.Errorf("no loss found without syncing: the test of kills is blind; %s", k)
	}
}

// killer kills a marketplace and remembers what it has confirmed.
type killer struct {
	t    *testing.T
	bin  string
	data string
	rng  *rand.Rand
	free string // ID of an agent that costs nothing

	buyers  atomic.Int64  // made so far
	durable atomic.Uint64 // the highest LSN that was called durable

	mu       sync.Mutex
	receipts map[int64]string // confirmed, by the buyer's number
	fresh    []int64          // those of them that no later process was asked for
	waiting  []*killedBuyer   // who has sent an order and got no answer

	starting, amid, verified, again int // kills while starting, kills at work, receipts read again, orders sent again
	lost                            []string
}

func (k *killer) String() string {
	return fmt.Sprintf("%d kills at work and %d while starting; %d buyers, %d confirmed, %d orders sent again; %d receipts read again; durable up to LSN %d",
		k.amid, k.starting, k.buyers.Load(), len(k.receipts), k.again, k.verified, k.durable.Load())
}

func newKiller(t *testing.T, bin string) *killer {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	dir := t.TempDir()
	k := &killer{t: t, bin: bin, data: filepath.Join(dir, "data"), rng: rand.New(rand.NewPCG(seed, 0)), receipts: map[int64]string{}}
	listings := filepath.Join(dir, "agents.tsv")
	rows := bytes.SplitAfterN(sampleListings, []byte("\n"), 52)
	if err := os.WriteFile(listings, bytes.Join(rows[:51], nil), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(bin, "import", listings, "--data", k.data).CombinedOutput(); err != nil {
		t.Fatalf("import: %v\n%s", err, out)
	}
	k.withStore(func(tx *store.ReadTx) error {
		for a, err := range store.Agents.All(tx, "") {
			if err != nil {
				return err
			}
			if a.Offer.Price.IsZero() && a.Visible() {
				k.free = string(a.ID)
			}
		}
		return nil
	})
	if k.free == "" {
		t.Fatal("no sample costs nothing")
	}
	return k
}

// withStore reads the directory of a marketplace that doesn't run.
func (k *killer) withStore(fn func(tx *store.ReadTx) error) {
	k.t.Helper()
	db, err := store.Open(store.Options{Dir: filepath.Join(k.data, "store")})
	if err != nil {
		k.t.Fatal(err)
	}
	if err := errors.Join(db.View(context.Background(), market.MainTenant, fn), db.Close()); err != nil {
		k.t.Fatal(err)
	}
}

// victim is a marketplace that will be killed.
type victim struct {
	cmd  *exec.Cmd
	open chan string // its address
	log  strings.Builder
	done sync.WaitGroup // for its standard error
}

func (k *killer) start() *victim {
	k.t.Helper()
	v := &victim{cmd: exec.Command(k.bin, "serve", "--data", k.data, "--addr", "127.0.0.1:0"), open: make(chan string, 1)}
	v.cmd.Env = append(os.Environ(), "SOUK_LOG_FORMAT=text")
	stderr, err := v.cmd.StderrPipe()
	if err != nil {
		k.t.Fatal(err)
	}
	if err := v.cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	v.done.Go(func() {
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			fmt.Fprintln(&v.log, lines.Text())
			if m := openAt.FindStringSubmatch(lines.Text()); m != nil {
				v.open <- m[1]
			}
		}
		io.Copy(io.Discard, stderr)
		close(v.open)
	})
	return v
}

// kill ends the process at once. One that has ended by itself is a failure.
func (k *killer) kill(v *victim) {
	k.t.Helper()
	v.cmd.Process.Kill()
	v.done.Wait()
	if err := v.cmd.Wait(); err == nil || err.Error() != "signal: killed" {
		k.t.Fatalf("souk ended by itself: %v\n%s", err, v.log.String())
	}
}

// life starts the marketplace, looks at what the last one has confirmed, has buyers
// check out, and kills it: soon after the start, or after up to half a second of work.
func (k *killer) life(early bool) {
	k.t.Helper()
	v := k.start()
	if early {
		k.starting++
		soon, cancel := context.WithTimeout(context.Background(), time.Duration(k.rng.IntN(300))*time.Millisecond)
		defer cancel()
		<-soon.Done()
		k.kill(v)
		return
	}
	k.amid++
	base := k.opened(v)
	k.verify(base)
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(20+k.rng.IntN(500))*time.Millisecond)
	defer cancel()
	var wg sync.WaitGroup
	waiting := k.waiting
	k.waiting = nil
	for i := range 8 {
		wg.Go(func() {
			for n := i; n < len(waiting); n += 8 {
				k.sendAgain(ctx, base, waiting[n])
			}
			for ctx.Err() == nil {
				k.buy(ctx, base)
			}
		})
	}
	wg.Go(func() { k.watch(ctx, base) })
	<-ctx.Done()
	k.kill(v)
	wg.Wait()
}

// watch notes which commits are called durable.
func (k *killer) watch(ctx context.Context, base string) {
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for ctx.Err() == nil {
		_, page, err := fetch(http.Get(base + "/metrics"))
		if err != nil {
			k.unanswered(ctx, err)
			return
		}
		k.durable.Store(max(k.durable.Load(), lsnOf(page, "durable")))
		<-again.C
	}
}

// lsnOf reads an LSN from /metrics, 0 when it isn't there.
func lsnOf(metrics, state string) (n uint64) {
	_, rest, _ := strings.Cut(metrics, fmt.Sprintf("souk_store_lsn{state=%q} ", state))
	fmt.Sscan(rest, &n)
	return n
}

// opened waits until the marketplace answers, and returns its address.
func (k *killer) opened(v *victim) string {
	k.t.Helper()
	select {
	case base, ok := <-v.open:
		if !ok {
			k.t.Fatalf("souk ended while it started\n%s", v.log.String())
		}
		return base
	case <-time.After(time.Minute):
		k.kill(v)
		k.t.Fatalf("souk isn't open after a minute\n%s", v.log.String())
	}
	return ""
}

// verify compares a process that has just started with what was confirmed before.
func (k *killer) verify(base string) {
	k.t.Helper()
	v := visit(k.t, base)
	if committed, durable := lsnOf(string(v.open("/metrics").body), "committed"), k.durable.Load(); committed < durable {
		k.lost = append(k.lost, fmt.Sprintf("commit %d was durable, and the last one is %d now", durable, committed))
	}
	for _, n := range k.fresh {
		k.verified++
		if p := v.open("/o/" + k.receipts[n]); p.status != 200 || len(p.downloads()) != 1 {
			k.lost = append(k.lost, fmt.Sprintf("the receipt of buyer %d was confirmed, and now has status %d and %d files", n, p.status, len(p.downloads())))
		}
	}
	k.fresh = nil
}

// reckon asks a last process for everything, kills it too, and reads the directory.
func (k *killer) reckon() {
	k.t.Helper()
	v := k.start()
	base := k.opened(v)
	k.verify(base)
	for _, b := range k.waiting {
		k.sendAgain(context.Background(), base, b)
	}
	k.kill(v)
	bought := map[string][]market.Checkout{}
	k.withStore(func(tx *store.ReadTx) error {
		for c, err := range store.Checkouts.All(tx, "") {
			if err != nil {
				return err
			}
			bought[c.Email] = append(bought[c.Email], c)
		}
		return nil
	})
	for n := range k.buyers.Load() {
		email := killedEmail(n)
		receipt, confirmed := k.receipts[n]
		got := bought[email]
		delete(bought, email)
		if len(got) > 1 || confirmed && len(got) == 0 {
			k.lost = append(k.lost, fmt.Sprintf("buyer %d (confirmed: %t) has %d purchases", n, confirmed, len(got)))
		} else if confirmed && (got[0].Receipt != receipt || got[0].State != market.CheckoutCompleted || len(got[0].Orders) != 1) {
			k.lost = append(k.lost, fmt.Sprintf("buyer %d was shown receipt %s and has %+v", n, receipt, got[0]))
		}
	}
	for email := range bought {
		k.lost = append(k.lost, email+" has bought, who was never made")
	}
	slices.Sort(k.lost)
}
