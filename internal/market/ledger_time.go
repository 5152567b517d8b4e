package market

import (
	"bytes"
	"encoding/binary"
	"strings"
	"time"
)

// Time is the millisecond that the ID was made for; false for what isn't an ID as
// NewPostingID makes them. Postings are kept by ID, so a walk over them is in order of
// time, and one of a span of time begins at PostingsBefore of its start.
func (id PostingID) Time() (time.Time, bool) {
	text, ok := strings.CutPrefix(string(id), postingPrefix+"_")
	if !ok || len(text) != idDigits || text[0] > '7' {
		return time.Time{}, false
	}
	padded, err := crockford.DecodeString(text + "000000")
	if err != nil || crockford.EncodeToString(padded)[:idDigits] != text {
		return time.Time{}, false
	}
	// 26 digits are 130 bits, the first two of them zero; the time is in the next 48.
	return time.UnixMilli(int64(binary.BigEndian.Uint64(padded[:8]) << 2 >> 16)).UTC(), true
}

// PostingsBefore is the last ID that a posting of an earlier millisecond than t's can
// have: those after it are of t's millisecond or later. It is "" where none is earlier.
func PostingsBefore(t time.Time) PostingID {
	if t.UnixMilli() <= 0 {
		return ""
	}
	// The time stands behind two zero bits; all bits behind it are ones.
	padded := bytes.Repeat([]byte{0xff}, 20)
	binary.BigEndian.PutUint64(padded, uint64(t.UnixMilli()-1)<<14|(1<<14-1))
	return PostingID(postingPrefix + "_" + crockford.EncodeToString(padded)[:idDigits])
}

const (
	postingPrefix = "pst"
	idDigits      = 26
)

// Dated checks that the ID is of the posting's time, to the millisecond, so that the
// order of IDs is the order of time.
func (p *Posting) Dated() error {
	if t, ok := p.ID.Time(); !ok || t.UnixMilli() != p.At.UnixMilli() {
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
