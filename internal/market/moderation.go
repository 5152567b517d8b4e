package market

import (
	"strings"
	"time"
)

// SellerState follows a seller.
//
//	applied → pending_verification → approved ↔ limited ↔ suspended → terminated
//	applied | pending_verification → rejected
//
// limited has no payouts or no new listings. Besides these, approved → suspended: a
// suspected fraud takes no step in between. Only Reapply leads out of rejected.
type SellerState string

const (
	SellerApplied             SellerState = "applied"
	SellerPendingVerification SellerState = "pending_verification"
	SellerApproved            SellerState = "approved"
	SellerLimited             SellerState = "limited"
	SellerSuspended           SellerState = "suspended"
	SellerTerminated          SellerState = "terminated"
	SellerRejected            SellerState = "rejected"
)

var sellerMoves = moves[SellerState]{
	SellerApplied:             {SellerPendingVerification, SellerRejected},
	SellerPendingVerification: {SellerApproved, SellerRejected},
	SellerApproved:            {SellerLimited, SellerSuspended},
	SellerLimited:             {SellerApproved, SellerSuspended},
	SellerSuspended:           {SellerLimited, SellerTerminated},
}

// To returns the state after a move, or Conflict.
func (s SellerState) To(next SellerState) (SellerState, error) {
	return sellerMoves.to("seller", s, next)
}

// Reapply is the move of a rejected seller who tries again, from the time on that the
// marketplace has set.
func (s SellerState) Reapply(now, from time.Time) (SellerState, error) {
	if s == SellerRejected && now.Before(from) {
		return s, Errorf(Conflict, "You can apply again from %s on.", from.UTC().Format("2 January 2006"))
	}
	return moves[SellerState]{SellerRejected: {SellerApplied}}.to("seller", s, SellerApplied)
}

// ReviewState follows what a buyer says of an agent.
//
//	pending → published | rejected
//	published → flagged → published | removed
//	published | flagged → excluded (refunded, disputed) → published (the dispute is won)
type ReviewState string

const (
	ReviewPending   ReviewState = "pending"
	ReviewPublished ReviewState = "published"
	ReviewRejected  ReviewState = "rejected"
	ReviewFlagged   ReviewState = "flagged"
	ReviewRemoved   ReviewState = "removed"
	ReviewExcluded  ReviewState = "excluded"
)

var reviewMoves = moves[ReviewState]{
	ReviewPending:   {ReviewPublished, ReviewRejected},
	ReviewPublished: {ReviewFlagged, ReviewExcluded},
	ReviewFlagged:   {ReviewPublished, ReviewRemoved, ReviewExcluded},
	ReviewExcluded:  {ReviewPublished},
}

// To returns the state after a move, or Conflict.
func (s ReviewState) To(next ReviewState) (ReviewState, error) {
	return reviewMoves.to("review", s, next)
}

// Visible reports whether a reader sees the review: everyone while it is published or
// flagged, and until it is rejected or removed its author.
func (s ReviewState) Visible(author bool) bool {
	switch s {
	case ReviewPublished, ReviewFlagged:
		return true
	case ReviewPending, ReviewExcluded:
		return author
	}
	return false
}

// CaseState follows a report and what becomes of it.
//
//	open → triaged → decided (by Decide) → appealed → closed
//
// Besides these, decided → closed when nobody appeals.
type CaseState string

const (
	CaseOpen     CaseState = "open"
	CaseTriaged  CaseState = "triaged"
	CaseDecided  CaseState = "decided"
	CaseAppealed CaseState = "appealed"
	CaseClosed   CaseState = "closed"
)

var caseMoves = moves[CaseState]{
	CaseOpen:     {CaseTriaged},
	CaseDecided:  {CaseAppealed, CaseClosed},
	CaseAppealed: {CaseClosed},
}

// To returns the state after a move, or Conflict.
func (s CaseState) To(next CaseState) (CaseState, error) { return caseMoves.to("case", s, next) }

// Decide is the move to decided: it names what is done ("none" too) and why, for both
// are told to who is concerned.
func (s CaseState) Decide(action, reasons string) (CaseState, error) {
	if strings.TrimSpace(action) == "" {
		return s, FieldErrorf("action", "Say what is done about it, if only that nothing is.")
	}
	return moves[CaseState]{CaseTriaged: {CaseDecided}}.toFor(reasons, "case", s, CaseDecided)
}
