package replica

import (
	"math"
	"time"
)

// monthDays is a twelfth of a year of 365.25 days.
const monthDays = 365.25 / 12

// Forecast is what a replica costs, if it goes on as it has lately.
type Forecast struct {
	BytesStored      int64         `json:"bytesStored"` // in a month from now
	RequestsPerMonth RequestCounts `json:"requestsPerMonth"`
	BytesOutPerMonth int64         `json:"bytesOutPerMonth"` // sent to the replica
	Assumptions      Assumptions   `json:"assumptions"`
}

// RequestCounts are requests by kind, as Requests counts them.
type RequestCounts struct {
	Put    uint64 `json:"put"`
	Get    uint64 `json:"get"`
	List   uint64 `json:"list"`
	Delete uint64 `json:"delete"`
}

// Assumptions are the rates that a Forecast goes by, per day. They are what the listing
// shows of the last Hours before the newest file, or of its whole life when it is younger.
//
// Besides: files are merged from this server's copies, so nothing is read back; a segment
// or blob is one request (one of more than 5 MiB is several); the process doesn't restart;
// no restore, standby or drill reads; attempts that fail cost nothing.
type Assumptions struct {
	Hours           float64             `json:"hours"`
	Files           [levelCount]float64 `json:"files"` // by level
	FileBytes       [levelCount]float64 `json:"fileBytes"`
	Snapshots       float64             `json:"snapshots"`
	SnapshotBytes   float64             `json:"snapshotBytes"`
	Segments        float64             `json:"segments"` // new ones
	SegmentBytes    float64             `json:"segmentBytes"`
	Blobs           float64             `json:"blobs"` // new ones
	BlobBytes       float64             `json:"blobBytes"`
	Collections     float64             `json:"collections"`   // runs of retention
	LeaseRenewals   float64             `json:"leaseRenewals"` // also while nothing happens
	WholeSnapshot   int64               `json:"wholeSnapshot"` // bytes of segments that one snapshot needs, at most
	KeptSnapshots   int                 `json:"keptSnapshots"` // in a month from now
	GenerationsKept int                 `json:"generations"`
}

// forecast estimates what comes under a policy; nil for an empty replica.
func (inv *Inventory) forecast(p Retention, lease time.Duration) *Forecast {
	if inv.newest().IsZero() {
		return nil
	}
	p = p.withDefaults()
	a := inv.assume(p)
	if lease > 0 {
		a.LeaseRenewals = 3 * day.Seconds() / lease.Seconds()
	}
	f := &Forecast{Assumptions: a}
	puts, out := a.Snapshots+a.Segments+a.Blobs+a.LeaseRenewals, a.SegmentBytes+a.BlobBytes+a.Snapshots*a.SnapshotBytes
	for level := range a.Files {
		puts += a.Files[level]
		out += a.FileBytes[level]
	}
	month := func(perDay float64) uint64 { return uint64(math.Round(perDay * monthDays)) }
	f.BytesOutPerMonth = int64(month(out))
	f.RequestsPerMonth = RequestCounts{Put: month(puts), Get: month(inv.gets(a)), List: month(inv.lists(p, a)), Delete: month(inv.deletes(a))}
	f.BytesStored = inv.stored(p, a)
	return f
}

// assume finds the rates. Level 0 is kept for at least Fine, so that much of it is there
// to be counted; and new segments and blobs for Grace.
func (inv *Inventory) assume(p Retention) Assumptions {
	newest := inv.newest()
	window := min(day, p.Fine, p.Grace)
	if began := inv.Generations[0].CreatedAt; newest.Sub(began) < window {
		window = max(newest.Sub(began), time.Hour)
	}
	a := Assumptions{Hours: window.Hours(), GenerationsKept: len(inv.Generations)}
	perDay := float64(day) / float64(window)
	count := func(all []Object, n, bytes *float64) {
		for _, o := range all {
			if newest.Sub(o.Time) < window {
				*n += perDay
				*bytes += perDay * float64(o.Bytes)
			}
		}
	}
	for i := range inv.Generations {
		g := &inv.Generations[i]
		for level := range g.Levels {
			count(g.Levels[level], &a.Files[level], &a.FileBytes[level])
		}
		for _, s := range g.Snapshots {
			a.SnapshotBytes = float64(s.Bytes)
			if newest.Sub(s.Time) < day {
				a.Snapshots++
			}
		}
	}
	count(inv.Segments, &a.Segments, &a.SegmentBytes)
	count(inv.Blobs, &a.Blobs, &a.BlobBytes)
	a.Snapshots = max(a.Snapshots, min(1, a.Files[levelChanges])) // one a day, if anything happens
	a.Collections = min(float64(day)/float64(p.collectEvery()), a.Files[levelChanges])
	a.WholeSnapshot = countObjects(inv.Segments).Bytes
	a.KeptSnapshots = min(max(p.Daily, 0), 30) + min(max(p.Weekly, 0), 5) + min(max(p.Monthly, 0), 2)
	return a
}

// sweeps are how many of a day's collections look at segments and blobs.
func (a Assumptions) sweeps() float64 { return min(1, a.Collections) }

// gets are the reads of a day: before each renewal of the lease whether the generation has
// been sealed; whether a new blob is there already; for a collection the
// manifests, and one more each time it looks whether there is none after the last: at the
// beginning, behind the manifests, and before each page of deletions; each new snapshot;
// and for a sweep the files that have no coarser one.
func (inv *Inventory) gets(a Assumptions) float64 {
	deleted := 0.0
	for _, files := range a.Files {
		deleted += files / max(a.Collections, 1)
	}
	collection := float64(len(inv.Generations)) + 2 + math.Ceil(deleted/pageSize)
	sweep := a.Files[levelCount-1]
	for level := range levelCount - 1 { // those since the last of the next level: half a window's
		if a.Files[level+1] > 0 {
			sweep += a.Files[level] / a.Files[level+1] / 2
		}
	}
	return a.LeaseRenewals + a.Blobs + a.Snapshots + a.Collections*collection + a.sweeps()*sweep
}

// deletes are the calls of a day: for a collection one for each level that has something,
// and for each thousand files; for the files of an hour, and for snapshots, one when a
// snapshot takes their place; and one for segments.
func (inv *Inventory) deletes(a Assumptions) float64 {
	collection := 0.0
	for _, files := range a.Files[:levelCount-1] {
		each := files / max(a.Collections, 1)
		collection += min(1, each) * max(1, each/pageSize)
	}
	return a.Collections*collection + 2*min(1, a.Snapshots) + min(1, a.Segments)
}

// lists are the pages that the collections of a day list: each level of each generation,
// as full as the policy lets it become.
func (inv *Inventory) lists(p Retention, a Assumptions) float64 {
	pages := func(objects float64) float64 { return math.Max(1, math.Ceil(objects/pageSize)) }
	collection := float64((levelCount + 1) * (len(inv.Generations) - 1))
	for level := range a.Files {
		collection += pages(a.Files[level] * p.levelDays(level))
	}
	collection += pages(float64(a.KeptSnapshots)) + pages(float64(len(inv.Segments))+a.Segments*monthDays/2)
	return a.Collections*collection + a.sweeps()*pages(float64(len(inv.Blobs))+a.Blobs*monthDays/2)
}

// levelDays is for how many days the files of a level are kept, on average between two
// collections.
func (p Retention) levelDays(level int) float64 {
	late := p.collectEvery() / 2
	switch level {
	case 0, 1:
		return (p.Fine + late).Hours() / 24
	}
	return (max(p.Fine, p.Medium) + day/2 + late).Hours() / 24 // back to the snapshot before
}

// stored estimates the bytes of a month from now: the levels as full as they get; what
// one snapshot needs, and for each other that is kept what had changed since the one
// before; the blobs with those that will have come.
func (inv *Inventory) stored(p Retention, a Assumptions) int64 {
	bytes := 0.0
	for level := range a.FileBytes {
		bytes += a.FileBytes[level] * p.levelDays(level)
	}
	whole := float64(a.WholeSnapshot)
	bytes += whole + float64(a.KeptSnapshots)*(a.SnapshotBytes+math.Min(whole, a.SegmentBytes))
	bytes += float64(countObjects(inv.Blobs).Bytes) + a.BlobBytes*monthDays
	return int64(bytes)
}
