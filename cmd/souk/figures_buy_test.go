//go:build linux

package main

import (
	"context"
	big "encoding/binary"
	"errors"
	"fmt"
	"html"
	"io"
	"io/fs"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// buyers is how many people buy at the same time.
const buyers = 16

// sale is a purchase that its buyer has seen confirmed.
type sale struct {
	receipt string
	at      time.Time // when the receipt page said paid
	took    time.Duration
}

// purchases has buyers fill a cart, check out, pay on the bank's page and open the receipt
// until it says paid, while everything is replicated; then it kills the server amid
// purchases, and reads how long each commit waited for the replica.
func (f *figures) purchases() {
	f.waitShipped()
	transport := &http.Transport{MaxIdleConnsPerHost: buyers}
	defer transport.CloseIdleConnections()
	ctx, failed := context.WithCancelCause(context.Background())
	defer failed(nil)
	ctx, stop := context.WithTimeout(ctx, purchaseTime)
	defer stop()
	var mu sync.Mutex
	var wg sync.WaitGroup
	before, started := f.server.cpu(f.b), time.Now()
	for i := range buyers {
		wg.Go(func() {
			for n := i; ctx.Err() == nil; n += buyers {
				s, err := purchase(transport, f.server.url, f.paid[n%len(f.paid)])
				if err != nil {
					failed(err) // after the kill it comes too late to count
					continue
				}
				mu.Lock()
				f.sold = append(f.sold, s)
				mu.Unlock()
			}
		})
	}
	<-ctx.Done()
	cpu, spent := f.server.cpu(f.b)-before, time.Since(started)
	f.killed = time.Now()
	f.server.kill()
	wg.Wait()
	if why := context.Cause(ctx); !errors.Is(why, context.DeadlineExceeded) {
		f.b.Fatal(why)
	}
	var took []time.Duration
	for _, s := range f.sold {
		took = append(took, s.took)
	}
	f.add("purchases/s", float64(len(f.sold))/spent.Seconds())
	f.add("CPU-ms/purchase", cpu.Seconds()*1e3/float64(len(f.sold)))
	f.add("purchase-p50-ms", quantile(took, 0.50).Seconds()*1e3)
	f.add("purchase-p99-ms", quantile(took, 0.99).Seconds()*1e3)
	f.addLag(started)
}

// waitShipped waits until the replica has the imported listings.
func (f *figures) waitShipped() {
	v := visit(f.b, f.server.url)
	f.until("the replica is up to date", func() bool {
		return strings.Contains(string(v.open("/metrics").body), `souk_replica_lag_commits{replica="1"} 0`)
	})
}

var hidden = regexp.MustCompile(`name="(token|total)" value="([^"]*)"`)

// purchase is one visitor's whole way, each page asked for as a browser would.
func purchase(transport http.RoundTripper, base, agent string) (s sale, err error) {
	started := time.Now()
	jar, err := cookiejar.New(nil)
	if err != nil {
		return s, err
	}
	c := &http.Client{Transport: transport, Jar: jar, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if _, _, err := fetch(c.PostForm(base+"/cart", url.Values{"agent": {agent}})); err != nil {
		return s, err
	}
	form := url.Values{"email": {"buyer@example.com"}, "terms": {"yes"}}
	_, page, err := fetch(c.Get(base + "/checkout"))
	if err != nil {
		return s, err
	}
	for _, m := range hidden.FindAllStringSubmatch(page, -1) {
		form.Set(m[1], html.UnescapeString(m[2]))
	}
	bank, _, err := fetch(c.PostForm(base+"/checkout", form))
	if err != nil {
		return s, err
	}
	if _, _, err := fetch(c.Get(bank)); err != nil {
		return s, err
	}
	receipt, _, err := fetch(c.PostForm(bank, url.Values{"number": {"4242 4242 4242 4242"}, "expiry": {"12/39"}, "cvc": {"123"}}))
	if err != nil {
		return s, err
	}
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for range 500 {
		if _, page, err = fetch(c.Get(receipt)); err != nil {
			return s, err
		}
		if findKey(page) != "" {
			return sale{receipt[strings.LastIndex(receipt, "/")+1:], time.Now(), time.Since(started)}, nil
		}
		<-again.C
	}
	return s, fmt.Errorf("%s isn't paid", receipt)
}

// fetch reads an answer and returns where it leads, "" when nowhere.
func fetch(resp *http.Response, err error) (next, body string, _ error) {
	if err != nil {
		return "", "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", "", err
	}
	switch resp.StatusCode {
	case http.StatusOK:
		return "", string(text), nil
	case http.StatusSeeOther:
		to, err := resp.Location()
		if err != nil {
			return "", "", err
		}
		return to.String(), "", nil
	}
	return "", "", fmt.Errorf("%s %s: %s", resp.Request.Method, resp.Request.URL, resp.Status)
}

// addLag adds how long the commits since a time had to wait until they were in the
// replica: from each commit's time in the change log to the time when the file that has it
// got its name. Only commits of class Transaction count; carts may wait longer.
func (f *figures) addLag(since time.Time) {
	files := f.shipped()
	var waited []time.Duration
	unshipped := 0
	for _, c := range f.changes(since) {
		i := slices.IndexFunc(files, func(s shippedFile) bool { return s.last >= c.LSN })
		if i < 0 {
			unshipped++
			continue
		}
		waited = append(waited, files[i].at.Sub(c.Time))
	}
	f.add("commits-replicated", float64(len(waited)))
	f.add("replication-lag-p50-ms", quantile(waited, 0.50).Seconds()*1e3)
	f.add("replication-lag-p99-ms", quantile(waited, 0.99).Seconds()*1e3)
	f.add("replication-lag-max-ms", quantile(waited, 1).Seconds()*1e3)
	f.add("commits-waiting-at-the-kill", float64(unshipped))
}

// changes reads the change log of the killed server.
func (f *figures) changes(since time.Time) (changes []store.Change) {
	db, err := store.Open(store.Options{Dir: filepath.Join(f.dir, "store")})
	f.must(err)
	defer func() { f.must(db.Close()) }()
	for c, err := range db.Feed(context.Background(), 0) {
		f.must(err)
		if c.Class == store.Transaction && c.Time.After(since) {
			changes = append(changes, c)
		}
		if c.LSN == db.LastLSN() {
			break
		}
	}
	return changes
}

// shippedFile is a change file in the replica: its last commit, and when it was there.
type shippedFile struct {
	last store.LSN
	at   time.Time
}

// shipped reads the footers of the change files, in the order of their commits. A file
// ends with the length of its footer, a checksum and a magic of eight bytes.
func (f *figures) shipped() (files []shippedFile) {
	err := filepath.WalkDir(f.replica, func(name string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(name) != ".ltx" || filepath.Base(filepath.Dir(name)) != "0" {
			return err
		}
		raw, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		end := len(raw) - 16
		var footer struct {
			LSNMax store.LSN `cbor:"lsnMax"`
		}
		if err := cbor.Unmarshal(raw[end-int(big.BigEndian.Uint32(raw[end:])):end], &footer); err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		changed := info.Sys().(*syscall.Stat_t).Ctim // when it got its name; its other time says when it was cut
		files = append(files, shippedFile{footer.LSNMax, time.Unix(changed.Unix())})
		return nil
	})
	f.must(err)
	slices.SortFunc(files, func(a, b shippedFile) int { return int(a.last) - int(b.last) })
	return files
}

// lostIn looks for every confirmed purchase in a restored directory. It returns those that
// aren't there, and how long before the kill the oldest of them was confirmed.
func (f *figures) lostIn(dir string) (lost []sale, before time.Duration) {
	db, err := store.Open(store.Options{Dir: filepath.Join(dir, "store")})
	f.must(err)
	defer func() { f.must(db.Close()) }()
	err = db.View(context.Background(), market.MainTenant, func(tx *store.ReadTx) error {
		for _, s := range f.sold {
			ch, err := store.CheckoutByReceipt.Load(tx, s.receipt)
			if err != nil && !market.Is(err, market.NotFound) {
				return err
			}
			if err != nil || ch.State != market.CheckoutCompleted {
				lost = append(lost, s)
				before = max(before, f.killed.Sub(s.at))
			}
		}
		return nil
	})
	f.must(err)
	return lost, before
}
