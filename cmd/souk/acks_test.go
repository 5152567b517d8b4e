package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/replica"
	"github.com/souk-market/souk/store"
)

// replicaLine is the way to a replica that can be cut.
type replicaLine struct {
	cut chan struct{} // closed while it is whole
	err error         // what it answers then; nil acknowledges
	can replica.Capabilities
}

func (l *replicaLine) Status() replica.Status { return replica.Status{Capabilities: &l.can} }

func (l *replicaLine) Wait(ctx context.Context, lsn store.LSN) error {
	select {
	case <-l.cut:
		return l.err
	case <-ctx.Done():
		return fmt.Errorf("waiting for commit %d: %w", lsn, ctx.Err())
	}
}

func newLine() *replicaLine { return &replicaLine{cut: make(chan struct{})} }

func testAcks(c SyncConfig, first *replicaLine) *acks {
	return newAcks(c, first, slog.New(slog.DiscardHandler))
}

// TestReplicaDoesNotAcknowledge: after the limit the policy holds, until a replica has what was
// not acknowledged; then everything is as before, by itself.
func TestReplicaDoesNotAcknowledge(t *testing.T) {
	for _, goOn := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			l := newLine()
			a := testAcks(SyncConfig{Timeout: 5 * time.Second, Continue: goOn}, l)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			alarms := 0
			go a.run(ctx, func(error) { alarms++ })
			began := time.Now()
			if err := a.require(ctx, 7); (err == nil) != goOn || time.Since(began) != 5*time.Second {
				t.Errorf("continue %t: %v, after %s", goOn, err, time.Since(began))
			}
			synctest.Wait()
			if err := a.refuse(); (err == nil) != goOn || alarms != 1 || a.err() == nil {
				t.Errorf("continue %t: afterwards %v, %d alarms", goOn, err, alarms)
			}
			if !goOn && !market.Is(a.refuse(), market.Unavailable) {
				t.Errorf("a buyer is told %v", a.refuse())
			}
			if began = time.Now(); goOn && (a.require(ctx, 8) != nil || time.Since(began) > 0) {
				t.Error("the second purchase waits, though nobody answers")
			}
			close(l.cut)
			synctest.Wait()
			if a.err() != nil || a.refuse() != nil || a.require(ctx, 9) != nil || alarms != 1 {
				t.Errorf("continue %t: with the replica back %v, %d alarms", goOn, a.err(), alarms)
			}
		})
	}
}

// TestTakenOverIsNoAcknowledgement: what a sealed replica lacks is in no history that goes on.
func TestTakenOverIsNoAcknowledgement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sealed := newLine()
		sealed.err = fmt.Errorf("%w by another", replica.ErrFenced)
		close(sealed.cut)
		for _, goOn := range []bool{false, true} {
			a := testAcks(SyncConfig{Timeout: time.Second, Continue: goOn}, sealed)
			if err := a.require(t.Context(), 7); !errors.Is(err, replica.ErrFenced) || a.err() != nil {
				t.Errorf("continue %t: %v, alarm %v", goOn, err, a.err())
			}
		}
	})
}

// TestBuyerGoesAway is no failure of the replica.
func TestBuyerGoesAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := testAcks(SyncConfig{Timeout: time.Minute}, newLine())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := a.require(ctx, 7); !errors.Is(err, context.DeadlineExceeded) || a.err() != nil {
			t.Errorf("%v, alarm %v", err, a.err())
		}
	})
}

// TestUnfencedReplicaConfirms: the operator is told once what it means that the replica
// which confirms purchases can't be fenced.
func TestUnfencedReplicaConfirms(t *testing.T) {
	for _, can := range []bool{false, true} {
		var log bytes.Buffer
		l := newLine()
		l.can.CreateIfAbsent = can
		close(l.cut)
		a := newAcks(SyncConfig{Timeout: time.Minute}, l, slog.New(slog.NewTextHandler(&log, nil)))
		for range 2 {
			if err := a.require(t.Context(), 7); err != nil {
				t.Error(err)
			}
		}
		if n := strings.Count(log.String(), "would overwrite purchases that were confirmed"); (n == 1) == can || n > 1 {
			t.Errorf("create if absent %t: warned %d times\n%s", can, n, log.String())
		}
	}
}
