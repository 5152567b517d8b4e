package market

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"math/bits"
	randv2 "math/rand/v2"
	"strings"
	"sync"
	"time"
)

// IDs are a prefix that names the kind, an underscore, and 26 characters of Crockford
// base 32 in lower case: 48 bits of Unix milliseconds, then 80 more bits, as in ULID. So
// they sort by creation time, never collide in practice, and neighbouring records are
// neighbours on disk. IDs of one millisecond that one process makes one after the other
// sort in that order, unless it makes one of 64 milliseconds earlier or later, or of a
// multiple of that, in between. An ID is no secret: who knows one can guess its neighbours.
type (
	TenantID       string // one marketplace
	AccountID      string // a person
	SellerID       string // who lists agents
	AgentID        string // a listing
	OfferID        string // a way to buy an agent
	ReleaseID      string // a version of an agent, with files
	ChangeID       string // a change request to a listing
	CheckoutID     string // one payment's worth of orders
	OrderID        string // one seller's part of a checkout
	LineID         string // a thing sold
	PaymentID      string // money asked of a provider
	RefundID       string // money on its way back
	DisputeID      string // a payment that the buyer's bank contests
	EntitlementID  string // what a paid line gives
	LicenseID      string // a key that software asks about
	ActivationID   string // a license in use on one machine
	SubscriptionID string // a purchase that renews
	InvoiceID      string // one renewal's bill
	WalletID       string // prepaid credits of a buyer
	PostingID      string // a balanced set of ledger entries
	PayoutID       string // money on its way to a seller
	PayeeID        string // a seller's payout account
	ReviewID       string // what a buyer says of an agent
	CaseID         string // a report and what became of it
	EndpointID     string // where webhooks are sent
	DeliveryID     string // one event on its way to one endpoint
	DrillID        string // a rehearsed restore
	JobID          string // work to be done outside of a transaction
	NodeID         string // one data directory's incarnation
)

// ID is any of the time-ordered IDs.
type ID interface {
	~string
	prefix() string
}

func (TenantID) prefix() string       { return "ten" }
func (AccountID) prefix() string      { return "acc" }
func (SellerID) prefix() string       { return "sel" }
func (AgentID) prefix() string        { return "agt" }
func (OfferID) prefix() string        { return "off" }
func (ReleaseID) prefix() string      { return "rel" }
func (ChangeID) prefix() string       { return "chg" }
func (CheckoutID) prefix() string     { return "chk" }
func (OrderID) prefix() string        { return "ord" }
func (LineID) prefix() string         { return "lin" }
func (PaymentID) prefix() string      { return "pay" }
func (RefundID) prefix() string       { return "rfd" }
func (DisputeID) prefix() string      { return "dsp" }
func (EntitlementID) prefix() string  { return "ent" }
func (LicenseID) prefix() string      { return "lic" }
func (ActivationID) prefix() string   { return "act" }
func (SubscriptionID) prefix() string { return "sub" }
func (InvoiceID) prefix() string      { return "inv" }
func (WalletID) prefix() string       { return "wal" }
func (PostingID) prefix() string      { return "pst" }
func (PayoutID) prefix() string       { return "pyo" }
func (PayeeID) prefix() string        { return "pye" }
func (ReviewID) prefix() string       { return "rev" }
func (CaseID) prefix() string         { return "cas" }
func (EndpointID) prefix() string     { return "whk" }
func (DeliveryID) prefix() string     { return "dlv" }
func (DrillID) prefix() string        { return "drl" }
func (JobID) prefix() string          { return "job" }
func (NodeID) prefix() string         { return "nod" }

// MainTenant is the tenant of an instance that serves one marketplace. It has a name
// instead of a time, so ParseID refuses it.
const MainTenant TenantID = "ten_main"

const (
	prefixLen = 3
	ulidLen   = 26                      // characters of 128 bits
	idLen     = prefixLen + 1 + ulidLen // of a whole ID
	timeLen   = 10                      // characters that hold the time, of ulidLen
	alphabet  = "0123456789abcdefghjkmnpqrstvwxyz"
)

var crockford = base32.NewEncoding(alphabet).WithPadding(base32.NoPadding)

// NewID makes an ID of the time t, to the millisecond; times before 1970 count as 1970.
func NewID[T ID](t time.Time) T {
	var kind T
	return T(encodeID(kind.prefix(), nextULID(uint64(max(t.UnixMilli(), 0)))))
}

// ParseID checks that a text has the form of an ID of the kind T. It is Invalid
// otherwise; that no such thing exists is for the store to say.
func ParseID[T ID](s string) (T, error) {
	var kind T
	if len(s) != idLen || s[:prefixLen] != kind.prefix() || s[prefixLen] != '_' || s[prefixLen+1] > '7' || !inAlphabet(s[prefixLen+1:]) {
		return "", Errorf(Invalid, "%.40q is no ID of this kind: it begins with %s_ and has %d characters after that.", s, kind.prefix(), ulidLen)
	}
	return T(s), nil
}

// IDTime is when an ID was made, to the millisecond, in UTC. It is the zero time for a
// text that is no ID of its kind.
func IDTime[T ID](id T) time.Time {
	if _, err := ParseID[T](string(id)); err != nil {
		return time.Time{}
	}
	ms := int64(0)
	for _, c := range []byte(id[prefixLen+1 : prefixLen+1+timeLen]) {
		ms = ms<<5 | int64(strings.IndexByte(alphabet, c))
	}
	return time.UnixMilli(ms).UTC()
}

func inAlphabet(s string) bool { return strings.Trim(s, alphabet) == "" }

// ulid is the number of an ID: 48 bits of milliseconds above 80 others.
type ulid struct{ hi, lo uint64 }

// ulids remembers the last number of each of some milliseconds, so that the next one of
// the same millisecond is larger, also when IDs of near times are made in between.
var ulids [64]struct {
	sync.Mutex
	last ulid
}

// nextULID draws the first number of a millisecond and steps from there by up to 2^32,
// so that neighbours don't count what was made between them. The first draw leaves the
// highest of its 80 bits free, which is room for 2^47 steps.
func nextULID(ms uint64) ulid {
	slot := &ulids[ms%uint64(len(ulids))]
	slot.Lock()
	defer slot.Unlock()
	if last := slot.last; last.hi>>16 == ms && last.lo|last.hi&0xffff != 0 {
		lo, carry := bits.Add64(last.lo, 1+uint64(randv2.Uint32()), 0)
		slot.last = ulid{last.hi + carry, lo}
		return slot.last
	}
	var raw [10]byte
	rand.Read(raw[:])
	slot.last = ulid{ms<<16 | uint64(binary.BigEndian.Uint16(raw[:])>>1), binary.BigEndian.Uint64(raw[2:])}
	return slot.last
}

// encodeID writes two zero bits and the 128 bits of n as 26 characters of five bits, so
// that texts sort as the numbers do and look like other ULIDs.
func encodeID(prefix string, n ulid) string {
	var text [idLen]byte
	copy(text[:], prefix)
	text[prefixLen] = '_'
	for i := idLen - 1; i > prefixLen; i-- {
		text[i] = alphabet[n.lo&31]
		n.lo, n.hi = n.lo>>5|n.hi<<59, n.hi>>5
	}
	return string(text[:])
}

// IDOf makes the ID of two numbers: hi has 48 bits of milliseconds above 16 others, as NewID's
// have. It is for what has the same ID wherever it is made.
func IDOf[T ID](hi, lo uint64) T {
	var kind T
	return T(encodeID(kind.prefix(), ulid{hi, lo}))
}

func NewAccountID(t time.Time) AccountID         { return NewID[AccountID](t) }
func NewSellerID(t time.Time) SellerID           { return NewID[SellerID](t) }
func NewAgentID(t time.Time) AgentID             { return NewID[AgentID](t) }
func NewOfferID(t time.Time) OfferID             { return NewID[OfferID](t) }
func NewReleaseID(t time.Time) ReleaseID         { return NewID[ReleaseID](t) }
func NewCheckoutID(t time.Time) CheckoutID       { return NewID[CheckoutID](t) }
func NewOrderID(t time.Time) OrderID             { return NewID[OrderID](t) }
func NewLineID(t time.Time) LineID               { return NewID[LineID](t) }
func NewPaymentID(t time.Time) PaymentID         { return NewID[PaymentID](t) }
func NewEntitlementID(t time.Time) EntitlementID { return NewID[EntitlementID](t) }
func NewLicenseID(t time.Time) LicenseID         { return NewID[LicenseID](t) }
func NewPostingID(t time.Time) PostingID         { return NewID[PostingID](t) }
func NewReviewID(t time.Time) ReviewID           { return NewID[ReviewID](t) }
func NewJobID(t time.Time) JobID                 { return NewID[JobID](t) }
func NewNodeID(t time.Time) NodeID               { return NewID[NodeID](t) }

// CartID names a cart. It has a secret where others have a time: whoever has it has the
// cart.
type CartID string

// NewCartID makes a cart's ID. It is also the cart cookie's value.
func NewCartID() CartID { return CartID("crt_" + NewSecret()) }

// NewSecret is an unguessable name for a URL: 160 random bits in 32 characters.
func NewSecret() string {
	var raw [20]byte
	rand.Read(raw[:])
	return crockford.EncodeToString(raw[:])
}
