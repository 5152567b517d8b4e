package replica

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/souk-market/souk/store"
)

// start is where an attempt begins: with a snapshot of a source, or with its first file.
type start struct {
	source *source
	base   lineFile // hi is 0 for none
}

// build makes the whole directory in the workplace. It tries one start after the other
// until one leads to the goal: the snapshots of the main source, newest first, then those
// of the others. From each it goes as far as files of any source lead.
func (r *restoration) build(ctx context.Context) error {
	for {
		s, ok, err := r.nextStart(ctx)
		if err != nil {
			return err
		}
		if !ok {
			if len(r.tried) > 0 { // what has been built is more than listed: it has been read
				return r.upTo(r.obstacle, r.builtTo)
			}
			return r.upTo(r.obstacle, r.listed)
		}
		r.tried[s] = true
		done, err := r.attempt(ctx, s)
		if err != nil || done {
			return err
		}
	}
}

// nextStart chooses a start that hasn't been tried: first those from which the listed
// files of one source lead to the goal, then, if there are several sources, any that
// leads further than the attempts before.
func (r *restoration) nextStart(ctx context.Context) (start, bool, error) {
	var rest []start
	for _, s := range r.inOrder() {
		for _, base := range append(s.usableBases(), lineFile{}) {
			at := start{s, base}
			if s.goal == 0 || r.tried[at] {
				continue
			}
			reached := s.goal
			if base.hi < s.goal {
				_, reached = s.way(base.hi, s.goal)
			}
			if reached == s.goal && s.lsn() == r.main.lsn() {
				return at, true, nil
			}
			if reached < s.goal {
				r.blocked(ctx, s, reached)
			}
			rest = append(rest, at)
		}
	}
	if len(r.sources) == 1 {
		return start{}, false, nil
	}
	for _, at := range rest {
		further, err := r.leadsFurther(ctx, at)
		if further || err != nil {
			return at, further, err
		}
	}
	return start{}, false, nil
}

// inOrder returns the sources, the main one first.
func (r *restoration) inOrder() []*source {
	sources := []*source{r.main}
	for _, s := range r.sources {
		if s != r.main {
			sources = append(sources, s)
		}
	}
	return sources
}

// blocked notes what ends the way to the goal, and how far it leads by the listing.
func (r *restoration) blocked(ctx context.Context, s *source, reached point) {
	if r.obstacle == nil {
		r.obstacle = s.obstacle(reached + 1)
	}
	if s != r.main || reached == 0 {
		return
	}
	end, f, err := s.lastEnd(ctx, reached, func(*footer) bool { return false })
	if err == nil && end != nil && end.hi == reached {
		r.listed = max(r.listed, f.LSNMax)
	}
}

// leadsFurther reports whether the files listed after a start end beyond what has been
// built so far.
func (r *restoration) leadsFurther(ctx context.Context, at start) (bool, error) {
	_, reached := at.source.way(at.base.hi, at.source.goal)
	_, f, err := at.source.lastEnd(ctx, max(reached, at.base.hi), func(*footer) bool { return false })
	return err == nil && f != nil && f.LSNMax > r.builtTo, err
}

// attempt builds from a start. It returns false when no file leads on.
func (r *restoration) attempt(ctx context.Context, at start) (done bool, err error) {
	if err := r.place.clear(); err != nil {
		return false, err
	}
	r.report.reset()
	attach, err := r.attachable(ctx, at)
	if err != nil {
		return false, err
	}
	newBuilder := r.newBuilder
	switch {
	case attach:
		newBuilder = r.newAttachedBuilder
	case r.opts.Attach:
		r.opts.Logger.Warn("no snapshot leads there that can be attached; everything is downloaded, which takes as long as without attaching", "replica", at.source.client)
	}
	b, err := newBuilder()
	if err != nil {
		return false, err
	}
	defer b.close()
	from := at.base.hi
	if from != 0 {
		if err := b.applyBase(ctx, at.source, at.base); err != nil {
			return false, r.passOver(at.source, at.base, err)
		}
		r.healed(at.source.client.nameOf(at.base.fileRef))
	}
	s := at.source
	for {
		if from, err = r.follow(ctx, b, s, from); err != nil {
			return false, err
		}
		if b.last != nil {
			r.builtTo = max(r.builtTo, b.last.LSNMax)
		}
		if from == s.goal && (s == r.main || b.last.LSNMax == r.main.lsn()) {
			return true, b.finish(ctx, s)
		}
		if s, from, err = r.cross(ctx, b, s); err != nil || s == nil {
			return false, err
		}
	}
}

// follow applies a source's files from a place on, and returns how far they lead.
// Damaged and missing ones are passed over if others lead on.
func (r *restoration) follow(ctx context.Context, b *builder, s *source, from point) (point, error) {
	for {
		files, reached := s.way(from, s.goal)
		applied, err := b.applyAll(ctx, s, files)
		if applied > 0 {
			from = files[applied-1].hi
		}
		if err == nil {
			if reached < s.goal {
				r.blocked(ctx, s, reached)
			}
			return reached, nil
		}
		if err := r.passOver(s, files[applied], err); err != nil {
			return from, err
		}
	}
}

// passOver notes that a file can't be used; other errors than that are returned.
func (r *restoration) passOver(s *source, f lineFile, err error) error {
	if !unusable(err) {
		return err
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: %w", s.obstacle(f.hi), err)
	}
	s.spoil(f.fileRef, err)
	name := s.client.nameOf(f.fileRef)
	var bad *CorruptError
	if errors.As(err, &bad) { // of a snapshot it may be a segment
		name = bad.Name
	}
	r.spoiled(name, err)
	if r.obstacle == nil {
		r.obstacle = err
	}
	return nil
}

// cross finds another source with a file that leads on from the last commit. It returns
// nil when there is none.
func (r *restoration) cross(ctx context.Context, b *builder, from *source) (*source, point, error) {
	if b.last == nil {
		return nil, 0, nil
	}
	for _, s := range r.inOrder() {
		if s == from || s.goal == 0 {
			continue
		}
		at, ok, err := r.enter(ctx, b, from, s)
		if err != nil {
			return nil, 0, err
		}
		if ok {
			r.opts.Logger.Warn("going on with another replica", "replica", s.client.String(), "commit", b.last.LSNMax)
			return s, at, nil
		}
	}
	return nil, 0, nil
}

// enter finds the place of a source from which a file leads on from the last commit.
func (r *restoration) enter(ctx context.Context, b *builder, from, s *source) (point, bool, error) {
	lsn := b.last.LSNMax
	before, next, nextAt, err := s.endsAround(ctx, lsn)
	if err != nil || next == nil {
		return 0, false, err
	}
	if nextAt.LSNMax == lsn {
		if nextAt.Chain != b.last.Chain {
			return 0, false, r.differ(s, lsn, b.last.Chain, nextAt.Chain)
		}
		_, reached := s.way(next.hi, s.goal)
		return next.hi, reached > next.hi, nil
	}
	places := []point{0}
	if before != nil {
		places[0] = before.hi
	}
	if next.level != levelSnapshot { // what lies between the two may be missing
		places = append(places, next.lo-1)
	}
	for _, at := range places {
		files, _ := s.way(at, s.goal)
		if len(files) == 0 {
			continue
		}
		f, err := s.footer(ctx, files[0])
		if unusable(err) {
			return r.enter(ctx, b, from, s)
		}
		if err != nil {
			return 0, false, err
		}
		if ok, err := r.mayJoin(ctx, b, from, s, f); ok || err != nil {
			return at, ok, err
		}
	}
	return 0, false, nil
}

// mayJoin reports whether a file of another source may be applied to what has been built.
func (r *restoration) mayJoin(ctx context.Context, b *builder, from, s *source, f *footer) (bool, error) {
	lsn := b.last.LSNMax
	switch {
	case f.LSNMin-1 > lsn || f.LSNMax <= lsn:
		return false, nil
	case f.LSNMin-1 == lsn && f.PrevChain == b.last.Chain:
		return true, nil
	case f.LSNMin-1 == lsn:
		return false, r.differ(s, lsn, b.last.Chain, f.PrevChain)
	case f.Node != b.last.Node:
		return false, nil
	}
	_, err := r.agree(ctx, from, s, lsn)
	return err == nil, err
}

// standIn names a file in a report of what it stood in for.
func standIn(s *source, f lineFile, lsn store.LSN) string {
	return fmt.Sprintf("%s (up to commit %d)", s.client.nameOf(f.fileRef), lsn)
}
