package search

import (
	"encoding/binary"
	"errors"
	"slices"
	"unicode/utf8"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// listing is an agent with what belongs to it in other records.
type listing struct {
	market.Agent
	description string // Markdown
	seller      market.Seller
}

// readListing loads what belongs to an agent. An agent may have neither text nor, in a
// damaged catalogue, seller: it is found all the same.
func readListing(tx store.Reader, a *market.Agent, sellers map[market.SellerID]market.Seller) (*listing, error) {
	l := &listing{Agent: *a}
	text, err := store.Texts.Load(tx, a.ID)
	if err != nil && !market.Is(err, market.NotFound) {
		return nil, err
	}
	l.description = text.Description
	s, met := sellers[a.Seller]
	if !met {
		if s, err = store.Sellers.Load(tx, a.Seller); err != nil && !market.Is(err, market.NotFound) {
			return nil, err
		}
		s.ID = a.Seller
		sellers[a.Seller] = s
	}
	l.seller = s
	return l, nil
}

// weight is what a listing counts for in a batch: 1 and a further 1 for each 4 kB of its
// description.
func (l *listing) weight() int { return 1 + len(l.description)>>12 }

// facts are what ranking, sorting and suggestions need of an agent alone, and are stored
// with its document. What it shares with others, its profile, seller and tags, are terms
// (addFacts).
type facts struct {
	popularity int64
	updated    int64  // Unix seconds
	price      int64  // the lowest, in minor units
	rating     uint16 // see ratingOf
	nameWords  uint8  // number of words in the name, at least 1
	name       []byte
	slug       []byte // empty where it is market.Slug(name)
}

// profile is what facets count: many agents have the same.
type profile struct {
	category string
	band     uint8 // index into PriceBands
	types    uint8 // bit i: Types[i]
	stars    uint8 // full stars of the mean, 1 to 5; 0 without reviews
	uses     uint8 // bit i: market.Permissions[i]
	declared bool
	verified bool
	runtimes []string // sorted
}

// sellerFacts are what an index knows of a seller.
type sellerFacts struct {
	id       market.SellerID
	slug     string
	name     string
	verified bool
}

func sellerFactsOf(s *market.Seller) sellerFacts {
	return sellerFacts{s.ID, s.Slug, s.Name, !s.Verified.IsZero()}
}

// factsOf are the facts of a listing with a number of words in its name.
func factsOf(l *listing, nameWords int) facts {
	a := &l.Agent
	f := facts{
		popularity: max(a.Popularity, 0),
		updated:    a.Updated.Unix(),
		price:      lowest(a).Amount,
		rating:     ratingOf(a.Rating),
		nameWords:  uint8(min(max(nameWords, 1), 255)),
		name:       []byte(a.Name),
	}
	if a.Slug != market.Slug(a.Name) {
		f.slug = []byte(a.Slug)
	}
	return f
}

// The terms of facts begin with what they are.
const (
	factProfile = 'p' // an encoded profile
	factSeller  = 's' // encoded sellerFacts
	factTag     = 't'
)

// addFacts adds the terms of what an agent shares with others.
func (w *words) addFacts(l *listing) {
	w.fact.add(string(append([]byte{factProfile}, profileOf(l).encode()...)))
	w.fact.add(string(append([]byte{factSeller}, sellerFactsOf(&l.seller).encode()...)))
	for _, t := range l.Tags {
		w.fact.add(string(factTag) + string(t))
	}
}

func profileOf(l *listing) *profile {
	a := &l.Agent
	p := &profile{
		category: string(a.Category), band: bandOf(lowest(a)), stars: uint8(a.Rating.Mean()),
		declared: a.Facts.Declared, verified: !l.seller.Verified.IsZero(), runtimes: a.Facts.Runtimes,
	}
	for _, o := range a.Offers() {
		if o.License {
			p.types |= 1 << slices.Index(Types, TypeLicense)
		} else {
			p.types |= 1 << slices.Index(Types, TypeDownload)
		}
	}
	for i, perm := range market.Permissions {
		if a.Facts.May(perm) {
			p.uses |= 1 << i
		}
	}
	return p
}

// lowest is the price of the cheapest offer.
func lowest(a *market.Agent) market.Money {
	low := a.Offer.Price
	for _, o := range a.Also {
		if o.Price.Amount < low.Amount {
			low = o.Price
		}
	}
	return low
}

func bandOf(price market.Money) uint8 {
	unit := int64(1)
	for range max(price.Currency.Exponent(), 0) {
		unit *= 10
	}
	switch {
	case price.Amount <= 0:
		return 0
	case price.Amount < 10*unit:
		return 1
	case price.Amount <= 50*unit:
		return 2
	}
	return 3
}

// ratingOf orders agents by rating: the mean in thousandths of a star when five reviews of
// three and a half stars are added, so that one review of five stars is not the best; 0
// without reviews.
func ratingOf(r market.Rating) uint16 {
	const doubt, doubtful = 5, 3.5
	n := float64(r.Count())
	if n == 0 {
		return 0
	}
	return uint16(1000 * (r.Mean()*n + doubt*doubtful) / (n + doubt))
}

// hashOf is FNV-1a.
func hashOf(key string) uint64 {
	h := uint64(fnvOffset)
	for i := range len(key) {
		h = (h ^ uint64(key[i])) * fnvPrime
	}
	return h
}

const (
	flagDeclared = 1 << 5
	flagVerified = 1 << 6
)

func (p *profile) encode() []byte {
	flags := p.uses
	if p.declared {
		flags |= flagDeclared
	}
	if p.verified {
		flags |= flagVerified
	}
	b := appendText([]byte{p.band, p.types, p.stars, flags}, p.category)
	for _, r := range p.runtimes {
		b = appendText(b, r)
	}
	return b
}

func decodeProfile(b []byte) (p profile, ok bool) {
	if len(b) < 5 || int(b[0]) >= len(PriceBands) || b[2] > 5 {
		return p, false
	}
	p = profile{band: b[0], types: b[1], stars: b[2], uses: b[3] & (flagDeclared - 1), declared: b[3]&flagDeclared != 0, verified: b[3]&flagVerified != 0}
	in := reader{b: b[4:]}
	p.category = string(in.text())
	for len(in.b) > 0 && !in.bad {
		p.runtimes = append(p.runtimes, string(in.text()))
	}
	return p, !in.bad && utf8.ValidString(p.category)
}

func (s sellerFacts) encode() []byte {
	b := []byte{0}
	if s.verified {
		b[0] = 1
	}
	return appendText(appendText(appendText(b, string(s.id)), s.slug), s.name)
}

func decodeSeller(b []byte) (s sellerFacts, ok bool) {
	if len(b) == 0 {
		return s, false
	}
	in := reader{b: b[1:]}
	s = sellerFacts{market.SellerID(in.text()), string(in.text()), string(in.text()), b[0] == 1}
	return s, !in.bad
}

// encode writes numbers as varints, and texts after their length.
func (f *facts) encode() []byte {
	b := make([]byte, 0, 32+len(f.name)+len(f.slug))
	b = binary.AppendVarint(b, f.popularity)
	b = binary.AppendVarint(b, f.updated)
	b = binary.AppendVarint(b, f.price)
	b = binary.AppendUvarint(b, uint64(f.rating))
	b = append(b, f.nameWords)
	return appendText(appendText(b, f.name), f.slug)
}

var errFacts = errors.New("search: a document's facts can't be read")

// decodeFacts reads what encode wrote. The texts are parts of b.
func decodeFacts(b []byte) (f facts, err error) {
	in := reader{b: b}
	f.popularity = in.number()
	f.updated = in.number()
	f.price = in.number()
	f.rating = uint16(in.size())
	if n := in.bytes(1); !in.bad {
		f.nameWords = n[0]
	}
	f.name, f.slug = in.text(), in.text()
	if in.bad || f.nameWords == 0 {
		return f, errFacts
	}
	return f, nil
}

func appendText[T ~string | ~[]byte](b []byte, text T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// reader takes encoded facts apart. It is bad once anything was missing.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) number() int64 {
	v, n := binary.Varint(r.b)
	r.skip(n)
	return v
}

func (r *reader) size() uint64 {
	v, n := binary.Uvarint(r.b)
	r.skip(n)
	return v
}

func (r *reader) skip(n int) {
	if n <= 0 {
		r.bad = true
		return
	}
	r.bytes(n)
}

func (r *reader) text() []byte { return r.bytes(int(min(r.size(), 1<<20))) }

func (r *reader) bytes(n int) []byte {
	if r.bad = r.bad || n < 0 || n > len(r.b); r.bad {
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}
