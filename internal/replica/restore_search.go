package replica

import (
	"cmp"
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// searchWidth is how many footers a step of a search reads at once. Of 100,000 files it
// reads 6 times 8: a round trip each instead of 17.
const searchWidth = 8

// ends returns a file for each place at which one ends, up to a place, in order; the
// smallest, since only its footer is read.
func (s *source) ends(upTo point) []lineFile {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ends []lineFile
	for _, files := range [][]lineFile{s.files, s.bases} {
		for _, f := range files {
			if f.hi <= upTo && s.bad[f.fileRef] == nil {
				ends = append(ends, f)
			}
		}
	}
	slices.SortFunc(ends, func(a, b lineFile) int {
		return cmp.Or(cmp.Compare(a.hi, b.hi), cmp.Compare(a.level, b.level))
	})
	return slices.CompactFunc(ends, func(a, b lineFile) bool { return a.hi == b.hi })
}

// lastEnd finds the last place up to a place whose footer isn't beyond something, with
// that footer; nil for none. beyond must be false up to some place and true from there
// on. Files whose footers can't be read are spoiled and passed over.
func (s *source) lastEnd(ctx context.Context, upTo point, beyond func(*footer) bool) (*lineFile, *footer, error) {
	for {
		ends := s.ends(upTo)
		i, f, err := s.searchEnds(ctx, ends, beyond)
		if unusable(err) {
			continue // it is spoiled now, so another file may be tried for its end
		}
		if err != nil || i < 0 {
			return nil, nil, err
		}
		return &ends[i], f, nil
	}
}

func (s *source) searchEnds(ctx context.Context, ends []lineFile, beyond func(*footer) bool) (int, *footer, error) {
	lo, hi := 0, len(ends) // ends before lo aren't beyond, those from hi on are
	var found *footer
	for lo < hi {
		probes := spread(lo, hi)
		footers, err := s.footersOf(ctx, ends, probes)
		if err != nil {
			return 0, nil, err
		}
		for i, f := range footers {
			if beyond(f) {
				hi = probes[i]
				break
			}
			lo, found = probes[i]+1, f
		}
	}
	return lo - 1, found, nil
}

// spread returns up to searchWidth indices of [lo, hi) at equal distances, the last among
// them: most searches are for what is new.
func spread(lo, hi int) (at []int) {
	n := min(searchWidth, hi-lo)
	for i := 1; i <= n; i++ {
		at = append(at, lo+(hi-lo)*i/n-1)
	}
	return at
}

// footersOf reads the footers of some of the files at once.
func (s *source) footersOf(ctx context.Context, files []lineFile, at []int) ([]*footer, error) {
	footers := make([]*footer, len(at))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(2 * searchWidth)
	for i, n := range at {
		group.Go(func() (err error) {
			footers[i], err = s.footer(ctx, files[n])
			return err
		})
	}
	return footers, group.Wait()
}

// aim finds where a restore to a target ends on this line. Of the newest, without a
// look at other sources, no footer is needed.
func (s *source) aim(ctx context.Context, t Target, alone bool) error {
	if err := s.aimOnLine(ctx, t, alone && s.lost == nil); err != nil {
		return err
	}
	if s.lost != nil && s.doubt == nil && s.goal == s.end && !(t.LSN != 0 && s.lsn() == t.LSN) {
		s.doubt = s.lost
	}
	return nil
}

func (s *source) aimOnLine(ctx context.Context, t Target, alone bool) error {
	switch {
	case !t.Time.IsZero():
		return s.aimAt(ctx, t, func(f *footer) bool { return f.time().After(t.Time) })
	case t.LSN != 0:
		return s.aimAt(ctx, t, func(f *footer) bool { return f.LSNMax > t.LSN })
	case alone || t.TXID != 0:
		return nil
	}
	return s.aimAtNewest(ctx)
}

// aimAt makes the last end that isn't beyond something the goal. What can't be read
// behind it may not be beyond it either: that is in doubt then.
func (s *source) aimAt(ctx context.Context, t Target, beyond func(*footer) bool) error {
	end, f, err := s.lastEnd(ctx, s.end, beyond)
	if err != nil {
		return err
	}
	listed := s.end
	s.goal, s.goalAt = 0, f
	if end != nil {
		s.goal = end.hi
	}
	if s.goal == listed || s.lsn() == t.LSN && t.LSN != 0 {
		return nil
	}
	next := listed
	for _, f := range s.ends(listed) {
		if f.hi > s.goal {
			next = f.hi
			break
		}
	}
	if _, reached := s.way(s.goal, next); reached < next {
		s.doubt = s.obstacle(reached + 1)
	}
	return nil
}

// aimAtNewest makes the last end that can be read the goal.
func (s *source) aimAtNewest(ctx context.Context) error {
	for {
		ends := s.ends(s.end)
		if len(ends) == 0 {
			s.goal = 0
			return nil
		}
		last := ends[len(ends)-1]
		f, err := s.footer(ctx, last)
		if unusable(err) {
			if s.doubt == nil {
				s.doubt = err
			}
			continue
		}
		s.goal, s.goalAt = last.hi, f
		return err
	}
}

// nothingFor says why there is nothing to restore.
func (s *source) nothingFor(t Target) error {
	switch {
	case !t.Time.IsZero():
		return market.Errorf(market.NotFound, "The replica %s has nothing from before %s.", s.client, t.Time.Format(time.RFC3339))
	case t.LSN != 0:
		return market.Errorf(market.NotFound, "The replica %s has no file that ends by commit %d.", s.client, t.LSN)
	}
	return market.Errorf(market.NotFound, "The replica %s is empty: nothing has been shipped to it yet.", s.client)
}

// endsAround returns the last file end before a commit, and the first at or after it. Either
// is nil when there is none.
func (s *source) endsAround(ctx context.Context, lsn store.LSN) (before, next *lineFile, nextAt *footer, err error) {
	for {
		before, _, err = s.lastEnd(ctx, s.goal, func(f *footer) bool { return f.LSNMax >= lsn })
		if err != nil {
			return nil, nil, nil, err
		}
		for _, f := range s.ends(s.goal) {
			if before == nil || f.hi > before.hi {
				next = &f
				break
			}
		}
		if next == nil {
			return before, nil, nil, nil
		}
		nextAt, err = s.footer(ctx, *next)
		if !unusable(err) {
			return before, next, nextAt, err
		}
		next = nil
	}
}
