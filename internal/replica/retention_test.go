package replica

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/superfly/ltx"

	"github.com/souk-market/souk/internal/market"
)

// history is a made-up replica: what its server would list, and when each file was cut,
// which the listing doesn't tell.
type pastOf struct {
	t   *testing.T
	rng *rand.Rand
	inv Inventory
	cut map[fileRef]time.Time // of every file and snapshot that there ever was
	now time.Time
	// merged is up to where each level of the newest generation has been made, and when
	// its next window ends.
	merged       [levelCount]uint64
	window       [levelCount]time.Time
	lastSnapshot time.Time
}

var mergeWindows = [levelCount]time.Duration{0, 30 * time.Second, 5 * time.Minute, time.Hour}

func newPast(t *testing.T, rng *rand.Rand) *pastOf {
	p := &pastOf{t: t, rng: rng, cut: map[fileRef]time.Time{}, now: time.Date(2026, 1, 30, 7, 0, 0, 0, time.UTC)}
	p.open(0, 0)
	return p
}

func (p *pastOf) newest() *GenerationInventory { return &p.inv.Generations[len(p.inv.Generations)-1] }

// open begins a generation.
func (p *pastOf) open(parent uint32, fork uint64) {
	p.inv.Generations = append(p.inv.Generations, GenerationInventory{Manifest: Manifest{
		Generation: uint32(len(p.inv.Generations) + 1), Parent: parent, ForkTXID: fork, CreatedAt: p.now,
	}})
	p.merged, p.window, p.lastSnapshot = [levelCount]uint64{}, [levelCount]time.Time{}, p.now
}

// add lists a file that is uploaded now, and was cut a while ago.
func (p *pastOf) add(level int, minTXID, maxTXID uint64, cut time.Time) {
	g := p.newest()
	o := Object{Min: minTXID, Max: maxTXID, Bytes: 1000, Time: p.now}
	p.cut[g.ref(level, o)] = cut
	if level == levelSnapshot {
		g.Snapshots = append(g.Snapshots, SnapshotObject{Object: o, Cut: cut, Usable: p.rng.IntN(20) > 0})
	} else {
		g.Levels[level] = append(g.Levels[level], o)
	}
}

// write cuts the next file, merges what is due, and takes a snapshot a day.
func (p *pastOf) write() {
	g := p.newest()
	for level := 1; level < levelCount; level++ { // a window that has passed is merged
		files := g.Levels[level-1]
		if n := len(files); n > 0 && p.now.After(p.window[level]) && files[n-1].Max > p.merged[level] {
			last := files[n-1]
			p.add(level, p.merged[level]+1, last.Max, p.cut[g.ref(level-1, last)])
			p.merged[level] = last.Max
		}
		if p.now.After(p.window[level]) {
			p.window[level] = p.now.Truncate(mergeWindows[level]).Add(mergeWindows[level])
		}
	}
	next := uint64(1)
	if n := len(g.Levels[0]); n > 0 {
		next = g.Levels[0][n-1].Max + 1
	}
	cut := p.now
	p.now = p.now.Add(time.Duration(p.rng.IntN(30)) * time.Second)
	p.add(0, next, next, cut)
	if p.now.Sub(p.lastSnapshot) > 24*time.Hour || p.rng.IntN(400) == 0 {
		p.now = p.now.Add(time.Duration(p.rng.IntN(600)) * time.Second)
		p.add(levelSnapshot, 1, next, cut)
		p.lastSnapshot = p.now
	}
}

// fork seals the newest generation and goes on from a point that can be restored.
func (p *pastOf) fork(policy Retention) {
	points := p.retained(policy)
	if len(points) == 0 {
		return
	}
	from := points[p.rng.IntN(len(points))]
	if p.rng.IntN(2) == 0 { // as a failover does
		g := p.newest()
		if n := len(g.Levels[0]); n > 0 {
			from = spot{g.Generation, g.Levels[0][n-1].Max}
		}
	}
	p.write() // the tombstone takes the next number
	p.now = p.now.Add(time.Minute)
	p.open(from.generation, from.txid)
}

// lose makes a hole that no listing and no deletion is to blame for.
func (p *pastOf) lose() {
	g := p.newest()
	files := g.Levels[p.rng.IntN(3)]
	if n := len(files); n > 10 {
		lost := files[n-2-p.rng.IntN(8)]
		for level := range g.Levels { // nothing stands in for it
			g.Levels[level] = slices.DeleteFunc(g.Levels[level], func(o Object) bool { return o.Min <= lost.Min && o.Max >= lost.Max })
		}
	}
}

type spot struct {
	generation uint32
	txid       uint64
}

// retained lists the points that the policy promises now.
func (p *pastOf) retained(policy Retention) []spot {
	var all []spot
	for i := range p.inv.Generations {
		g := &p.inv.Generations[i]
		for level, age := range map[int]time.Duration{0: policy.Fine, 2: policy.Medium} {
			for _, f := range g.Levels[level] {
				if cut := p.cut[g.ref(level, f)]; !cut.Before(p.now.Add(-age)) {
					all = append(all, spot{g.Generation, f.Max})
				}
			}
		}
	}
	for key := range policy.tiers(&p.inv) {
		all = append(all, spot(key))
	}
	slices.SortFunc(all, func(a, b spot) int {
		return int(a.generation-b.generation)<<32 + int(a.txid) - int(b.txid)
	})
	return slices.Compact(all)
}

// reachable lists the points that a restore can get to, generation by generation: from
// each snapshot, or from where the generation began, over any files that follow on.
func reachable(inv *Inventory) map[spot]bool {
	all := map[spot]bool{}
	for i := range inv.Generations {
		g := &inv.Generations[i]
		ends := []uint64{}
		if g.Parent == 0 || all[spot{g.Parent, g.ForkTXID}] {
			ends = append(ends, 0)
		}
		type step struct {
			min, max uint64
		}
		var steps []step
		for _, s := range g.Snapshots {
			if s.Usable {
				steps = append(steps, step{0, s.Max})
			}
		}
		for _, files := range g.Levels {
			for _, f := range files {
				steps = append(steps, step{f.Min, f.Max})
			}
		}
		slices.SortStableFunc(steps, func(a, b step) int { return int(a.max) - int(b.max) })
		for _, s := range steps {
			// The furthest end before it is the one to go on from, if any is.
			if s.min == 0 || len(ends) > 0 && ends[len(ends)-1]+1 >= s.min {
				if len(ends) == 0 || ends[len(ends)-1] != s.max {
					ends = append(ends, s.max)
				}
			}
		}
		for _, e := range ends {
			all[spot{g.Generation, e}] = true
		}
	}
	return all
}

// planned reports whether a restore, with its own planner, finds a way to a point.
func (p *pastOf) planned(at spot) bool {
	c, err := OpenClient("file:///nowhere", ClientOptions{})
	if err != nil {
		p.t.Fatal(err)
	}
	src := newSource(c, &SourceReport{})
	for _, g := range p.inv.Generations {
		src.all = append(src.all, g.Manifest)
	}
	src.spans = history(src.all, at.generation, ltx.TXID(at.txid))
	slices.Reverse(src.spans)
	lists := make([][]fileRef, len(src.spans))
	for i, sp := range src.spans {
		g := &p.inv.Generations[sp.Generation-1]
		for level, files := range g.Levels {
			for _, f := range files {
				lists[i] = append(lists[i], g.ref(level, f))
			}
		}
		for _, s := range g.Snapshots {
			if s.Usable {
				lists[i] = append(lists[i], g.ref(levelSnapshot, s.Object))
			}
		}
	}
	src.lay(lists)
	for _, base := range append(src.usableBases(), lineFile{}) {
		if _, reached := src.way(base.hi, src.goal); reached == src.goal {
			return true
		}
	}
	return false
}

// listing is what a server shows of the replica: sometimes stale or cut short.
func (p *pastOf) listing() *Inventory {
	inv := &Inventory{Generations: slices.Clone(p.inv.Generations)}
	kind := p.rng.IntN(4)
	for i := range inv.Generations {
		g := &inv.Generations[i]
		for level := range g.Levels {
			g.Levels[level] = slices.Clone(g.Levels[level])
			switch {
			case kind == 0 && p.rng.IntN(4) == 0: // it lacks one in so many
				g.Levels[level] = slices.DeleteFunc(g.Levels[level], func(Object) bool { return p.rng.IntN(10) == 0 })
			case kind == 1 && p.rng.IntN(4) == 0: // or the end
				g.Levels[level] = g.Levels[level][:p.rng.IntN(len(g.Levels[level])+1)]
			case kind == 1 && p.rng.IntN(8) == 0: // or everything
				g.Levels[level] = nil
			}
		}
		g.Snapshots = slices.Clone(g.Snapshots)
		if kind == 0 && p.rng.IntN(4) == 0 {
			g.Snapshots = slices.DeleteFunc(g.Snapshots, func(SnapshotObject) bool { return p.rng.IntN(3) == 0 })
		}
	}
	return inv
}

// remove deletes files, in part when some are under object lock or the node is killed.
func (p *pastOf) remove(refs []fileRef) {
	gone := map[fileRef]bool{}
	part := p.rng.IntN(3)
	for _, ref := range refs {
		gone[ref] = part > 0 || p.rng.IntN(2) == 0
	}
	p.inv.drop(slices.DeleteFunc(slices.Clone(refs), func(ref fileRef) bool { return !gone[ref] }))
}

// TestRetentionKeepsEveryPoint lives through some weeks of files, merges, snapshots and
// forks, and deletes what the policy allows after listings of any quality: every point
// that was promised and could be restored before can be restored afterwards.
func TestRetentionKeepsEveryPoint(t *testing.T) {
	seeds := 40
	if testing.Short() {
		seeds = 10
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed-", seed), func(t *testing.T) {
			testRetention(t, rand.New(rand.NewPCG(uint64(seed), 1)))
		})
	}
}

func testRetention(t *testing.T, rng *rand.Rand) {
	policy := Retention{
		Fine: time.Duration(2+rng.IntN(24)) * time.Hour, Medium: time.Duration(26+rng.IntN(48)) * time.Hour,
		Daily: 1 + rng.IntN(5), Weekly: 1 + rng.IntN(3), Monthly: 1 + rng.IntN(2),
	}
	p := newPast(t, rng)
	for range 150 {
		for range rng.IntN(60) { // busy, now and then
			p.now = p.now.Add(time.Duration(rng.IntN(100)) * time.Second)
			p.write()
		}
		p.now = p.now.Add(time.Duration(rng.IntN(10)) * time.Hour)
		if rng.IntN(20) == 0 {
			p.fork(policy)
		}
		if rng.IntN(25) == 0 {
			p.lose()
		}
		promised := p.retained(policy)
		before, tips := reachable(&p.inv), p.fences()
		p.remove(policy.Expired(p.listing(), p.now.Add(time.Duration(rng.IntN(3))*time.Hour)))
		after := reachable(&p.inv)
		for _, at := range promised {
			if before[at] && rng.IntN(20) == 0 && !p.planned(at) {
				t.Fatalf("at %s no restore finds the way to file %d of generation %d", p.now, at.txid, at.generation)
			}
			if before[at] && !after[at] {
				t.Fatalf("at %s file %d of generation %d could be restored and can't any more", p.now, at.txid, at.generation)
			}
		}
		if got := p.fences(); !slices.Equal(got, tips) {
			t.Fatalf("the newest files are %v after the deletion, and were %v", got, tips)
		}
	}
	p.expectFew(policy)
}

// fences are the numbers of the newest file of level 0 of each generation.
func (p *pastOf) fences() []uint64 {
	tips := make([]uint64, len(p.inv.Generations))
	for i, g := range p.inv.Generations {
		if n := len(g.Levels[0]); n > 0 {
			tips[i] = g.Levels[0][n-1].Max
		}
	}
	return tips
}

// expectFew deletes once more, by good listings, and verifies that little is left beyond
// what the policy asks for.
func (p *pastOf) expectFew(policy Retention) {
	p.t.Helper()
	for range 40 { // every generation's snapshots and files come of age
		p.now = p.now.Add(6 * time.Hour)
		p.write()
	}
	for range 5 {
		p.inv.drop(policy.Expired(&p.inv, p.now))
	}
	for i := range p.inv.Generations {
		g := &p.inv.Generations[i]
		if i == len(p.inv.Generations)-1 {
			break
		}
		if len(p.inv.forksOf(g.Generation)) > 0 {
			continue
		}
		if n := len(g.Levels[0]) + len(g.Levels[1]) + len(g.Levels[2]) + len(g.Levels[3]); n > 2 {
			p.t.Errorf("generation %d ended long ago and still has %d change files", g.Generation, n)
		}
	}
	old := 0
	for _, f := range p.newest().Levels[0] {
		if p.now.Sub(f.Time) > policy.Fine+2*time.Hour {
			old++
		}
	}
	if all := len(p.newest().Levels[0]); old > 100 && old > all/4 {
		p.t.Errorf("%d of %d files of level 0 are older than %s", old, all, policy.Fine)
	}
	days := map[period]bool{}
	for _, g := range p.inv.Generations {
		for _, s := range g.Snapshots {
			days[periodsOf(s.Cut)[0]] = true
		}
	}
	if most := policy.Daily + policy.Weekly + policy.Monthly + int(policy.Medium/day) + 2 + 2*len(p.inv.Generations); len(days) > most {
		p.t.Errorf("snapshots of %d days are left, want at most %d", len(days), most)
	}
}

func TestRetentionValidates(t *testing.T) {
	for _, tt := range []struct {
		p     Retention
		field string
		want  string
	}{
		{Retention{}, "", ""},
		{Retention{Fine: 30 * day}, "", ""},
		{Retention{Daily: -1, Weekly: -1, Monthly: -1}, "", ""},
		{Retention{Fine: time.Hour}, "fine", "every second for 1 hour, which must be between 2 hours and 31 days"},
		{Retention{Fine: 32 * day}, "fine", "32 days"},
		{Retention{Fine: 2 * day, Medium: day}, "medium", "at least as long as every second (2 days)"},
		{Retention{Medium: 400 * day}, "medium", "at most 366 days"},
		{Retention{Weekly: 1001}, "weekly", "1001 weekly snapshots, which must be at most 1000"},
		{Retention{Grace: time.Minute}, "grace", "between 1 hour and 90 days"},
	} {
		err := tt.p.Validate()
		var e *market.Error
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%+v: %v", tt.p, err)
		case tt.want == "":
		case !market.Is(err, market.Invalid) || !strings.Contains(market.Message(err), tt.want):
			t.Errorf("%+v: got %v, want a sentence with %q", tt.p, err, tt.want)
		default:
			if e, _ = err.(*market.Error); e == nil || e.Field != tt.field {
				t.Errorf("%+v: the error is about %+v, want the field %s", tt.p, e, tt.field)
			}
		}
	}
}
