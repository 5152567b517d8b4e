package drill

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/souk-market/souk/internal/blob"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/replica"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/store/storetest"
)

// shop is a data directory with a replica that is being written.
type shop struct {
	*testing.T
	dir    string
	db     *store.DB
	blobs  *blob.Store
	place  string // of the replica
	source Source
	runner *Runner
}

// open makes a shop with a few records and a file, and starts its replicator.
func open(t *testing.T) *shop {
	t.Helper()
	s := &shop{T: t, dir: t.TempDir(), place: t.TempDir()}
	s.db = storetest.OpenWith(t, store.Options{Dir: filepath.Join(s.dir, "store"), MinFree: 1})
	var err error
	if s.blobs, err = blob.Open(filepath.Join(s.dir, "blobs")); err != nil {
		t.Fatal(err)
	}
	s.source = Source{Client: s.client(s.place)}
	s.source.Replicator = replica.New(s.db, s.blobs, s.source.Client, replica.Options{Interval: 20 * time.Millisecond})
	s.runner = &Runner{DB: s.db, Tenant: market.MainTenant, Dir: s.dir, MinFree: 1, Sources: []Source{s.source}}
	ref, err := s.blobs.Put(t.Context(), strings.NewReader("a file for sale"), 100)
	if err != nil {
		t.Fatal(err)
	}
	s.update(func(tx *store.Tx) error {
		return store.Blobs.Put(tx, &market.Blob{SHA256: ref.Sum.String(), Size: ref.Size})
	})
	for i := range 20 {
		s.sell(i)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.source.Replicator.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *shop) client(dir string) *replica.Client {
	s.Helper()
	c, err := replica.OpenClient("file://"+dir, replica.ClientOptions{})
	if err != nil {
		s.Fatal(err)
	}
	return c
}

func (s *shop) update(fn func(tx *store.Tx) error) {
	if _, err := s.db.Update(context.Background(), market.MainTenant, store.Op{}, fn); err != nil {
		s.Error(err)
	}
}

// sell makes a commit.
func (s *shop) sell(i int) {
	seller := market.Seller{ID: market.SellerID(fmt.Sprintf("sel_%d", i)), Slug: fmt.Sprint("s", i), Name: "Seller"}
	s.update(func(tx *store.Tx) error { return store.Sellers.Put(tx, &seller) })
}

// do drills, and wants the record to be the newest of the history and nothing else to be left.
func (s *shop) do(q Request) market.Drill {
	s.Helper()
	d, err := s.runner.Do(s.Context(), q)
	if err != nil {
		s.Fatal(err)
	}
	past, err := s.runner.History(s.Context(), 1)
	if err != nil || len(past) != 1 || past[0].ID != d.ID || past[0].State != d.State || past[0].Reason != d.Reason {
		s.Errorf("the newest drill kept is %+v (%v), want %+v", past, err, d)
	}
	s.wantNothingLeft()
	return d
}

func (s *shop) wantNothingLeft() {
	s.Helper()
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		s.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != "store" && e.Name() != "blobs" {
			s.Errorf("the drill has left %s", e.Name())
		}
	}
}

// alerts are the alerts in the queue.
func (s *shop) alerts() (all []market.Alert) {
	s.Helper()
	err := s.db.View(s.Context(), market.MainTenant, func(tx *store.ReadTx) error {
		for j, err := range store.Jobs(tx, "", market.AlertJob) {
			if err != nil {
				return err
			}
			var a market.Alert
			if err := j.Decode(&a); err != nil {
				return err
			}
			all = append(all, a)
		}
		return nil
	})
	if err != nil {
		s.Fatal(err)
	}
	return all
}

// TestDrillBesideSales drills while commits are made: the two databases are compared at
// one commit, whatever comes after it.
func TestDrillBesideSales(t *testing.T) {
	s := open(t)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				s.sell(100 + i%50)
			}
		}
	}()
	var steps []string
	d := s.do(Request{Source: s.source, Progress: func(what string, done, total int64) {
		if len(steps) == 0 || steps[len(steps)-1] != what {
			steps = append(steps, what)
		}
	}})
	close(stop)
	<-stopped
	if d.State != market.DrillPassed || d.Reason != "" || d.Compared != market.DrillWhole || len(d.Digest) != 64 {
		t.Errorf("the drill: %+v", d)
	}
	if d.RPO <= 0 || d.RTO <= 0 || d.LSN == 0 || d.TXID == 0 || d.Files == 0 || d.Bytes == 0 || d.Blobs != 1 || d.Keys == 0 || d.Ended.Before(d.Started) {
		t.Errorf("figures are missing: %+v", d)
	}
	if len(steps) < 3 || len(s.alerts()) != 0 {
		t.Errorf("steps %v, alerts %v", steps, s.alerts())
	}
}

// TestDrillOfADamagedReplica: the drill fails, says which file, and is an alert.
func TestDrillOfADamagedReplica(t *testing.T) {
	s := open(t)
	if err := s.source.Replicator.Wait(t.Context(), s.db.DurableLSN()); err != nil {
		t.Fatal(err)
	}
	damaged := ""
	filepath.WalkDir(s.place, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() && strings.HasSuffix(path, ".ltx") && damaged == "" && strings.Contains(path, "gen") {
			damaged = path
		}
		return err
	})
	b, err := os.ReadFile(damaged)
	if err != nil {
		t.Fatal(err)
	}
	for i := range b[100:] {
		b[100+i] ^= 0xff
	}
	if err := os.WriteFile(damaged, b, 0o600); err != nil {
		t.Fatal(err)
	}
	d := s.do(Request{Source: s.source})
	if d.State != market.DrillFailed || !strings.Contains(d.Reason, filepath.Base(damaged)) {
		t.Errorf("the drill of a replica whose %s is damaged: %+v", damaged, d)
	}
	alerts := s.alerts()
	if len(alerts) != 1 || !strings.Contains(alerts[0].Text, d.Reason) || !strings.Contains(alerts[0].Text, d.Source) || alerts[0].Subject == "" {
		t.Errorf("alerts: %+v", alerts)
	}
}

// TestDrillCutOff: what a kill leaves is gone with the next start, and the record ends.
func TestDrillCutOff(t *testing.T) {
	s := open(t)
	cut := market.Drill{ID: "drl_1", State: market.DrillRunning, Source: s.source.Client.String(), Started: time.Now().Add(-time.Hour)}
	s.update(func(tx *store.Tx) error { return store.Drills.Put(tx, &cut) })
	if err := os.MkdirAll(filepath.Join(s.dir, folder, "data.restoring", "store"), 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.runner.Do(ctx, Request{Source: s.source}); market.KindOf(err) == market.Conflict {
		t.Error(err)
	}
	s.runner.clearUp(t.Context())
	s.wantNothingLeft()
	past, err := s.runner.History(t.Context(), 0)
	if err != nil || len(past) == 0 || past[len(past)-1].State != market.DrillFailed || past[len(past)-1].Reason == "" {
		t.Errorf("the drill cut off is %+v (%v)", past, err)
	}
	if n := len(s.alerts()); n != 1 {
		t.Errorf("%d alerts", n)
	}
}

// TestDrillBrokenOff: a drill that somebody ends leaves nothing, and no alert.
func TestDrillBrokenOff(t *testing.T) {
	s := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	d, err := s.runner.Do(ctx, Request{Source: s.source, Progress: func(what string, _, _ int64) {
		if what == "restoring" {
			cancel()
		}
	}})
	if market.KindOf(err) != market.Unavailable || d.State != market.DrillFailed || len(s.alerts()) != 0 {
		t.Errorf("%+v (%v), alerts %v", d, err, s.alerts())
	}
	s.wantNothingLeft()
}

// TestDrillOfAnotherReplica compares with a replica that nobody ships to any more, and
// refuses one of another marketplace.
func TestDrillOfAnotherReplica(t *testing.T) {
	s := open(t)
	if err := s.source.Replicator.Wait(t.Context(), s.db.DurableLSN()); err != nil {
		t.Fatal(err)
	}
	behind := t.TempDir()
	if err := os.CopyFS(behind, os.DirFS(s.place)); err != nil {
		t.Fatal(err)
	}
	last := s.db.DurableLSN()
	for i := range 5 {
		s.sell(i) // changes what the copy has, too
	}
	d := s.do(Request{Source: Source{Client: s.client(behind)}})
	if d.State != market.DrillPassed || d.Compared != market.DrillPart || d.LSN != uint64(last) || d.Digest == "" {
		t.Errorf("of a copy that is behind: %+v", d)
	}
	other := open(t)
	for i := range 3 {
		other.sell(1000 + i)
	}
	if err := other.source.Replicator.Wait(t.Context(), other.db.DurableLSN()); err != nil {
		t.Fatal(err)
	}
	d = s.do(Request{Source: Source{Client: other.client(other.place)}})
	if d.State != market.DrillFailed || !strings.Contains(d.Reason, "isn't one of this marketplace's") {
		t.Errorf("of another marketplace: %+v", d)
	}
}

// TestDrillWithoutRoom: the disk is asked before anything is downloaded.
func TestDrillWithoutRoom(t *testing.T) {
	s := open(t)
	s.runner.MinFree = 1 << 60
	if d := s.do(Request{Source: s.source}); d.State != market.DrillFailed || !strings.Contains(d.Reason, "free disk") || d.Files != 0 {
		t.Errorf("%+v", d)
	}
}

func TestOneDrillAtATime(t *testing.T) {
	s := open(t)
	s.do(Request{Source: s.source, Progress: func(string, int64, int64) {
		if _, err := s.runner.Do(t.Context(), Request{Source: s.source}); !errors.Is(err, ErrRunning) {
			t.Errorf("a second drill: %v", err)
		}
	}})
}

// TestDrillWithoutALiveDatabase: on a machine without a marketplace a replica can be
// drilled too, and nothing is kept.
func TestDrillWithoutALiveDatabase(t *testing.T) {
	s := open(t)
	if err := s.source.Replicator.Wait(t.Context(), s.db.DurableLSN()); err != nil {
		t.Fatal(err)
	}
	elsewhere := &Runner{Tenant: market.MainTenant, Dir: t.TempDir(), MinFree: 1}
	d, err := elsewhere.Do(t.Context(), Request{Source: Source{Client: s.client(s.place)}})
	if err != nil || d.State != market.DrillPassed || d.Compared != market.DrillNothing || d.RTO <= 0 || d.Keys == 0 {
		t.Errorf("%+v (%v)", d, err)
	}
}

// TestRunDrills lets a night from Saturday to Sunday pass.
func TestRunDrills(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which begins on Saturday, 2000-01-01
		s := open(t)
		s.runner.Schedule = &Schedule{Weekday: time.Sunday, Hour: 4}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.runner.Run(ctx) }()
		time.Sleep(36 * time.Hour)
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		past, err := s.runner.History(t.Context(), 0)
		if err != nil || len(past) != 1 {
			t.Fatalf("%d drills in a night (%v)", len(past), err)
		}
		if d := past[0]; !d.Planned || d.State != market.DrillPassed || !d.Started.Equal(at(t, "2000-01-02T04:00:00Z")) || d.RPO != time.Millisecond {
			t.Errorf("%+v", d)
		}
		if next, err := s.runner.Next(t.Context(), s.source); err != nil || !next.Equal(at(t, "2000-01-09T04:00:00Z")) {
			t.Errorf("the next drill is due %s (%v)", next, err)
		}
	})
}
