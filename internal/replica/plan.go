package replica

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/superfly/ltx"
	"golang.org/x/sync/errgroup"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// point is a place on a source's line: the number of change files before it, counted
// from the first file of the first generation that leads to the target.
type point uint64

// lineFile is a file on a line: it leads from any place of [lo-1, hi) to hi. A snapshot
// has lo 1 and leads there from nowhere.
type lineFile struct {
	fileRef
	lo, hi point
}

// source is one replica as a restore sees it: one line of places, through all
// generations that lead to the target, and the files along it. Files of several levels
// may cover one place, and may overlap: the way with the fewest files is taken, and
// others where a file of it can't be used.
type source struct {
	client *Client
	report *SourceReport
	all    []Manifest
	spans  []span     // oldest first
	offset []point    // of each span's file 0
	files  []lineFile // of levels 0 to 3, by lo
	bases  []lineFile // snapshots, by hi
	end    point      // as listed or, of a span that ends at a fork, as the child's manifest says

	goal   point   // where the restore shall end; end unless the target says otherwise
	goalAt *footer // of a file that ends there; nil when it hasn't been read
	lost   error   // not nil: there are later generations, of which a manifest is missing
	doubt  error   // not nil: a file that can't be read may lie between goal and target

	mu      sync.Mutex
	footers map[fileRef]*footer
	bad     map[fileRef]error // files that can't be used, and why
}

// listed are the levels of files that a restore reads.
var listed = [...]int{levelChanges, 1, 2, 3, levelSnapshot}

// load lists the files that lead to the target. Errors: NotFound when there is no
// replica or no such generation, those of the transport.
func (s *source) load(ctx context.Context, t Target) error {
	var all []Manifest
	err := persist(ctx, func() (err error) {
		all, err = s.client.generations(ctx)
		return err
	})
	if err != nil {
		return err
	}
	if t.Generation == 0 && t.TXID == 0 {
		err := persist(ctx, func() error { return s.client.lostManifest(ctx, all) })
		if err != nil && (len(all) == 0 || !errors.Is(err, ErrCorrupt)) {
			return err
		}
		s.lost = err
	}
	if len(all) == 0 {
		return market.Errorf(market.NotFound, "There is no replica at %s. Check the address; a replica has a folder named gen.", s.client)
	}
	g := t.Generation
	if g == 0 {
		g = uint32(len(all))
	}
	if int(g) > len(all) {
		return market.Errorf(market.NotFound, "The replica %s has no generation %d; its newest is %d.", s.client, g, len(all))
	}
	s.all, s.spans = all, history(all, g, ltx.TXID(t.TXID))
	slices.Reverse(s.spans)
	lists, err := s.list(ctx)
	if err != nil {
		return err
	}
	s.lay(lists)
	return nil
}

// list lists all levels of all spans, several at once.
func (s *source) list(ctx context.Context) ([][]fileRef, error) {
	lists := make([][]fileRef, len(s.spans))
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i, sp := range s.spans {
		for _, level := range listed {
			group.Go(func() error {
				return persist(ctx, func() error {
					files, err := s.client.list(ctx, generationPath(sp.Generation), level)
					mu.Lock()
					defer mu.Unlock()
					for _, f := range files {
						lists[i] = append(lists[i], fileRef{sp.Generation, level, f.MinTXID, f.MaxTXID, f.Size})
					}
					return err
				})
			})
		}
	}
	return lists, group.Wait()
}

// lay puts the files of the spans on one line.
func (s *source) lay(lists [][]fileRef) {
	s.offset, s.files, s.bases, s.end = nil, nil, nil, 0
	for i, refs := range lists {
		upTo := s.spans[i].upTo
		if upTo == 0 && i == len(lists)-1 { // what was shipped last is the end
			for _, ref := range refs {
				upTo = max(upTo, ref.max)
			}
		}
		from := s.end
		s.offset = append(s.offset, from)
		for _, ref := range refs {
			f := lineFile{ref, from + point(ref.min), from + point(ref.max)}
			switch {
			case ref.max > upTo || ref.min > ref.max || ref.min == 0: // another history's, or no file of ours
			case ref.level == levelSnapshot:
				s.bases = append(s.bases, f)
			default:
				s.files = append(s.files, f)
			}
		}
		s.end = from + point(upTo)
	}
	slices.SortFunc(s.files, func(a, b lineFile) int { return int(int64(a.lo) - int64(b.lo)) })
	slices.SortFunc(s.bases, func(a, b lineFile) int { return int(int64(a.hi) - int64(b.hi)) })
	s.goal = s.end
}

// at returns the generation and number of a place.
func (s *source) at(p point) (g uint32, n ltx.TXID) {
	i := sort.Search(len(s.offset), func(i int) bool { return s.offset[i] >= p }) - 1
	i = max(i, 0)
	return s.spans[i].Generation, ltx.TXID(p - s.offset[i])
}

// way returns the fewest files that lead from a place to another, and how far they
// reach when some are missing.
func (s *source) way(from, to point) (files []lineFile, reached point) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var best lineFile
	i := 0
	for at := from; at < to; at = best.hi {
		for ; i < len(s.files) && s.files[i].lo <= at+1; i++ {
			if f := s.files[i]; f.hi <= to && f.hi > best.hi && s.bad[f.fileRef] == nil {
				best = f
			}
		}
		if best.hi <= at {
			return files, at
		}
		files = append(files, best)
	}
	return files, to
}

// usableBases returns the snapshots at or before the goal, the newest first.
func (s *source) usableBases() (bases []lineFile) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range slices.Backward(s.bases) {
		if f.hi <= s.goal && s.bad[f.fileRef] == nil {
			bases = append(bases, f)
		}
	}
	return bases
}

// spoil notes that a file can't be used.
func (s *source) spoil(ref fileRef, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bad[ref] = err
}

// footer reads a file's footer, once. A file that is damaged or gone is spoiled.
func (s *source) footer(ctx context.Context, f lineFile) (*footer, error) {
	s.mu.Lock()
	known, bad := s.footers[f.fileRef], s.bad[f.fileRef]
	s.mu.Unlock()
	if known != nil || bad != nil {
		return known, bad
	}
	var read *footer
	err := persist(ctx, func() (err error) {
		read, err = s.client.footerOf(ctx, f.fileRef)
		return err
	})
	if unusable(err) {
		s.spoil(f.fileRef, err)
	}
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.footers[f.fileRef] = read
	return read, nil
}

// unusable reports whether an error is about one file, which others may stand in for.
func unusable(err error) bool { return errors.Is(err, ErrCorrupt) || errors.Is(err, fs.ErrNotExist) }

// readTries is how often a read that failed is tried, each time after twice the pause.
const (
	readTries  = 4
	firstPause = 250 * time.Millisecond
)

// persist repeats a read that failed on the way. What is damaged is read once more, since
// it may have been damaged on the way; what is missing or refused isn't.
func persist(ctx context.Context, read func() error) error {
	pause := firstPause
	for i := 1; ; i++ {
		err := read()
		tries := readTries
		if errors.Is(err, ErrCorrupt) {
			tries = 2
		}
		var told *market.Error
		if err == nil || i >= tries || errors.Is(err, fs.ErrNotExist) || errors.As(err, &told) && told.Kind != market.Unavailable || ctx.Err() != nil {
			return err
		}
		if errors.Is(err, ErrCorrupt) {
			continue
		}
		select {
		case <-time.After(pause):
			pause *= 2
		case <-ctx.Done():
			return err
		}
	}
}

// obstacle is why no file leads to a place: the first that would is damaged, or missing.
func (s *source) obstacle(missing point) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.files {
		if err := s.bad[f.fileRef]; err != nil && f.lo <= missing && missing <= f.hi && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	g, n := s.at(missing)
	name := s.client.nameOf(changeRef(g, n))
	return market.Errorf(market.NotFound, "The replica lacks the file %s, which the restore needs.", name).
		Because(ErrGap)
}

// nodes are those that own a generation of the line.
func (s *source) nodes() map[market.NodeID]bool {
	nodes := map[market.NodeID]bool{}
	for _, sp := range s.spans {
		nodes[sp.Node] = true
	}
	return nodes
}

// lsn is the last commit of the goal, 0 when it isn't known.
func (s *source) lsn() store.LSN {
	if s.goalAt == nil {
		return 0
	}
	return s.goalAt.LSNMax
}

func newSource(c *Client, report *SourceReport) *source {
	report.URL = c.String()
	return &source{client: c, report: report, footers: map[fileRef]*footer{}, bad: map[fileRef]error{}}
}
