package replica

import (
	"context"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// Replicas of one marketplace cut their files at different commits. What shows that two
// of them hold one history is the chain, a hash over all commits up to one: wherever a
// file of each ends at the same commit, the chains are equal, and then everything before
// is. Where they are not, the histories differ, and nothing of one is ever mixed into a
// restore of the other.
//
// Between such commits a file of another replica is taken only if the node that wrote it
// is the one that wrote what it goes on from. A node is one incarnation of a data
// directory and has one history, unless two servers ran on copies of the directory: those
// are told apart at the next commit at which both replicas have an end.

// joinWindow is how many file ends on each side of a commit are compared.
const joinWindow = 64

// relateAll verifies that every other source belongs to the history of the main one.
func (r *restoration) relateAll(ctx context.Context) error {
	for _, s := range r.sources {
		if s == r.main || s.goalAt == nil { // nothing there up to the target
			continue
		}
		if err := r.relate(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (r *restoration) relate(ctx context.Context, s *source) error {
	_, next, nextAt, err := r.main.endsAround(ctx, s.lsn())
	if err != nil {
		return err
	}
	if next != nil && nextAt.LSNMax == s.lsn() {
		if nextAt.Chain != s.goalAt.Chain {
			return r.differ(s, s.lsn(), nextAt.Chain, s.goalAt.Chain)
		}
		return nil
	}
	agreed, err := r.agree(ctx, r.main, s, s.lsn())
	if err != nil {
		return err
	}
	if agreed != 0 || sharesNode(r.main, s) {
		return nil
	}
	return market.Errorf(market.Conflict, "The replicas %s and %s can't be shown to be of one marketplace: no node has written to both, and no commit of both can be compared. "+
		"Restore from one of them.", r.main.client, s.client).Because(ErrForeign)
}

func (r *restoration) differ(s *source, lsn store.LSN, main, other store.Chain) error {
	reason := ErrDiverged
	if !sharesNode(r.main, s) {
		reason = ErrForeign
	}
	return market.Errorf(market.Conflict, "The replicas %s and %s hold different histories: commit %d is %.8s in the first and %.8s in the second. "+
		"Restore from one of them.", r.main.client, s.client, lsn, main, other).Because(reason)
}

func sharesNode(a, b *source) bool {
	nodes := a.nodes()
	for n := range b.nodes() {
		if nodes[n] {
			return true
		}
	}
	return false
}

// agree compares the chains of two sources wherever both have a file's end near a
// commit. It returns the last commit at which they are equal, 0 when they have no end in
// common, and an error when they hold different histories.
func (r *restoration) agree(ctx context.Context, a, b *source, near store.LSN) (store.LSN, error) {
	inA, err := a.chainsNear(ctx, near)
	if err != nil {
		return 0, err
	}
	inB, err := b.chainsNear(ctx, near)
	if err != nil {
		return 0, err
	}
	var agreed store.LSN
	for lsn, chain := range inA {
		other, both := inB[lsn]
		if both && chain != other {
			s, mine, theirs := b, chain, other
			if b == r.main {
				s, mine, theirs = a, other, chain
			}
			return 0, r.differ(s, lsn, mine, theirs)
		}
		if both {
			agreed = max(agreed, lsn)
		}
	}
	return agreed, nil
}

// chainsNear reads the chains at the file ends next to a commit. A damaged file has
// none, but the file after it says from where it goes on.
func (s *source) chainsNear(ctx context.Context, near store.LSN) (map[store.LSN]store.Chain, error) {
	before, _, _, err := s.endsAround(ctx, near)
	if err != nil {
		return nil, err
	}
	ends := s.ends(s.goal)
	middle := 0
	for middle < len(ends) && before != nil && ends[middle].hi <= before.hi {
		middle++
	}
	ends = ends[max(0, middle-joinWindow):min(len(ends), middle+joinWindow)]
	chains := map[store.LSN]store.Chain{}
	for _, f := range ends {
		at, err := s.footer(ctx, f)
		if unusable(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		chains[at.LSNMax] = at.Chain
		if !at.Snapshot && at.LSNMin > 1 {
			chains[at.LSNMin-1] = at.PrevChain
		}
	}
	return chains, nil
}
