package replica

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// TestStandbyLag: on a line that works a standby is never 5 s behind the replica, however
// busy the primary is, and asks no more often than it has to.
func TestStandbyLag(t *testing.T) {
	for _, tt := range []struct {
		name     string
		every    time.Duration // between commits
		requests uint64        // at most, in ten minutes
	}{
		{"idle", time.Hour, 200},
		{"a commit a minute", time.Minute, 500},
		{"busy", 200 * time.Millisecond, 2000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			twoNodes(t, func(s *sim) {
				l := s.nodes[0].serve(Options{})
				s.nodes[0].begin(l, func(ctx context.Context) { _ = l.replicator.Run(ctx) }, func(ctx context.Context) {
					for i := 0; ctx.Err() == nil; i++ {
						l.order(t, fmt.Sprint("s", i%9))
						pause(ctx, tt.every)
					}
				})
				time.Sleep(time.Minute)
				s.nodes[1].restore()
				f := s.nodes[1].life.follower
				time.Sleep(10 * time.Second)
				var worst time.Duration
				before := f.client.Requests()
				for range 600 {
					time.Sleep(time.Second)
					_, age := f.Lag()
					worst = max(worst, age)
				}
				after := f.client.Requests()
				made := after.Get - before.Get + after.List - before.List
				t.Logf("the worst lag is %s, with %d requests in ten minutes", worst, made)
				if worst >= 5*time.Second || made > tt.requests || f.Err() != nil {
					t.Errorf("the worst lag is %s, with %d requests in ten minutes, and the error %v", worst, made, f.Err())
				}
			})
		})
	}
}

// TestStandbyAway: a standby that has been off for longer than single files and merged
// ones are kept catches up by itself, and goes on.
func TestStandbyAway(t *testing.T) {
	twoNodes(t, func(s *sim) {
		a, b := s.nodes[0], s.nodes[1]
		l := a.serve(Options{Retention: Retention{Fine: 2 * time.Hour, Medium: 4 * time.Hour}, SnapshotEvery: 6 * time.Hour})
		a.begin(l, func(ctx context.Context) { _ = l.replicator.Run(ctx) }, func(ctx context.Context) {
			for i := 0; ctx.Err() == nil; i++ {
				l.order(t, fmt.Sprint("s", i%50))
				pause(ctx, 9*time.Minute)
			}
		})
		time.Sleep(time.Hour)
		b.restore()
		time.Sleep(time.Minute)
		b.stop()
		time.Sleep(50 * time.Hour)
		if _, err := s.client(s.link(3)).footerOf(ctx, changeRef(1, 5)); err == nil {
			t.Fatal("single files of two days ago are still there; the test shows nothing")
		}
		b.startStandby()
		time.Sleep(2 * time.Minute)
		f := b.life.follower
		if commits, age := f.Lag(); commits != 0 || age > 5*time.Second || f.Err() != nil {
			t.Errorf("after two minutes the standby is %d commits and %s behind, with error %v", commits, age, f.Err())
		}
		time.Sleep(2 * time.Hour)
		if got, want := f.Position(), l.replicator.Position(); got.TXID != want.TXID || b.life.db.LastLSN() != want.LSN {
			t.Errorf("the standby stands at %v, want %v", got, want)
		}
		if digestOf(t, b.life.db) != digestOf(t, l.db) {
			t.Error("the standby's data differ")
		}
	})
}
