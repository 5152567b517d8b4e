package market

// ListingState is where an agent stands on its way to the shelf.
//
//	draft → in_review ↔ changes_requested
//	in_review → approved → published ↔ unlisted
//	published → paused (by its seller)
//	published → suspended (by the operator, with a reason) → published | removed
//	all of these but suspended and removed → archived (owners keep access)
//
// Besides these, draft → published where nobody reviews; paused → published, when its
// seller sells again; and unlisted | paused → suspended: buyers reach their files too.
type ListingState string

const (
	ListingDraft            ListingState = "draft"
	ListingInReview         ListingState = "in_review"
	ListingChangesRequested ListingState = "changes_requested"
	ListingApproved         ListingState = "approved"
	ListingPublished        ListingState = "published"
	ListingUnlisted         ListingState = "unlisted" // for who has its address
	ListingPaused           ListingState = "paused"
	ListingSuspended        ListingState = "suspended"
	ListingRemoved          ListingState = "removed"
	ListingArchived         ListingState = "archived"
)

var listingMoves = moves[ListingState]{
	ListingDraft:            {ListingInReview, ListingPublished, ListingArchived},
	ListingInReview:         {ListingChangesRequested, ListingApproved, ListingArchived},
	ListingChangesRequested: {ListingInReview, ListingArchived},
	ListingApproved:         {ListingPublished, ListingArchived},
	ListingPublished:        {ListingUnlisted, ListingPaused, ListingSuspended, ListingArchived},
	ListingUnlisted:         {ListingPublished, ListingSuspended, ListingArchived},
	ListingPaused:           {ListingPublished, ListingSuspended, ListingArchived},
	ListingSuspended:        {ListingPublished, ListingRemoved},
}

// To returns the state after a move, or Conflict when the diagram has no such arrow.
func (s ListingState) To(next ListingState) (ListingState, error) {
	return listingMoves.to("listing", s, next)
}

// ReleaseState follows a version, and likewise a change request, from upload to buyers.
//
//	uploaded → scanning → blocked | needs_review | auto_ok
//	auto_ok | needs_review → approved → live → superseded | yanked
//
// Besides these, needs_review → blocked, the reviewer's no; and superseded → yanked, for
// owners still download old versions. A person may Overrule blocked.
type ReleaseState string

const (
	ReleaseUploaded    ReleaseState = "uploaded"
	ReleaseScanning    ReleaseState = "scanning"
	ReleaseBlocked     ReleaseState = "blocked"
	ReleaseNeedsReview ReleaseState = "needs_review"
	ReleaseAutoOK      ReleaseState = "auto_ok"
	ReleaseApproved    ReleaseState = "approved"
	ReleaseLive        ReleaseState = "live"
	ReleaseSuperseded  ReleaseState = "superseded"
	ReleaseYanked      ReleaseState = "yanked"
)

var releaseMoves = moves[ReleaseState]{
	ReleaseUploaded:    {ReleaseScanning},
	ReleaseScanning:    {ReleaseBlocked, ReleaseNeedsReview, ReleaseAutoOK},
	ReleaseNeedsReview: {ReleaseApproved, ReleaseBlocked},
	ReleaseAutoOK:      {ReleaseApproved},
	ReleaseApproved:    {ReleaseLive},
	ReleaseLive:        {ReleaseSuperseded, ReleaseYanked},
	ReleaseSuperseded:  {ReleaseYanked},
}

// To returns the state after a move, or Conflict.
func (s ReleaseState) To(next ReleaseState) (ReleaseState, error) {
	return releaseMoves.to("release", s, next)
}

// Overrule approves what was blocked, for a reason: the scanner was wrong.
func (s ReleaseState) Overrule(reason string) (ReleaseState, error) {
	return moves[ReleaseState]{ReleaseBlocked: {ReleaseApproved}}.toFor(reason, "release", s, ReleaseApproved)
}

// Change is a kind of change to a listing.
type Change string

const (
	ChangePriceCut        Change = "price_cut"
	ChangePriceRise       Change = "price_rise"
	ChangeTypo            Change = "typo"
	ChangeText            Change = "text"
	ChangeFiles           Change = "files"
	ChangeLessPermissions Change = "less_permissions"
	ChangeMorePermissions Change = "more_permissions"
)

// MayApproveItself reports whether a rule may approve the changes without a person: only
// price cuts and typos, and more permissions never. The operator's rule may be stricter.
func MayApproveItself(changes ...Change) bool {
	for _, c := range changes {
		if c != ChangePriceCut && c != ChangeTypo {
			return false
		}
	}
	return len(changes) > 0
}
