package replica

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// builder fills one database from files in order.
type builder struct {
	*restoration
	target   *store.Restore
	attached *Attachment // nil unless the database is attached
	last     *footer     // of the file applied last; nil before the first
	source   *source     // that the file applied last is from
	folded   folding
	seq      int // numbers downloads
}

func (r *restoration) newBuilder() (*builder, error) {
	target, err := store.NewRestore(r.place.path(storeDir))
	if err != nil {
		return nil, err
	}
	return &builder{restoration: r, target: target}, nil
}

// close gives up the database; after finish it does nothing.
func (b *builder) close() { b.target.Close() }

// finish fetches the blobs, writes the head and fills in the report.
func (b *builder) finish(ctx context.Context, s *source) error {
	if b.last == nil {
		return s.nothingFor(b.restoration.target)
	}
	var err error
	if b.attached != nil { // blobs come with the rest
		err = b.finishAttached()
	} else {
		err = b.fetchBlobs(ctx)
	}
	if err != nil {
		return err
	}
	f, now := b.last, b.opts.Clock().UTC()
	rep := &b.report
	rep.Generation, rep.TXID = f.Generation, f.TXID
	rep.LSN, rep.Chain, rep.Time = f.LSNMax, f.Chain, f.time()
	rep.Committed, rep.Age = time.UnixMilli(f.Committed).UTC(), now.Sub(f.time())
	return b.target.Finish(store.Head{
		LSN: f.LSNMax, Chain: f.Chain, Time: rep.Committed,
		Origin: store.Origin{
			Generation: f.Generation, TXID: f.TXID, LSN: f.LSNMax, Chain: f.Chain, Restored: now,
			Node: f.Node, Past: b.restoration.target.past(),
		},
	})
}

// download is a file that is being or has been fetched.
type download struct {
	file lineFile
	path string
	cf   *changeFile
	err  error
}

// fetchAhead is how many files are downloaded before they are needed.
const fetchAhead = 8

// applyAll applies files in order while later ones are being downloaded, and returns how
// many it applied.
func (b *builder) applyAll(ctx context.Context, s *source, files []lineFile) (applied int, err error) {
	outer := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, f := range files {
		b.meter.expect(f.size)
	}
	for result := range b.fetchAll(ctx, s, files) { // drained also after an error, so that no download outlives this
		d := <-result
		if err == nil {
			if err = b.apply(ctx, s, d); err == nil {
				applied++
			}
		}
		if err != nil {
			cancel()
		}
		if d.cf != nil {
			d.cf.close()
		}
		os.Remove(d.path) // there only if it was large
	}
	for _, f := range files[applied:] {
		b.meter.expect(-f.size)
	}
	if err == nil {
		err = outer.Err() // the queue may have ended early
	}
	if err == nil || unusable(err) {
		if flushed := b.flush(outer); flushed != nil {
			return applied, flushed
		}
	}
	return applied, err
}

// fetchAll downloads files, some ahead of the one that is received.
func (b *builder) fetchAll(ctx context.Context, s *source, files []lineFile) <-chan chan download {
	queue := make(chan chan download, fetchAhead)
	go func() {
		defer close(queue)
		for _, f := range files {
			result := make(chan download, 1)
			b.seq++
			path := b.place.path(tmpDir, fmt.Sprintf("file-%d", b.seq))
			select {
			case queue <- result:
				go func() { result <- b.fetch(ctx, s, f, path) }()
			case <-ctx.Done():
				return
			}
		}
	}()
	return queue
}

// fetch downloads one file.
func (b *builder) fetch(ctx context.Context, s *source, f lineFile, path string) download {
	d := download{file: f, path: path}
	d.err = persist(ctx, func() (err error) {
		d.cf, err = s.client.fetch(ctx, f.fileRef, path)
		return err
	})
	return d
}

// apply verifies that a file goes on where the last one ended, and takes it in.
func (b *builder) apply(ctx context.Context, s *source, d download) error {
	if d.err != nil {
		return d.err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.client.expect(d.file.fileRef, &d.cf.footer); err != nil {
		return err
	}
	if err := b.follows(s, d.cf); err != nil {
		return err
	}
	if err := knownSchema(&d.cf.footer); err != nil {
		return err
	}
	if d.cf.Seal == nil && (b.last == nil || d.cf.LSNMax > b.last.LSNMax) {
		if err := b.takeIn(ctx, d); err != nil {
			return err
		}
		b.last, b.source = &d.cf.footer, s
		b.count(s, d.file.size)
	}
	b.healed(standIn(s, d.file, d.cf.LSNMax))
	b.meter.advance(d.file.size)
	return nil
}

// count adds a file that was applied to the report.
func (b *builder) count(s *source, size int64) {
	b.report.Files++
	b.report.Bytes += size
	s.report.Files++
	s.report.Bytes += size
}

func knownSchema(f *footer) error {
	if f.Schema <= store.SchemaVersion {
		return nil
	}
	return market.Errorf(market.Conflict, "The replica's data has schema version %d, and this souk knows version %d. Use a newer souk for it.",
		f.Schema, store.SchemaVersion)
}

// follows verifies the thread through the files: each begins with the LSN and chain
// that the one before ended with. A file that begins earlier and ends later may be
// applied too: it holds all keys changed in between, with their values at its end. Then
// the source's own numbers, or the way into the source, have shown that it belongs here.
func (b *builder) follows(s *source, cf *changeFile) error {
	var lsn store.LSN
	var chain store.Chain
	if b.last != nil {
		lsn, chain = b.last.LSNMax, b.last.Chain
	}
	switch {
	case cf.LSNMin == lsn+1 && cf.PrevChain == chain:
		return b.linked(s, cf)
	case cf.LSNMax == lsn && cf.Chain == chain: // it brings nothing new
		return nil
	case cf.LSNMin <= lsn && lsn < cf.LSNMax && b.last != nil:
		return nil
	}
	return &CorruptError{Name: cf.name, Reason: fmt.Sprintf("it goes on from commit %d (%.8s), but the files before it end with commit %d (%.8s)",
		cf.LSNMin-1, cf.PrevChain, lsn, chain)}
}

// linked verifies the chain of MACs in a replica with a key: a file that goes on from
// another carries that one's link. The links of another replica say nothing.
func (b *builder) linked(s *source, cf *changeFile) error {
	if b.last == nil || b.source != s || b.last.Link == (Link{}) || cf.PrevLink == b.last.Link {
		return nil
	}
	if cf.PrevLink == (Link{}) && cf.Generation != b.last.Generation {
		return nil // a generation that was opened on a directory from another replica
	}
	return &CorruptError{Name: cf.name, Reason: "it doesn't carry the link of the file before it"}
}

// takeIn verifies a file's tables and brings them into the database: small ones by way
// of the fold, others as they are.
func (b *builder) takeIn(ctx context.Context, d download) error {
	if !d.cf.Full && (d.file.size <= foldUpTo || d.cf.weakDeletions()) {
		return b.foldIn(ctx, d.cf)
	}
	if err := b.flush(ctx); err != nil {
		return err
	}
	return b.ingestTables(ctx, d)
}

// ingestTables ingests the tables of a file one after the other. All are verified
// before the first is taken in: a file is applied as a whole or not at all.
func (b *builder) ingestTables(ctx context.Context, d download) (err error) {
	paths := make([]string, len(d.cf.Tables))
	defer func() {
		for _, path := range paths {
			os.Remove(path) // gone already where ingesting renamed it
		}
	}()
	for i := range paths {
		paths[i] = d.path + fmt.Sprintf("-%d.sst", i)
		if err := d.cf.extract(i, paths[i], func(_, _ []byte, _ bool) error { return ctx.Err() }); err != nil {
			return err
		}
	}
	for _, path := range paths {
		if err := b.target.Ingest(ctx, path); err != nil {
			return err
		}
	}
	return nil
}

// applyBase begins the database with a snapshot.
func (b *builder) applyBase(ctx context.Context, s *source, base lineFile) error {
	b.meter.expect(base.size)
	d := b.fetch(ctx, s, base, b.place.path(tmpDir, "snapshot"))
	if d.cf != nil {
		defer d.cf.close()
	}
	defer os.Remove(d.path)
	err := d.err
	if err == nil {
		err = s.client.expect(base.fileRef, &d.cf.footer)
	}
	if err == nil {
		err = knownSchema(&d.cf.footer)
	}
	if err == nil {
		err = b.ingestTables(ctx, d)
	}
	switch {
	case err != nil || len(d.cf.Segments) == 0:
	case b.attached != nil:
		b.attached.state.Snapshot = d.cf.name
		err = b.attachSegments(ctx, s, &d.cf.footer)
	default:
		err = b.applySegments(ctx, s, d.cf.Segments)
	}
	if err != nil {
		b.meter.expect(-base.size)
		return err
	}
	b.meter.advance(base.size)
	b.last, b.source = &d.cf.footer, s
	b.count(s, base.size)
	return nil
}
