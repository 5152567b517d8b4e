package replica

import (
	"math"
	"slices"
	"sort"
	"time"
)

// thinning decides which files of one generation expire.
type thinning struct {
	gen     *GenerationInventory
	forks   []uint64             // points of it that a child rests on, in order
	tier    map[snapshotKey]bool // snapshots that are kept for their day, week or month
	fine    time.Time            // from here on every point of level 0 is kept
	horizon time.Time            // from here on some point is kept: the earlier of fine and medium
	over    bool                 // the generation has ended, before the horizon

	base    uint64   // the newest usable snapshot from before the horizon, 0 for none
	kept    []uint64 // usable snapshots that stay, in order
	expired []fileRef
}

// isOver reports whether the generation was sealed before the horizon: the next one's
// manifest says so, and the newest file of level 0, which is then the tombstone.
func (t *thinning) isOver(inv *Inventory) bool {
	changes := t.gen.Levels[levelChanges]
	if int(t.gen.Generation) == len(inv.Generations) || len(changes) == 0 {
		return false
	}
	next := inv.Generations[t.gen.Generation] // they are numbered from 1
	return next.CreatedAt.Before(t.horizon) && changes[len(changes)-1].Time.Before(t.horizon)
}

// findBase fills in base.
func (t *thinning) findBase() {
	for _, s := range t.gen.Snapshots {
		if s.Usable && s.Cut.Before(t.horizon) {
			t.base = max(t.base, s.Max)
		}
	}
}

// thin fills in expired, base and kept.
func (t *thinning) thin() {
	t.findBase()
	if !t.over && t.hasGap() {
		for _, s := range t.gen.Snapshots {
			if s.Usable {
				t.kept = append(t.kept, s.Max)
			}
		}
		return
	}
	for _, s := range t.gen.Snapshots {
		switch {
		case t.keepSnapshot(s):
			if s.Usable {
				t.kept = append(t.kept, s.Max)
			}
		default:
			t.expired = append(t.expired, t.gen.ref(levelSnapshot, s.Object))
		}
	}
	var kept [levelCount][]Object
	for level := range slices.Backward(t.gen.Levels[:]) { // those that cover others first
		for i, f := range t.gen.Levels[level] {
			// The owner of an ended generation may have been cut off for long, and then tries
			// the tombstone's number or, if it has missed an answer, the one before.
			fence := level == levelChanges && i >= len(t.gen.Levels[level])-2
			if !fence && (t.useless(f) || t.covered(level, f, &kept)) {
				t.expired = append(t.expired, t.gen.ref(level, f))
			} else {
				kept[level] = append(kept[level], f)
			}
		}
	}
}

// hasGap reports whether a file is missing between the base and the newest file. Nothing
// of such a generation is given up: either the listing is wrong, or what is left may be
// what somebody needs to get around the gap. It passes when a snapshot taken after the
// gap has become the base.
func (t *thinning) hasGap() bool {
	_, missing := t.gen.chain(t.base, t.gen.tip())
	return missing != 0
}

// keepSnapshot decides about snapshots in their order, since it looks at those before.
func (t *thinning) keepSnapshot(s SnapshotObject) bool {
	switch {
	case !s.Usable: // it is of no use to anybody once a good one has taken its place
		return s.Max >= t.base && !t.over
	case t.tier[snapshotKey{t.gen.Generation, s.Max}], t.carriesFork(s.Max):
		return true
	case t.over:
		return false
	case s.Max == t.lastSnapshot(math.MaxUint64): // the next one shares its segments
		return true
	case s.Cut.Before(t.horizon):
		return s.Max == t.base
	case !s.Cut.Before(t.fine):
		return true
	}
	// In between, one that the files lead to from the last may go.
	if len(t.kept) == 0 {
		return true
	}
	_, missing := t.gen.chain(t.kept[len(t.kept)-1], s.Max)
	return missing != 0
}

// carriesFork reports whether the snapshot is the last usable one before a fork that a child
// rests on.
func (t *thinning) carriesFork(txid uint64) bool {
	for _, f := range t.forks {
		if t.lastSnapshot(f) == txid {
			return true
		}
	}
	return false
}

// lastSnapshot is the newest usable snapshot up to a point, 0 for none.
func (t *thinning) lastSnapshot(upTo uint64) (txid uint64) {
	for _, s := range t.gen.Snapshots {
		if s.Usable && s.Max <= upTo {
			txid = max(txid, s.Max)
		}
	}
	return txid
}

// useless reports whether no point that is kept can need the file: all that come after it
// have a snapshot between.
func (t *thinning) useless(f Object) bool {
	for _, fork := range t.forks {
		if f.Max <= fork && f.Max > t.lastSnapshot(fork) {
			return false
		}
	}
	return t.over || f.Max <= t.base
}

// covered reports whether a file that stays can take the place of f: it holds all of f,
// it is so old that its level's coarse steps will do, and no point that is kept lies
// before its end.
func (t *thinning) covered(level int, f Object, kept *[levelCount][]Object) bool {
	for l := level + 1; l < levelCount; l++ {
		limit := t.fine
		if l == levelCount-1 { // as long as every 5 minutes count, an hour is too coarse
			limit = t.horizon
		}
		by, ok := container(kept[l], f)
		if ok && by.Time.Before(limit) && !t.pointIn(f.Max, by.Max) {
			return true
		}
	}
	return false
}

// pointIn reports whether a fork or a snapshot that is kept ends at a file of [from, to).
func (t *thinning) pointIn(from, to uint64) bool {
	within := func(p uint64) bool { return p >= from && p < to }
	return slices.ContainsFunc(t.forks, within) || slices.ContainsFunc(t.kept, within)
}

// container finds a file that holds all of f.
func container(files []Object, f Object) (Object, bool) {
	const overlaps = 8
	n := sort.Search(len(files), func(i int) bool { return files[i].Min > f.Min })
	for _, by := range slices.Backward(files[max(0, n-overlaps):n]) {
		if by.Max >= f.Max {
			return by, true
		}
	}
	return Object{}, false
}

// needsParent reports whether some kept point of the generation can only be reached from
// the point where it began.
func (t *thinning) needsParent() bool {
	for _, f := range t.forks {
		if t.lastSnapshot(f) == 0 {
			return true
		}
	}
	return !t.over && t.base == 0
}
