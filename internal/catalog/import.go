package catalog

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// ImportOptions of Import.
type ImportOptions struct {
	Price    PriceRule
	Progress func(read int64, rows int) // bytes and rows so far; may be nil
	BadRow   func(line int, err error)  // called for each refused row; may be nil
}

// ImportReport counts what an import did with its rows.
type ImportReport struct {
	Added, Updated, Unchanged, Refused int
}

// Rows is the number of rows read.
func (r ImportReport) Rows() int { return r.Added + r.Updated + r.Unchanged + r.Refused }

// ImportedSeller is the slug of the seller that owns imported listings.
const ImportedSeller = "imported"

const (
	// importBatch is how many rows share a transaction: a listing writes seven keys at
	// most, and changes the counts of two categories.
	importBatch = 110
	// importAhead is how many transactions may be on their way to the disk.
	importAhead = 8
	importTries = 5
	// maxRow bounds a row's bytes; a longer one is refused and skipped.
	maxRow = 64 << 10
)

// Import reads listings as tab-separated values with a header line, the columns in any
// order: id name summary version popularity source category updated. It is streamed, and
// idempotent: a row whose listing is as it says changes nothing, one that differs
// updates it (but never its price or slug). A row that breaks a rule is refused, and the
// rest goes in. A header that isn't one fails before anything is written. After any
// other error what was counted is on disk, and another import goes on with the rest.
func (c *Catalog) Import(ctx context.Context, r io.Reader, o ImportOptions) (rep ImportReport, err error) {
	in := &rowReader{in: bufio.NewReaderSize(r, maxRow)}
	if err := in.header(); err != nil {
		return rep, err
	}
	seller, err := c.importedSeller(ctx)
	if err != nil {
		return rep, err
	}
	im := &importer{Catalog: c, ImportOptions: o, seller: seller, lines: map[uint64]int32{}, hash: maphash.MakeSeed(), places: make(chan struct{}, importAhead)}
	err = im.storeAll(ctx, in)
	im.storing.Wait()
	return im.rep, errors.Join(err, im.failed)
}

// importedSeller returns the seller of imported listings, made at the first import.
func (c *Catalog) importedSeller(ctx context.Context) (s market.Seller, err error) {
	_, err = c.Store.Update(ctx, c.Tenant, store.Op{}, func(tx *store.Tx) (err error) {
		if s, err = store.SellerBySlug.Load(tx, ImportedSeller); !market.Is(err, market.NotFound) {
			return err
		}
		a := market.Account{ID: market.NewAccountID(tx.Now()), Email: "imported@localhost", Name: "Imported", Created: tx.Now()}
		if err := store.Accounts.Insert(tx, &a); err != nil {
			return err
		}
		s = market.Seller{ID: market.NewSellerID(tx.Now()), Account: a.ID, Slug: ImportedSeller, Name: "Imported", Created: tx.Now()}
		return store.Sellers.Insert(tx, &s)
	})
	return s, err
}

// importer is one import under way.
type importer struct {
	*Catalog
	ImportOptions
	seller  market.Seller
	lines   map[uint64]int32 // line of each ID met, by the ID's hash: some 30 bytes a row
	hash    maphash.Seed
	places  chan struct{} // has an element for each transaction under way
	storing sync.WaitGroup

	mu     sync.Mutex // guards what follows
	rep    ImportReport
	failed error // why the first transaction that failed did
}

// storeAll reads all rows and starts to store them, a batch after the other.
func (im *importer) storeAll(ctx context.Context, in *rowReader) error {
	for more := true; more; {
		var rows []row
		var err error
		if rows, more, err = im.batch(ctx, in); err != nil {
			return err
		}
		im.start(ctx, rows)
		rep, err := im.report()
		if err != nil {
			return nil // Import returns it
		}
		if im.Progress != nil {
			im.Progress(in.read, rep.Rows())
		}
	}
	return nil
}

// batch reads the next good rows; more is false at the end of the file.
func (im *importer) batch(ctx context.Context, in *rowReader) (rows []row, more bool, err error) {
	rows = make([]row, 0, importBatch)
	for len(rows) < importBatch {
		r, err := in.next()
		switch {
		case ctx.Err() != nil:
			return nil, false, ctx.Err()
		case errors.Is(err, io.EOF):
			return rows, false, nil
		case market.Is(err, market.Invalid):
			im.refuse(in.line, err)
		case err != nil:
			return nil, false, fmt.Errorf("catalog: reading the import: %w", err)
		case !im.repeated(r):
			r.file = r.setupFile()
			rows = append(rows, r)
		}
	}
	return rows, true, nil
}

func (im *importer) refuse(line int, err error) {
	im.count(ImportReport{Refused: 1}, nil)
	if im.BadRow != nil {
		im.BadRow(line, err)
	}
}

func (im *importer) count(rep ImportReport, err error) {
	im.mu.Lock()
	defer im.mu.Unlock()
	im.rep.Added += rep.Added
	im.rep.Updated += rep.Updated
	im.rep.Unchanged += rep.Unchanged
	im.rep.Refused += rep.Refused
	if im.failed == nil {
		im.failed = err
	}
}

func (im *importer) report() (ImportReport, error) {
	im.mu.Lock()
	defer im.mu.Unlock()
	return im.rep, im.failed
}

// repeated refuses a row whose ID an earlier line has: else a second import would find
// the listing as the later row left it, and change it back and forth. The chance that two
// of ten million IDs have one hash is three in a million.
func (im *importer) repeated(r row) bool {
	h := maphash.String(im.hash, r.id)
	if first, ok := im.lines[h]; ok {
		im.refuse(r.line, market.Errorf(market.Invalid, "The id %q is on line %d already.", r.id, first))
		return true
	}
	im.lines[h] = int32(r.line)
	return false
}

// start stores a batch without waiting for the disk: the next may be started as soon as
// this one has its turn, so that batches are stored in the order of the file. One that a
// stall of the machine made too slow is tried again, and may then be behind others.
func (im *importer) start(ctx context.Context, rows []row) {
	im.places <- struct{}{}
	turn := make(chan struct{})
	hasTurn := sync.OnceFunc(func() { close(turn) })
	im.storing.Go(func() {
		rep, err := im.store(ctx, rows, hasTurn)
		for try := 1; errors.Is(err, store.ErrTimeLimit) && try < importTries; try++ {
			rep, err = im.store(ctx, rows, hasTurn)
		}
		hasTurn()
		im.count(rep, err)
		<-im.places
	})
	<-turn
}

// store writes a batch of listings in one transaction. It calls hasTurn when no
// transaction that comes later can be before it.
func (im *importer) store(ctx context.Context, rows []row, hasTurn func()) (rep ImportReport, err error) {
	_, err = im.Store.Update(ctx, im.Tenant, store.Op{}, func(tx *store.Tx) error {
		hasTurn()
		rep = ImportReport{}
		for i := range rows {
			n, err := im.storeListing(tx, &rows[i])
			if err != nil {
				return fmt.Errorf("catalog: importing line %d: %w", rows[i].line, err)
			}
			*n(&rep)++
		}
		return nil
	})
	if err != nil {
		return ImportReport{}, err
	}
	return rep, nil
}

// storeListing writes a row's listing and says which count it adds to.
func (im *importer) storeListing(tx *store.Tx, r *row) (func(*ImportReport) *int, error) {
	old, err := store.AgentByExternal.Load(tx, r.id)
	if market.Is(err, market.NotFound) {
		return func(rep *ImportReport) *int { return &rep.Added }, im.addListing(tx, r)
	}
	if err != nil {
		return nil, err
	}
	a := old
	r.describe(&a)
	if a.Release.File != r.file {
		a.Release = r.release(tx)
	}
	if same(&a, &old) {
		return func(rep *ImportReport) *int { return &rep.Unchanged }, nil
	}
	return func(rep *ImportReport) *int { return &rep.Updated }, store.Agents.Put(tx, &a)
}

// addListing writes a new listing under the first slug that is free.
func (im *importer) addListing(tx *store.Tx, r *row) error {
	price := im.Price.of(r.number)
	a := market.Agent{
		ID: market.NewAgentID(tx.Now()), Seller: im.seller.ID, ExternalID: r.id,
		State: market.ListingPublished, Created: tx.Now(), Release: r.release(tx),
		Offer: market.Offer{ID: market.NewOfferID(tx.Now()), Price: price, License: !price.IsZero()},
	}
	r.describe(&a)
	for n := 1; ; n++ {
		a.Slug = r.slug(n)
		if err := store.Agents.Insert(tx, &a); !market.Is(err, market.Conflict) {
			return err
		}
	}
}

// same compares two listings; times as moments, since a stored one has another zone.
func same(a, b *market.Agent) bool {
	x, y := *a, *b
	if !x.Updated.Equal(y.Updated) || !x.Release.Released.Equal(y.Release.Released) || !x.Created.Equal(y.Created) {
		return false
	}
	x.Updated, x.Release.Released, x.Created = y.Updated, y.Release.Released, y.Created
	return reflect.DeepEqual(x, y)
}

// slug is the n-th choice of a slug, from 1: the name, the name with its source, the
// name with a few numbers, and then, lest a file of equal names be tried out by all of
// its numbers, the name with a hash of the ID.
func (r *row) slug(n int) string {
	base := cmp.Or(market.Slug(r.name), market.Slug(r.id), "agent")
	switch {
	case n == 1:
		return base
	case n == 2:
		return withSuffix(base, r.source)
	case n < 10:
		return withSuffix(base, strconv.Itoa(n-1))
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s", n, r.id))
	return withSuffix(base, hex.EncodeToString(sum[:5]))
}

func withSuffix(base, suffix string) string {
	if len(base)+1+len(suffix) > market.MaxSlug {
		base = strings.TrimRight(base[:market.MaxSlug-1-len(suffix)], "-")
	}
	return base + "-" + suffix
}

// PriceRule prices new listings of an import: every Every-th row costs Price, the
// others are free. The zero value makes everything free.
type PriceRule struct {
	Price market.Money
	Every int
}

// DefaultPriceRule makes every tenth listing cost nine dollars, so that there is
// something to buy.
var DefaultPriceRule = PriceRule{market.Money{Amount: 900, Currency: "USD"}, 10}

// ParsePriceRule reads "free", an amount ("9.00 USD", for every listing), or an amount
// for every n-th ("9.00 USD every 10").
func ParsePriceRule(s string) (PriceRule, error) {
	if strings.EqualFold(strings.TrimSpace(s), "free") {
		return PriceRule{}, nil
	}
	amount, every, ok := strings.Cut(s, "every")
	n := 1
	if ok {
		var err error
		if n, err = strconv.Atoi(strings.TrimSpace(every)); err != nil || n < 1 {
			return PriceRule{}, market.Errorf(market.Invalid, "%q is no price rule: after \"every\" goes a whole number from 1, as in \"9.00 USD every 10\".", s)
		}
	}
	m, err := market.ParseMoney(amount)
	if err != nil || m.Amount < 0 {
		return PriceRule{}, market.Errorf(market.Invalid, "%q is no price rule. Write \"free\", \"9.00 USD\" or \"9.00 USD every 10\".", s)
	}
	return PriceRule{m, n}, nil
}

func (p PriceRule) String() string {
	switch {
	case p.Every == 0 || p.Price.IsZero():
		return "free"
	case p.Every == 1:
		return p.Price.String()
	}
	return fmt.Sprintf("%s every %d", p.Price, p.Every)
}

func (p PriceRule) of(row int) market.Money {
	if p.Every > 0 && row%p.Every == 0 {
		return p.Price
	}
	return market.Money{Currency: p.Price.Currency}
}

// row is a parsed row of an import.
type row struct {
	line, number                       int // in the file, from 1; among the rows, from 1
	id, name, summary, version, source string
	category                           market.Category
	popularity                         int64
	updated                            time.Time
	file                               market.File // that buyers get
}

// describe sets what a row says of a listing.
func (r *row) describe(a *market.Agent) {
	a.Name, a.Summary, a.Category, a.Source = r.name, r.summary, r.category, r.source
	a.Popularity, a.Updated, a.Release.Version = r.popularity, r.updated, r.version
}

// release is a new release with the row's file.
func (r *row) release(tx *store.Tx) market.Release {
	return market.Release{ID: market.NewReleaseID(tx.Now()), Version: r.version, File: r.file, Released: r.updated}
}

// setupFile is the file of the listing that a row describes.
func (r *row) setupFile() market.File {
	a := market.Agent{ExternalID: r.id}
	r.describe(&a)
	file, _ := market.SetupFile(&a)
	return file
}
