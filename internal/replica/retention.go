package replica

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/souk-market/souk/internal/market"
)

// Retention says which points of the past a replica can be restored to. The zero value
// is the default. A count that is negative keeps none of its kind; 0 is its default.
//
// A day, week (from Monday) or month is one of UTC, and counts only when a snapshot was
// taken in it: so neither an idle year nor a clock that was wrong for a while uses
// up what is to be kept. Of each that counts, the newest snapshot stays, on each
// branch that forks have made.
type Retention struct {
	// Fine is how far back every file of level 0 stays a point to restore to: about every
	// second. 0 is 24 h. At least 2 h, since files have to be merged into those of an hour
	// first; at most 31 days, where a listing of a file a second takes 2,700 requests.
	Fine time.Duration
	// Medium is how far back every file of level 2 stays one: about every 5 minutes. 0
	// is 7 days, or Fine when that is more. At least Fine; at most 366 days, where a listing
	// takes 105 requests.
	Medium time.Duration
	// Daily, Weekly and Monthly are how many days, weeks and months keep a snapshot; 0 is
	// 30, 52 and 84. Each at most 1,000: a listing of one request.
	Daily, Weekly, Monthly int
	// Grace is how old a segment or blob that nothing names must be before it is deleted.
	// 0 is 24 h. At least 1 h, since it is written before what names it; at most 90 days.
	Grace time.Duration
}

// Limits of a Retention; its fields give the reasons.
const (
	minFine, maxFine   = 2 * time.Hour, 31 * day
	maxMedium          = 366 * day
	maxKept            = 1000
	minGrace, maxGrace = time.Hour, 90 * day
	day                = 24 * time.Hour
)

func (p Retention) withDefaults() Retention {
	p.Fine = cmp.Or(p.Fine, day)
	if p.Medium == 0 {
		p.Medium = max(7*day, p.Fine)
	}
	p.Daily, p.Weekly, p.Monthly = cmp.Or(p.Daily, 30), cmp.Or(p.Weekly, 52), cmp.Or(p.Monthly, 84)
	p.Grace = cmp.Or(p.Grace, day)
	return p
}

// Validate says in words what is wrong with a policy; the error is Invalid and names the field.
func (p Retention) Validate() error {
	p = p.withDefaults()
	switch {
	case p.Fine < minFine || p.Fine > maxFine:
		return market.FieldErrorf("fine", "A replica keeps every second for %s, which must be between %s and %s.",
			inWords(p.Fine), inWords(minFine), inWords(maxFine))
	case p.Medium < p.Fine:
		return market.FieldErrorf("medium", "A replica keeps every 5 minutes for %s, which must be at least as long as every second (%s).",
			inWords(p.Medium), inWords(p.Fine))
	case p.Medium > maxMedium:
		return market.FieldErrorf("medium", "A replica keeps every 5 minutes for %s, which must be at most %s.", inWords(p.Medium), inWords(maxMedium))
	case p.Grace < minGrace || p.Grace > maxGrace:
		return market.FieldErrorf("grace", "A replica keeps what nothing names for %s, which must be between %s and %s.",
			inWords(p.Grace), inWords(minGrace), inWords(maxGrace))
	}
	for _, c := range []struct {
		field string
		n     int
	}{{"daily", p.Daily}, {"weekly", p.Weekly}, {"monthly", p.Monthly}} {
		if c.n > maxKept {
			return market.FieldErrorf(c.field, "A replica keeps %d %s snapshots, which must be at most %d.", c.n, c.field, maxKept)
		}
	}
	return nil
}

// period is a day, week or month: what snapshots are counted by.
type period struct{ kind, year, n int }

// periodsOf returns the day, week and month of a time.
func periodsOf(t time.Time) [3]period {
	t = t.UTC()
	year, week := t.ISOWeek()
	return [3]period{{0, t.Year(), t.YearDay()}, {1, year, week}, {2, t.Year(), int(t.Month())}}
}

// snapshotKey names a snapshot: its generation and TXID.
type snapshotKey struct {
	generation uint32
	txid       uint64
}

// tiers chooses the snapshots that are kept for their day, week or month. A branch is the
// part of a generation between two forks.
func (p Retention) tiers(inv *Inventory) map[snapshotKey]bool {
	type slot struct {
		period
		generation uint32
		branch     int
	}
	newest := map[slot]uint64{}
	seen := map[period]bool{}
	for i := range inv.Generations {
		g := &inv.Generations[i]
		forks := inv.forksOf(g.Generation)
		for _, s := range g.Snapshots {
			if !s.Usable {
				continue
			}
			branch, _ := slices.BinarySearch(forks, s.Max)
			for _, in := range periodsOf(s.Cut) {
				seen[in] = true
				at := slot{in, g.Generation, branch}
				newest[at] = max(newest[at], s.Max)
			}
		}
	}
	counted := p.counted(seen)
	kept := map[snapshotKey]bool{}
	for at, txid := range newest {
		if counted[at.period] {
			kept[snapshotKey{at.generation, txid}] = true
		}
	}
	return kept
}

// counted are the newest periods of each kind, as many as the policy asks for.
func (p Retention) counted(seen map[period]bool) map[period]bool {
	var kinds [3][]period
	for in := range seen {
		kinds[in.kind] = append(kinds[in.kind], in)
	}
	counted := map[period]bool{}
	for kind, n := range [3]int{p.Daily, p.Weekly, p.Monthly} {
		all := kinds[kind]
		slices.SortFunc(all, func(a, b period) int { return cmp.Or(cmp.Compare(b.year, a.year), cmp.Compare(b.n, a.n)) })
		for _, in := range all[:min(max(n, 0), len(all))] {
			counted[in] = true
		}
	}
	return counted
}

// forksOf lists the TXIDs at which others go on from a generation, in order.
func (inv *Inventory) forksOf(g uint32) []uint64 {
	var forks []uint64
	for _, child := range inv.Generations {
		if child.Parent == g {
			forks = append(forks, child.ForkTXID)
		}
	}
	slices.Sort(forks)
	return slices.Compact(forks)
}

// Expired lists the change files and snapshots that the policy no longer asks for, by
// generation, level and number. It is a function of what it is given.
//
// After their deletion, in whatever order and even in part, a restore still finds a way
// to the end of each file of level 0 cut in the last Fine and of each of level 2 cut in
// the last Medium, to each snapshot that stays, and to each point that a
// generation goes on from which has no old enough snapshot of its own. "The last" counts
// back from now or from the replica's newest file, whichever is earlier: an idle replica
// loses nothing.
//
// A file is given up only for what the listing does show: an old enough snapshot behind
// it, or a coarser file over it. What a listing lacks is never a reason. Of each generation
// the newest file of level 0 stays, since the fence rests on it.
func (p Retention) Expired(inv *Inventory, now time.Time) []fileRef {
	p = p.withDefaults()
	if newest := inv.newest(); newest.Before(now) {
		now = newest
	}
	tier := p.tiers(inv)
	needed := make([][]uint64, len(inv.Generations)+1) // by generation: forks that a child rests on
	var expired []fileRef
	for i := range slices.Backward(inv.Generations) { // children come after their parents
		g := &inv.Generations[i]
		slices.Sort(needed[g.Generation])
		t := thinning{
			gen: g, forks: needed[g.Generation], tier: tier,
			fine: now.Add(-p.Fine), horizon: now.Add(-max(p.Fine, p.Medium)),
		}
		t.over = t.isOver(inv)
		t.thin()
		if t.needsParent() && g.Parent != 0 {
			needed[g.Parent] = append(needed[g.Parent], g.ForkTXID)
		}
		expired = append(expired, t.expired...)
	}
	slices.SortFunc(expired, func(a, b fileRef) int {
		return cmp.Or(cmp.Compare(a.generation, b.generation), cmp.Compare(a.level, b.level), cmp.Compare(a.max, b.max))
	})
	return expired
}

// countOf prints a number with its noun.
func countOf(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// inWords prints a duration for people: in days when it has whole ones.
func inWords(d time.Duration) string {
	switch {
	case d >= 2*day && d%day == 0:
		return countOf(int64(d/day), "day")
	case d%time.Hour == 0:
		return countOf(int64(d/time.Hour), "hour")
	}
	return d.String()
}
