package store

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// Faults makes a store behave as a distributed one may, within the contract, so that
// use-cases are tested under those rules: functions run more than once, commits answer
// "unknown" after they were made, and the feed comes late.
type Faults struct {
	RunTwice  float64       // chance that fn runs again, its first writes dropped
	Unknown   float64       // chance that a commit answers ErrUnknownOutcome
	FeedDelay time.Duration // the most by which the feed is late

	mu  sync.Mutex
	rng *rand.Rand
}

// NewFaults returns the faults that use-case tests run under (SCALE.md 2.3): one fn in
// ten runs twice, two commits in a hundred are unknown, the feed is up to 5 ms late.
func NewFaults(seed uint64) *Faults {
	return &Faults{RunTwice: 0.10, Unknown: 0.02, FeedDelay: 5 * time.Millisecond, rng: rand.New(rand.NewPCG(seed, 0))}
}

func (f *Faults) chance(p float64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.random().Float64() < p
}

// random is the source that NewFaults seeded, or one drawn now; mu is held.
func (f *Faults) random() *rand.Rand {
	if f.rng == nil {
		f.rng = rand.New(rand.NewPCG(rand.Uint64(), 0))
	}
	return f.rng
}

// runs is how often fn runs for one commit.
func (f *Faults) runs() int {
	if f != nil && f.chance(f.RunTwice) {
		return 2
	}
	return 1
}

// afterCommit answers "unknown" for some commits that can be asked for again.
func (f *Faults) afterCommit(op Op) error {
	if f != nil && op.ID != "" && f.chance(f.Unknown) {
		return errUnknown
	}
	return nil
}

func (f *Faults) delayFeed(ctx context.Context) error {
	if f == nil || f.FeedDelay == 0 {
		return nil
	}
	f.mu.Lock()
	d := time.Duration(f.random().Int64N(int64(f.FeedDelay)))
	f.mu.Unlock()
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
