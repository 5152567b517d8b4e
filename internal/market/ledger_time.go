package market

import "time"

// PostingsBefore is the last ID that a posting of an earlier millisecond than t's can
// have: those after it are of t's millisecond or later. It is "" where none is earlier.
// Postings are kept by ID, so a walk over them is in order of time, and one of a span of
// time begins after PostingsBefore of its start.
func PostingsBefore(t time.Time) PostingID {
	var none PostingID
	if t.UnixMilli() <= 0 {
		return none
	}
	last := ulid{uint64(t.UnixMilli()-1)<<16 | 0xffff, ^uint64(0)}
	return PostingID(encodeID(none.prefix(), last))
}

// Dated checks that the ID is of the posting's time, to the millisecond, so that the
// order of IDs is the order of time.
func (p *Posting) Dated() error {
	if t := IDTime(p.ID); t.IsZero() || t.UnixMilli() != p.At.UnixMilli() {
		return Errorf(Invalid, "the ID of posting %s isn't one of its time, %s", p.ID, p.At.UTC().Format(time.RFC3339Nano))
	}
	return nil
}

// Reverse is the posting that takes p back: its entries the other way round, at a time
// and for a cause of its own ("reversal:pst_…"). p itself stays as it is.
func Reverse(p *Posting, cause string, at time.Time) Posting {
	r := Posting{ID: NewPostingID(at), Cause: cause, At: at}
	for _, e := range p.Entries {
		r.add(e.Account, e.Amount.Neg())
	}
	return r
}
