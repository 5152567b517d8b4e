// Package ledger hands the books out: every posting of a marketplace as CSV, for a
// spreadsheet, and in beancount's form, for a ledger that somebody else can check.
//
// It promises that an export is one moment of the books in the order of time, that no
// cent in it differs from what is stored, that its memory grows with the number of
// accounts and not with that of postings, and that no text in it is taken for a formula
// or a directive.
//
// It leaves to store what a posting is and how it comes in (store.Post), and to its
// caller who may see the books.
package ledger

import (
	"iter"
	"time"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// Span is a span of time from From on, before To; a zero time is no bound.
type Span struct {
	From, To time.Time
}

// check refuses a span that ends before it begins.
func (s Span) check() error {
	if !s.From.IsZero() && !s.To.IsZero() && s.To.Before(s.From) {
		return market.FieldErrorf("to", "The end of the span, %s, lies before its beginning, %s.", s.To.Format(time.RFC3339), s.From.Format(time.RFC3339))
	}
	return nil
}

func (s Span) isBefore(at time.Time) bool { return !s.From.IsZero() && at.Before(s.From) }
func (s Span) isAfter(at time.Time) bool  { return !s.To.IsZero() && !at.Before(s.To) }

// postings yields the postings of a span in order of time; those of one millisecond in
// the order of their IDs.
func postings(tx store.Reader, s Span) iter.Seq2[market.Posting, error] {
	return func(yield func(market.Posting, error) bool) {
		for p, err := range store.Postings.All(tx, firstOf(s)) {
			switch {
			case err == nil && s.isBefore(p.At): // earlier in the same millisecond
				continue
			case err == nil && s.isAfter(p.At):
				if p.At.UnixMilli() > s.To.UnixMilli() {
					return
				}
				continue
			}
			if !yield(p, err) {
				return
			}
		}
	}
}

func firstOf(s Span) market.PostingID {
	if s.From.IsZero() {
		return ""
	}
	return market.PostingsBefore(s.From)
}
