package replica

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// TestForecastIsWhatIsCounted compares the forecast of a steady shop with the requests of
// the days after it.
func TestForecastIsWhatIsCounted(t *testing.T) {
	served(t, Options{Retention: Retention{Fine: 6 * time.Hour, Medium: day}, LeaseTTL: 10 * time.Minute}, func(n *node, r *Replicator, tick func(time.Duration)) {
		serve := func(hours int) {
			for i := range hours * 10 {
				n.touch(store.Transaction, fmt.Sprint("s", i%500))
				if i%20 == 0 {
					n.upload(fmt.Sprint("a file of ", time.Now()))
				}
				tick(6 * time.Minute)
			}
		}
		serve(3 * 24)
		s, err := r.client.Survey(ctx, r.opts.Retention, r.opts.LeaseTTL)
		if err != nil {
			t.Fatal(err)
		}
		if s.Forecast == nil {
			t.Fatal("there is no forecast")
		}
		before := r.client.Requests()
		const days = 2
		serve(days * 24)
		after := r.client.Requests()
		month := func(a, b uint64) float64 { return float64(b-a) / days * monthDays }
		f := s.Forecast.RequestsPerMonth
		for _, tt := range []struct {
			kind     string
			got, was float64
		}{
			{"PUT", float64(f.Put), month(before.Put, after.Put)},
			{"GET", float64(f.Get), month(before.Get, after.Get)},
			{"LIST", float64(f.List), month(before.List, after.List)},
			{"DELETE", float64(f.Delete), month(before.Delete, after.Delete)},
			{"bytes out", float64(s.Forecast.BytesOutPerMonth), month(before.BytesOut, after.BytesOut)},
		} {
			t.Logf("%s: %.0f a month forecast, %.0f counted", tt.kind, tt.got, tt.was)
			if math.Abs(tt.got-tt.was) > 0.2*tt.was {
				t.Errorf("%s: %.0f a month forecast, and %.0f counted", tt.kind, tt.got, tt.was)
			}
		}
	})
}

// TestIdleSendsNothing: when what was sold is merged and old enough to be thinned, ten
// minutes without a commit send no request, and with a lease the two of each renewal,
// three times a TTL.
func TestIdleSendsNothing(t *testing.T) {
	for _, ttl := range []time.Duration{0, time.Minute} {
		t.Run(ttl.String(), func(t *testing.T) {
			served(t, Options{Retention: Retention{Fine: time.Hour, Medium: 6 * time.Hour}, LeaseTTL: ttl}, func(n *node, r *Replicator, tick func(time.Duration)) {
				n.touch(store.Transaction, "a")
				n.upload("a file")
				tick(36 * time.Hour)
				before := r.client.Requests()
				tick(10 * time.Minute)
				after := r.client.Requests()
				renewals := uint64(0)
				if ttl > 0 {
					renewals = uint64(10 * time.Minute / (ttl / 3))
				}
				if after.Put-before.Put != renewals || after.Get-before.Get != renewals || after.List != before.List || after.Delete != before.Delete {
					t.Errorf("before %+v, after %+v: want %d renewals", before, after, renewals)
				}
			})
		})
	}
}

func TestStatus(t *testing.T) {
	bubble(t, func(n *node, c *Client, r *Replicator, tick func(time.Duration), _ func() error) {
		tick(time.Second)
		if s := r.Status(); s.State != market.ReplicaHealthy || s.LagCommits != 0 || s.Position == nil || s.LastShipped != nil {
			t.Errorf("at the start: %+v", s)
		}
		wire := &unreachable{transport: c.at}
		c.at = wire
		n.touch(store.Transaction, "a")
		tick(time.Second)
		if s := r.Status(); s.State != market.ReplicaHealthy || s.LastShipped == nil || s.Position.TXID != 1 || s.Requests.Put == 0 {
			t.Errorf("after a commit: %+v", s)
		}
		wire.down.Store(true)
		n.touch(store.Transaction, "b")
		for _, tt := range []struct {
			after time.Duration
			want  market.ReplicaState
		}{{30 * time.Second, market.ReplicaHealthy}, {time.Minute, market.ReplicaLagging}, {5 * time.Minute, market.ReplicaBroken}} {
			tick(tt.after)
			if s := r.Status(); s.State != tt.want || s.LagCommits != 1 || !strings.Contains(s.LastError, "can't") && s.LastError == "" {
				t.Errorf("%s into an outage: %+v, want %s", tt.after, s, tt.want)
			}
		}
		wire.down.Store(false)
		tick(time.Minute)
		s := r.Status()
		if s.State != market.ReplicaHealthy || s.LagSeconds != 0 || s.LastErrorAt == nil {
			t.Errorf("after the outage: %+v", s)
		}
		if _, err := r.Collect(ctx); err != nil {
			t.Fatal(err)
		}
		s = r.Status()
		if s.Listed == nil || len(s.Levels) != levelCount || s.Levels[0].Files != 2 || s.Restorable == nil || s.Forecast == nil || s.Collected == nil {
			t.Errorf("after a listing: %+v", s)
		}
		if b, err := json.Marshal(s); err != nil || !strings.Contains(string(b), `"lagSeconds":0`) {
			t.Errorf("as JSON: %s, %v", b, err)
		}
	})
}

func TestStatusOfFencedReplica(t *testing.T) {
	p := &place{t: t, root: t.TempDir()}
	p.url = "file://" + p.root
	r := openNode(t, t.TempDir()).replicate(p.client())
	r.outcome(market.Errorf(market.Conflict, "Taken over.").Because(ErrFenced))
	if s := r.Status(); s.State != market.ReplicaBroken || s.Fenced != "Taken over." {
		t.Errorf("fenced: %+v", s)
	}
}
