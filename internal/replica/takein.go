package replica

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/superfly/ltx"
	"golang.org/x/sync/errgroup"

	"github.com/souk-market/souk/internal/blob"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// spooled is a file that has been downloaded.
type spooled struct {
	ref  fileRef
	cf   *changeFile
	path string
}

// fetch downloads a file. The caller discards it. The error is fs.ErrNotExist when there
// is no such file.
func (f *Follower) fetch(ctx context.Context, ref fileRef) (spooled, error) {
	path := filepath.Join(cmp.Or(f.opts.SpoolDir, os.TempDir()), fmt.Sprintf("souk-follow-%016x", rand.Uint64()))
	cf, err := f.client.fetch(ctx, ref, path)
	if err != nil {
		os.Remove(path) // there only if a file was
		return spooled{}, err
	}
	return spooled{ref, cf, path}, nil
}

func (s spooled) discard() {
	if s.cf != nil {
		s.cf.close()
		os.Remove(s.path)
	}
}

// takeIn fetches and enters one file. The error is fs.ErrNotExist when there is no such
// file. The holder of the follower's token calls it.
func (f *Follower) takeIn(ctx context.Context, ref fileRef) (*seal, error) {
	got, err := f.fetch(ctx, ref)
	if err != nil {
		return nil, err
	}
	defer got.discard()
	return f.enterFile(ctx, got)
}

// fetchRun is how many files are fetched at once by a follower that is behind.
const fetchRun = 16

// takeRun enters the change files from next to tip, fetched several at once. It ends early
// and without an error where one can't be fetched: the caller tries that one by itself.
func (f *Follower) takeRun(ctx context.Context, g uint32, next, tip ltx.TXID) error {
	for next <= tip {
		files := make([]spooled, min(fetchRun, tip-next+1))
		var group sync.WaitGroup
		for i := range files {
			group.Go(func() { files[i], _ = f.fetch(ctx, changeRef(g, next+ltx.TXID(i))) })
		}
		group.Wait()
		done := false
		var err error
		for _, got := range files {
			var sealed *seal
			if !done && got.cf != nil {
				sealed, err = f.enterFile(ctx, got)
			}
			done = done || got.cf == nil || sealed != nil || err != nil
			got.discard()
		}
		if done {
			return err
		}
		next += ltx.TXID(len(files))
	}
	return nil
}

// enterFile brings one file into the standby: first the blobs that it names, then its
// records, all or none of them. A tombstone changes nothing and is returned.
func (f *Follower) enterFile(ctx context.Context, got spooled) (*seal, error) {
	ref, cf, path := got.ref, got.cf, got.path
	if err := f.client.expect(ref, &cf.footer); err != nil {
		return nil, err
	}
	if cf.Schema > store.SchemaVersion {
		return nil, market.Errorf(market.Conflict, "The replica's data has schema version %d, and this souk knows version %d. Use a newer souk for this standby.",
			cf.Schema, store.SchemaVersion)
	}
	if cf.Seal != nil {
		return cf.Seal, nil
	}
	if at := f.Position(); ref.level == levelChanges && at.Link != (Link{}) && cf.PrevLink != at.Link {
		return nil, &CorruptError{Name: cf.name, Reason: "it doesn't go on from the file before it"}
	}
	if err := f.fits(cf); err != nil {
		return nil, err
	}
	if err := f.takeBlobs(ctx, cf); err != nil {
		return nil, err
	}
	err := f.db.Replay(ctx, store.Replay{
		Min: cf.LSNMin, Max: cf.LSNMax, Prev: cf.PrevChain, Chain: cf.Chain,
		Time: time.UnixMilli(cf.Committed).UTC(), Full: cf.Full || cf.Snapshot,
	}, func(set store.SetFunc) error { return f.fill(ctx, cf, path+"-segment", set) })
	if errors.Is(err, store.ErrDiverged) {
		return nil, f.strayed(cf.LSNMax, err)
	}
	if err != nil {
		return nil, fmt.Errorf("replica: taking in %s: %w", cf.name, err)
	}
	if cf.LSNMax == f.db.LastLSN() {
		f.verified = true
	}
	return nil, f.moveTo(cf.position(), cf.Node)
}

// fits refuses a file that begins before the directory's last commit and ends behind it
// when that commit isn't known to be the replica's: it may have been made here, by a
// server that the directory was started as.
func (f *Follower) fits(cf *changeFile) error {
	last := f.db.LastLSN()
	if f.verified || cf.Full || cf.Snapshot || cf.LSNMax <= last {
		return nil
	}
	if cf.LSNMin == last+1 {
		f.verified = true // the chain before the file says so, or Replay refuses it
		return nil
	}
	return f.strayed(last, fmt.Errorf("the file %s holds the commits %d to %d, and the last one here is %d", cf.name, cf.LSNMin, cf.LSNMax, last))
}

// strayed is the refusal to follow a replica whose history isn't this directory's.
func (f *Follower) strayed(at store.LSN, cause error) error {
	return market.Errorf(market.Conflict, "The replica %s and this standby hold different histories at commit %d: the marketplace was restored to an earlier moment, "+
		"or this directory has been started as a server of its own. Run souk standby with a new directory.", f.client, at).
		Because(fmt.Errorf("%w: %w", ErrDiverged, cause))
}

// fill gives a file's keys in order.
func (f *Follower) fill(ctx context.Context, cf *changeFile, path string, set store.SetFunc) error {
	for i := range cf.Tables {
		if err := cf.read(i, visitor(set)); err != nil {
			return err
		}
	}
	for _, s := range cf.Segments {
		err := f.client.fetchSegment(ctx, s, path)
		if err == nil {
			err = visitSegment(f.client.nameOfSegment(s), path, s, visitor(set))
			os.Remove(path)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// takeBlobs fetches the blobs that a file names and that aren't here. One that the
// replica lacks is reported and passed over: the primary has lost it, or its record is
// gone by now; holding back what follows would lose more.
func (f *Follower) takeBlobs(ctx context.Context, cf *changeFile) error {
	if f.blobs == nil {
		return nil
	}
	sums := map[blob.Sum]bool{}
	for _, sum := range cf.Blobs {
		sums[sum] = true
	}
	for i := range cf.Tables {
		err := cf.read(i, func(key, _ []byte, deleted bool) error {
			if deleted {
				return nil
			}
			return noteBlobs(sums, key)
		})
		if err != nil {
			return err
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(blobStreams)
	for sum := range sums {
		group.Go(func() error { return f.takeBlob(ctx, sum) })
	}
	return group.Wait()
}

func (f *Follower) takeBlob(ctx context.Context, sum blob.Sum) error {
	have, err := f.blobs.Open(ctx, sum)
	if err == nil {
		return have.Close()
	}
	if !market.Is(err, market.NotFound) {
		return fmt.Errorf("replica: looking for a blob: %w", err)
	}
	_, err = f.client.fetchBlob(ctx, f.blobs, sum)
	if errors.Is(err, fs.ErrNotExist) {
		f.opts.Logger.Error("a file that a record names is missing in the replica", "sha256", sum.String())
		return nil
	}
	return err
}

// catchUp takes in everything that the replica has, across generations: merged files
// where there are any, single ones after them, and a snapshot where files are missing
// between. It ends at the newest file, or at the tombstone behind it.
func (f *Follower) catchUp(ctx context.Context) error {
	all, err := f.client.generations(ctx)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return market.Errorf(market.NotFound, "There is no replica at %s any more. Check the address.", f.client)
	}
	spans := history(all, uint32(len(all)), 0)
	at := f.Position()
	i := slices.IndexFunc(spans, func(s span) bool { return s.Generation == at.Generation })
	if i < 0 || spans[i].upTo != 0 && at.TXID > spans[i].upTo {
		if i, err = f.rejoin(ctx, spans); err != nil {
			return err
		}
	}
	for ; i >= 0; i-- {
		if err := f.enter(ctx, spans[i]); err != nil {
			return err
		}
		if err := f.catchUpIn(ctx, spans[i]); err != nil {
			return err
		}
	}
	f.listed = time.Now()
	return nil
}

// enter moves to the beginning of a generation, unless the standby is in it.
func (f *Follower) enter(ctx context.Context, s span) error {
	if f.Position().Generation == s.Generation {
		return nil
	}
	start, err := f.client.start(ctx, s.Manifest)
	if err != nil {
		return err
	}
	f.opts.Logger.Info("following a new primary", "generation", s.Generation, "node", s.Node)
	return f.moveTo(start, s.Node)
}

// rejoin finds a place in a history that the standby's generation isn't part of, or left
// before the standby's last file: what holds everything there is and is newer than the
// standby, a snapshot or a full first file. It returns the span that it is in.
func (f *Follower) rejoin(ctx context.Context, spans []span) (int, error) {
	here := f.db.LastLSN()
	for i, s := range spans {
		bases, err := f.snapshotsIn(ctx, s)
		if err != nil {
			return 0, err
		}
		if s.Parent == 0 {
			bases = append([]fileRef{changeRef(s.Generation, 1)}, bases...)
		}
		if len(bases) == 0 {
			continue
		}
		base := bases[len(bases)-1]
		foot, err := f.client.footerOf(ctx, base)
		if err != nil {
			return 0, fmt.Errorf("replica: looking for where the new history begins: %w", err)
		}
		chain, err := f.db.ChainAt(foot.LSNMax)
		switch {
		case foot.LSNMax > here && (foot.Full || foot.Snapshot):
			f.opts.Logger.Warn("the replica's history has moved on without this standby's; taking in everything", "generation", s.Generation)
			return i, f.takeBase(ctx, base)
		case foot.LSNMax == here && err == nil && chain == foot.Chain:
			return i, f.moveTo(foot.position(), s.Node)
		}
		return 0, f.strayed(here, fmt.Errorf("the newest history has everything up to commit %d (%.8s) in %s", foot.LSNMax, foot.Chain, f.client.nameOf(base)))
	}
	return 0, f.strayed(here, errors.New("the newest history begins nowhere"))
}

// takeBase takes in a snapshot. One that isn't newer than the standby changes nothing, if
// it is of this history.
func (f *Follower) takeBase(ctx context.Context, ref fileRef) error {
	_, err := f.takeIn(ctx, ref)
	if errors.Is(err, ErrCorrupt) {
		f.avoid[ref] = true // the next attempt takes an older one
	}
	return err
}

// snapshotsIn lists the snapshots of a span.
func (f *Follower) snapshotsIn(ctx context.Context, s span) ([]fileRef, error) {
	return f.refs(ctx, s, levelSnapshot)
}

// refs lists the files of a level that lie within a span and aren't known to be damaged.
func (f *Follower) refs(ctx context.Context, s span, level int) ([]fileRef, error) {
	files, err := f.client.list(ctx, generationPath(s.Generation), level)
	if err != nil {
		return nil, err
	}
	var refs []fileRef
	for _, info := range files {
		ref := fileRef{s.Generation, level, info.MinTXID, info.MaxTXID, info.Size}
		if (s.upTo == 0 || info.MaxTXID <= s.upTo) && !f.avoid[ref] {
			refs = append(refs, ref)
		}
	}
	return refs, nil
}

// catchUpIn is catchUp within one generation.
func (f *Follower) catchUpIn(ctx context.Context, s span) error {
	var merged []fileRef
	for level := 1; level <= 3; level++ {
		refs, err := f.refs(ctx, s, level)
		if err != nil {
			return err
		}
		merged = append(merged, refs...)
	}
	snapshots, err := f.snapshotsIn(ctx, s)
	if err != nil {
		return err
	}
	f.note(ctx, merged, snapshots)
	tip := s.upTo // 0 while it isn't known: merged files come first
	for {
		next := f.Position().TXID + 1
		if tip != 0 && next > tip {
			return nil
		}
		ref, found := furthest(merged, next)
		if !found {
			ref = changeRef(s.Generation, next)
			if tip == 0 {
				if tip, err = f.tip(ctx, s.Generation, next); err == nil {
					err = f.takeRun(ctx, s.Generation, next, tip)
				}
				if err != nil {
					return err
				}
				continue
			}
		}
		sealed, err := f.takeIn(ctx, ref)
		switch {
		case err == nil && sealed != nil:
			return nil
		case err == nil:
		case found && (errors.Is(err, ErrCorrupt) || errors.Is(err, fs.ErrNotExist)):
			f.opts.Logger.Error("a merged file can't be used; trying finer ones", "err", err)
			f.avoid[ref] = true
			merged = slices.DeleteFunc(merged, func(r fileRef) bool { return r == ref })
		case errors.Is(err, fs.ErrNotExist):
			if done, err := f.bridge(ctx, s, next, merged, snapshots); done || err != nil {
				return err
			}
			tip = s.upTo
		default:
			return err
		}
	}
}

// tip is the number of a generation's last file as it is now, next when that isn't there.
// Going on for as long as there are files might never end behind a fast primary.
func (f *Follower) tip(ctx context.Context, g uint32, next ltx.TXID) (ltx.TXID, error) {
	_, err := f.client.footerOf(ctx, changeRef(g, next))
	if errors.Is(err, fs.ErrNotExist) {
		return next, nil
	}
	if err != nil {
		return 0, err
	}
	end, err := f.client.endAfter(ctx, g, next)
	return max(end.TXID, next), err
}

// furthest picks, of the files that have a number in them, the one that reaches furthest.
func furthest(files []fileRef, n ltx.TXID) (best fileRef, found bool) {
	for _, r := range files {
		if r.min <= n && n <= r.max && (!found || r.max > best.max) {
			best, found = r, true
		}
	}
	return best, found
}

// bridge goes on where file n is missing: with the newest snapshot behind it. done is true
// when nothing lies behind it, so that n is just the next to come.
func (f *Follower) bridge(ctx context.Context, s span, n ltx.TXID, merged, snapshots []fileRef) (done bool, err error) {
	last := s.upTo
	for _, r := range slices.Concat(merged, snapshots) {
		last = max(last, r.max)
	}
	if last < n {
		return true, nil
	}
	if len(snapshots) > 0 && snapshots[len(snapshots)-1].max >= n {
		base := snapshots[len(snapshots)-1]
		f.opts.Logger.Warn("files have been merged away since this standby followed last; taking in a snapshot", "missing", f.client.nameOf(changeRef(s.Generation, n)))
		return false, f.takeBase(ctx, base)
	}
	name := f.client.nameOf(changeRef(s.Generation, n))
	return false, market.Errorf(market.NotFound, "The replica lacks the file %s, and no merged file or snapshot has what was in it. "+
		"The next snapshot of its server mends that; this standby waits for it.", name).Because(fmt.Errorf("%w: %s", ErrGap, name))
}

// note remembers how far the newest of the listed files reaches, for Lag.
func (f *Follower) note(ctx context.Context, merged, snapshots []fileRef) {
	var newest fileRef
	for _, r := range slices.Concat(merged, snapshots) {
		if r.max > newest.max {
			newest = r
		}
	}
	if newest.max <= f.Position().TXID {
		return
	}
	if last, err := f.client.footerOf(ctx, newest); err == nil {
		f.mu.Lock()
		f.seen = max(f.seen, last.LSNMax)
		f.mu.Unlock()
	}
}
