package drill

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// compare holds the restored database, whose check was rep, against the live one.
func (w *work) compare(ctx context.Context, restored *store.DB, rep *store.Report) error {
	switch {
	case w.DB == nil:
		return nil
	case w.Source.Replicator != nil:
		return w.compareWhole(ctx, restored, rep)
	}
	return w.comparePart(ctx, restored, rep)
}

// compareWhole wants the restored database to be what the live one was when it was pinned.
func (w *work) compareWhole(ctx context.Context, restored *store.DB, rep *store.Report) error {
	if rep.LSN != w.position.LSN || rep.Chain != w.position.Chain || rep.Digest != w.digest {
		return market.Errorf(market.Conflict, "The restored data differs from the live database at commit %d (restored: commit %d, digest %x; live: digest %x). "+
			"Keep both, and begin a replica at an empty path.", w.position.LSN, rep.LSN, rep.Digest[:8], w.digest[:8])
	}
	err := restored.View(ctx, w.Tenant, func(tx *store.ReadTx) error {
		_, err := store.Drills.Load(tx, w.drill.ID)
		return err
	})
	if market.KindOf(err) == market.NotFound {
		return market.Errorf(market.Conflict, "The restored data lacks the last commit before it, the drill's own record.")
	}
	w.drill.Compared, w.drill.Digest = market.DrillWhole, hex.EncodeToString(rep.Digest[:])
	return err
}

// maxBehind is how many commits a replica may be behind to be compared: their keys are
// held in memory.
const maxBehind = 200_000

// comparePart compares what hasn't changed in the live database since the replica's last
// commit, at any number of commits up to maxBehind.
func (w *work) comparePart(ctx context.Context, restored *store.DB, rep *store.Report) error {
	live, err := w.DB.Snapshot(ctx)
	if err != nil {
		return err
	}
	defer live.Close()
	changed, err := w.changedSince(live, rep)
	if errors.Is(err, store.ErrLogCut) {
		return nil
	}
	if err != nil {
		return err
	}
	snap, err := restored.Snapshot(ctx)
	if err != nil {
		return err
	}
	defer snap.Close()
	w.Progress("comparing with the live database", 0, 0)
	got, err := digestWithout(ctx, snap, changed)
	if err != nil {
		return err
	}
	want, err := digestWithout(ctx, live, changed)
	if err != nil {
		return err
	}
	if got != want {
		return market.Errorf(market.Conflict, "The restored data differs from the live database in what hasn't changed since commit %d "+
			"(restored: digest %x; live: digest %x). Keep both, and begin a replica at an empty path.", rep.LSN, got[:8], want[:8])
	}
	w.drill.Compared, w.drill.Digest = market.DrillPart, hex.EncodeToString(got[:])
	if len(changed) == 0 {
		w.drill.Compared = market.DrillWhole
	}
	return nil
}

// changedSince returns the keys, sorted, that commits after the restored one changed.
// Errors: Conflict when the replica isn't of this database's history; store.ErrLogCut
// when the change log doesn't tell any more.
func (w *work) changedSince(live *store.Snapshot, rep *store.Report) ([]store.Key, error) {
	const foreign = "The replica %s holds commit %d, which isn't one of this marketplace's. Check the address: it may be another marketplace's, or of a server that has taken over."
	if rep.LSN > live.LSN() {
		return nil, market.Errorf(market.Conflict, foreign, w.drill.Source, rep.LSN)
	}
	if live.LSN()-rep.LSN > maxBehind {
		return nil, store.ErrLogCut
	}
	chain := live.Chain()
	if rep.LSN < live.LSN() {
		own, err := live.Changes(rep.LSN-1, 1)
		if err != nil {
			return nil, err
		}
		chain = own.Chain
	}
	if chain != rep.Chain {
		return nil, market.Errorf(market.Conflict, foreign, w.drill.Source, rep.LSN)
	}
	changes, err := live.Changes(rep.LSN, maxBehind)
	if err != nil {
		return nil, err
	}
	return changes.Keys, nil
}

// digestWithout is a SHA-256 over all keys and values with their lengths but those of the
// keys to skip, which are sorted.
func digestWithout(ctx context.Context, s *store.Snapshot, skip []store.Key) (sum [32]byte, err error) {
	h, n := sha256.New(), 0
	for kv, err := range s.All() {
		if err != nil {
			return sum, err
		}
		if n++; n%4096 == 0 && ctx.Err() != nil {
			return sum, ctx.Err()
		}
		for len(skip) > 0 && bytes.Compare(skip[0], kv.Key) < 0 {
			skip = skip[1:]
		}
		if len(skip) > 0 && bytes.Equal(skip[0], kv.Key) {
			continue
		}
		writeSized(h, kv.Key)
		writeSized(h, kv.Value)
	}
	return [32]byte(h.Sum(nil)), nil
}

func writeSized(h hash.Hash, b []byte) {
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(b)))
	h.Write(n[:])
	h.Write(b)
}
