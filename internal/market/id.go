package market

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"time"
)

// IDs are a prefix that names the kind, an underscore, and 26 characters of Crockford
// base 32 in lower case: 48 bits of Unix milliseconds, then 80 random bits, as in ULID.
// So they sort by creation time, never collide in practice, and neighbouring records
// are neighbours on disk.
type (
	TenantID      string // ten_: one marketplace
	AccountID     string // acc_: a person
	SellerID      string // sel_
	AgentID       string // agt_: a listing
	OfferID       string // off_: a way to buy an agent
	ReleaseID     string // rel_: a version of an agent, with files
	CartID        string // crt_ and a secret instead of a time: whoever has it has the cart
	CheckoutID    string // chk_: one payment's worth of orders
	OrderID       string // ord_: one seller's part of a checkout
	LineID        string // lin_
	PaymentID     string // pay_
	EntitlementID string // ent_: what a paid line gives
	LicenseID     string // lic_
	PostingID     string // pst_: a balanced set of ledger entries
	JobID         string // job_
	NodeID        string // nod_: one data directory's incarnation
)

// MainTenant is the tenant of an instance that serves one marketplace.
const MainTenant TenantID = "ten_main"

var crockford = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

func newID(prefix string, t time.Time) string {
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:8], uint64(max(t.UnixMilli(), 0))<<16)
	rand.Read(raw[6:])
	return encodeID(prefix, raw)
}

// encodeID writes two zero bits and the 128 bits of raw as 26 characters of five bits,
// so that texts sort as the numbers do and look like other ULIDs.
func encodeID(prefix string, raw [16]byte) string {
	var padded [17]byte
	carry := byte(0)
	for i, b := range raw {
		padded[i] = carry | b>>2
		carry = b << 6
	}
	padded[16] = carry
	return prefix + "_" + crockford.EncodeToString(padded[:])[:26]
}

func NewAccountID(t time.Time) AccountID         { return AccountID(newID("acc", t)) }
func NewSellerID(t time.Time) SellerID           { return SellerID(newID("sel", t)) }
func NewAgentID(t time.Time) AgentID             { return AgentID(newID("agt", t)) }
func NewOfferID(t time.Time) OfferID             { return OfferID(newID("off", t)) }
func NewReleaseID(t time.Time) ReleaseID         { return ReleaseID(newID("rel", t)) }
func NewCheckoutID(t time.Time) CheckoutID       { return CheckoutID(newID("chk", t)) }
func NewOrderID(t time.Time) OrderID             { return OrderID(newID("ord", t)) }
func NewLineID(t time.Time) LineID               { return LineID(newID("lin", t)) }
func NewPaymentID(t time.Time) PaymentID         { return PaymentID(newID("pay", t)) }
func NewEntitlementID(t time.Time) EntitlementID { return EntitlementID(newID("ent", t)) }
func NewLicenseID(t time.Time) LicenseID         { return LicenseID(newID("lic", t)) }
func NewPostingID(t time.Time) PostingID         { return PostingID(newID("pst", t)) }
func NewJobID(t time.Time) JobID                 { return JobID(newID("job", t)) }
func NewNodeID(t time.Time) NodeID               { return NodeID(newID("nod", t)) }

// NewCartID makes a cart's ID. It is also the cart cookie's value.
func NewCartID() CartID { return CartID("crt_" + NewSecret()) }

// NewSecret is an unguessable name for a URL: 160 random bits in 32 characters.
func NewSecret() string {
	var raw [20]byte
	rand.Read(raw[:])
	return crockford.EncodeToString(raw[:])
}
