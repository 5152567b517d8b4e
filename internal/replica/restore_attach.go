package replica

import (
	"context"
	"fmt"
	"os"

	"github.com/souk-market/souk/store"
)

// attachable reports whether a start is a snapshot that can be attached: one of segments.
func (r *restoration) attachable(ctx context.Context, at start) (bool, error) {
	if !r.opts.Attach || at.base.hi == 0 {
		return false, nil
	}
	f, err := at.source.footer(ctx, at.base)
	if unusable(err) {
		return false, nil // the attempt finds out
	}
	return err == nil && len(f.Segments) > 0, err
}

// newAttachedBuilder is newBuilder for a database that is attached to the sources.
func (r *restoration) newAttachedBuilder() (*builder, error) {
	var clients []*Client
	for _, s := range r.inOrder() {
		clients = append(clients, s.client)
	}
	a := newAttachment(r.place.dir, r.opts.Logger, clients)
	target, err := store.NewAttachedRestore(r.place.path(storeDir), a)
	if err != nil {
		return nil, err
	}
	return &builder{restoration: r, target: target, attached: a}, nil
}

// attachSegments takes in the segments of a snapshot where they are. That each is in one
// of the sources is verified by listings, its content when it is fetched.
func (b *builder) attachSegments(ctx context.Context, s *source, f *footer) error {
	if err := b.findSegments(ctx, s, f.Segments); err != nil {
		return err
	}
	tables := make([]store.Attached, len(f.Segments))
	state := &b.attached.state
	for i, seg := range f.Segments {
		tables[i] = store.Attached{Name: attachedName(seg), Size: seg.Size, First: seg.First, Last: seg.Last}
		state.Segments = append(state.Segments, tables[i].Name)
		state.Bytes += seg.Size
	}
	for _, other := range b.inOrder() {
		state.URLs = append(state.URLs, other.client.String())
		state.Keys = append(state.Keys, other.client.keyPrint())
	}
	b.report.Segments += len(f.Segments)
	s.report.Segments += len(f.Segments)
	return b.target.Attach(ctx, tables)
}

// findSegments verifies that each segment is in the workplace or in a source.
func (b *builder) findSegments(ctx context.Context, s *source, segments []segment) error {
	missing := map[int]bool{}
	for i, seg := range segments {
		if _, err := os.Stat(b.place.path(segmentsDir, fmt.Sprintf("%x", seg.Sum))); err != nil {
			missing[i] = true
		}
	}
	for _, from := range b.startingWith(s) {
		if len(missing) == 0 {
			return nil
		}
		files, err := from.client.list(ctx, "", levelSegments)
		if err != nil {
			if from == s {
				return err
			}
			continue
		}
		there := make(map[objectName]bool, len(files))
		for _, f := range files {
			there[objectNameOf(f)] = true
		}
		for i := range missing {
			if !there[from.client.contentName(segments[i].Sum)] {
				continue
			}
			delete(missing, i)
			if from != s {
				b.healObject(s.client.nameOfSegment(segments[i]), os.ErrNotExist, from)
			}
		}
	}
	for i := range missing {
		return &CorruptError{Name: s.client.nameOfSegment(segments[i]), Reason: "the segment is missing, and a snapshot needs it"}
	}
	return nil
}

// finishAttached writes what the directory is attached to.
func (b *builder) finishAttached() error {
	state := &b.attached.state
	state.LSN, state.Since = b.last.LSNMax, b.opts.Clock().UTC()
	b.report.Attached, b.report.AttachedBytes = true, state.Bytes
	return b.attached.write()
}
