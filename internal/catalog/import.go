package catalog

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"sync"

	"github.com/souk-market/souk/internal/blob"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// ImportOptions of Import and ImportFolder.
type ImportOptions struct {
	Price    PriceRule                  // of new listings for which the file has no price
	Currency market.Currency            // of all prices; "" takes any
	Columns  map[string]string          // what a file calls its columns, where it isn't the field's name: column → field
	DryRun   bool                       // report what would be done, and write nothing
	Progress func(read int64, rows int) // bytes and rows so far; may be nil
	BadRow   func(at Place, err error)  // called for each refused row; may be nil

	Blobs *blob.Store // for release files and pictures of a folder
	// Picture makes of an uploaded picture one that may be shown, and puts it into the blob
	// store (unless it is a dry run). Without it pictures are refused.
	Picture func(ctx context.Context, content io.Reader, dryRun bool) (market.Image, error)
}

// Place is where a row is.
type Place struct {
	File   string // "" for an import of one file
	Line   int    // from 1
	Column string // "" where it is the whole row
}

func (p Place) String() string {
	s := fmt.Sprintf("line %d", p.Line)
	if p.File != "" {
		s = p.File + " " + s
	}
	if p.Column != "" {
		s += ", " + p.Column
	}
	return s
}

// ImportReport counts what an import did with its rows, or would do (DryRun).
type ImportReport struct {
	Added, Updated, Unchanged, Refused int
}

// Rows is the number of rows read.
func (r ImportReport) Rows() int { return r.Added + r.Updated + r.Unchanged + r.Refused }

// ImportedSeller is the slug of the seller that owns imported listings without a seller.
const ImportedSeller = "imported"

const (
	// maxWeight bounds the keys that a transaction of an import may write. A plain listing
	// writes seven at most, and changes the counts of two categories.
	maxWeight   = 990
	plainWeight = 9
	// maxHeft bounds the bytes of a transaction's long texts.
	maxHeft = 2 << 20
	// importAhead is how many transactions may be on their way to the disk.
	importAhead = 8
	importTries = 5
	// maxRow bounds the bytes of a row of a table, and maxJSON those of a JSON object; a
	// longer one is refused and skipped.
	maxRow  = 64 << 10
	maxJSON = 1 << 20
)

// Import reads listings from a file: tab- or comma-separated values with a header line, the
// columns in any order; JSON Lines; or a JSON array of objects. Which it is the beginning of
// the file says. Fields are those of AgentLine, or the columns that importFields names; a
// table needs id, name and category. Fields that the file hasn't are left as they are.
//
// It is streamed, and idempotent: a row whose listing is as it says changes nothing, one that
// differs updates it. A row that breaks a rule is refused, and the rest goes in. A file that
// isn't one of these fails before anything is written. After any other error what was
// counted is on disk, and another import goes on with the rest.
func (c *Catalog) Import(ctx context.Context, r io.Reader, o ImportOptions) (rep ImportReport, err error) {
	rows, err := openRows(r, o.Columns)
	if err != nil {
		return rep, err
	}
	im, err := c.newImporter(ctx, o)
	if err != nil {
		return rep, err
	}
	err = im.storeAll(ctx, rows.bytesRead, im.agentWork(ctx, "", rows))
	im.storing.Wait()
	return im.rep, errors.Join(err, im.failed)
}

func (c *Catalog) newImporter(ctx context.Context, o ImportOptions) (*importer, error) {
	im := &importer{
		Catalog: c, ImportOptions: o, lines: map[uint64]int32{}, hash: maphash.MakeSeed(), places: make(chan struct{}, importAhead),
		sellers: map[string]market.SellerID{}, aliases: aliases{},
	}
	err := c.Store.View(ctx, c.Tenant, func(tx *store.ReadTx) (err error) {
		if im.aliases, err = readAliases(tx); err != nil {
			return err
		}
		im.attributes, err = readAttributes(tx)
		return err
	})
	return im, err
}

func readAliases(tx store.Reader) (aliases, error) {
	al := aliases{}
	for a, err := range store.TagAliases.All(tx, "") {
		if err != nil {
			return nil, err
		}
		al[a.Alias] = a.Tag
	}
	return al, nil
}

// needImported makes the seller of listings without one, when the first of them comes.
func (im *importer) needImported(ctx context.Context) error {
	if im.hasSeller {
		return nil
	}
	im.hasSeller = true
	if im.DryRun {
		im.met(ImportedSeller, "sel_dry")
		return nil
	}
	s, err := im.importedSeller(ctx)
	im.met(ImportedSeller, s.ID)
	return err
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
	folder     *folder // nil for an import of one file
	aliases    aliases
	attributes attributes
	hash       maphash.Seed
	places     chan struct{} // has an element for each transaction under way
	storing    sync.WaitGroup

	hasSeller bool // needImported has been called

	mu      sync.Mutex                 // guards what follows
	sellers map[string]market.SellerID // met so far, by slug
	lines   map[uint64]int32           // line of each ID met, by the ID's hash: some 30 bytes a row
	rep     ImportReport
	failed  error // why the first transaction that failed did
}

// outcome is what a row did.
type outcome byte

const (
	unchanged outcome = iota
	updated
	added
)

func (rep *ImportReport) add(o outcome) {
	switch o {
	case added:
		rep.Added++
	case updated:
		rep.Updated++
	default:
		rep.Unchanged++
	}
}

// work is a row that is ready to be stored. do reads first: when it refuses the row, with an
// error that a person may see, it has written nothing.
type work struct {
	at     Place
	weight int // keys that it may write
	heft   int // bytes of long texts
	do     func(tx *store.Tx) (outcome, error)
}

// nextWork returns the next row, an error that market.Message can tell for one that is
// refused, with its place, or io.EOF.
type nextWork func() (work, error)

// errDryRun ends a transaction whose writes aren't wanted.
var errDryRun = errors.New("catalog: this is a dry run")

// storeAll reads all rows and starts to store them, a batch after the other.
func (im *importer) storeAll(ctx context.Context, read func() int64, next nextWork) error {
	var held *work // read, and too much for the batch before
	for more := true; more; {
		var batch []work
		var err error
		batch, more, err = im.batch(ctx, next, &held)
		if len(batch) > 0 && ctx.Err() == nil { // also what came before an error
			im.start(ctx, batch)
		}
		if err != nil {
			return err
		}
		rep, err := im.report()
		if err != nil {
			return nil // the caller returns it
		}
		if im.Progress != nil {
			im.Progress(read(), rep.Rows())
		}
	}
	return nil
}

// batch reads the next good rows that fit into a transaction; more is false at the end.
func (im *importer) batch(ctx context.Context, next nextWork, held **work) (batch []work, more bool, err error) {
	weight, heft := 0, 0
	batch = make([]work, 0, maxWeight/plainWeight)
	for {
		w := *held
		if *held = nil; w == nil {
			got, err := next()
			switch {
			case ctx.Err() != nil:
				return nil, false, ctx.Err()
			case errors.Is(err, io.EOF):
				return batch, false, nil
			case refusable(err):
				im.refuse(got.at, err)
				if weight++; weight > maxWeight { // so that progress is shown
					return batch, true, nil
				}
				continue
			case err != nil:
				return batch, false, fmt.Errorf("catalog: reading the import: %w", err)
			}
			w = &got
		}
		if len(batch) > 0 && (weight+w.weight > maxWeight || heft+w.heft > maxHeft) {
			*held = w
			return batch, true, nil
		}
		batch, weight, heft = append(batch, *w), weight+w.weight, heft+w.heft
	}
}

// refusable reports whether an error is about one row, and told to a person.
func refusable(err error) bool {
	var fatal *fatalError
	if errors.As(err, &fatal) {
		return false
	}
	return market.Is(err, market.Invalid) || market.Is(err, market.NotFound) || market.Is(err, market.Conflict) || market.Is(err, market.TooLarge)
}

// fatalError is about the whole file.
type fatalError struct{ error }

func (e *fatalError) Unwrap() error { return e.error }

func (im *importer) refuse(at Place, err error) {
	im.count(ImportReport{Refused: 1}, nil)
	if im.BadRow == nil {
		return
	}
	if problem, ok := errors.AsType[*market.Error](err); ok && at.Column == "" {
		at.Column = problem.Field
	}
	for column, field := range im.Columns {
		if field == at.Column {
			at.Column = column
			break
		}
	}
	im.mu.Lock()
	defer im.mu.Unlock()
	im.BadRow(at, err)
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
func (im *importer) repeated(kind, id string, line int) error {
	if id == "" {
		return nil
	}
	h := im.hashOf(kind, id)
	im.mu.Lock()
	defer im.mu.Unlock()
	if first, ok := im.lines[h]; ok {
		return market.FieldErrorf(kind, "The %s %q is on line %d already.", kind, id, first)
	}
	im.lines[h] = int32(line)
	return nil
}

func (im *importer) hashOf(kind, id string) uint64 { return maphash.String(im.hash, kind+id) }

// start stores a batch without waiting for the disk: the next may be started as soon as
// this one has its turn, so that batches are stored in the order of the file. One that a
// stall of the machine made too slow is tried again, and may then be behind others.
func (im *importer) start(ctx context.Context, batch []work) {
	im.places <- struct{}{}
	turn := make(chan struct{})
	hasTurn := sync.OnceFunc(func() { close(turn) })
	im.storing.Go(func() {
		rep, bad, err := im.store(ctx, batch, hasTurn)
		for try := 1; errors.Is(err, store.ErrTimeLimit) && try < importTries; try++ {
			rep, bad, err = im.store(ctx, batch, hasTurn)
		}
		hasTurn()
		for _, b := range bad {
			im.refuse(b.at, b.err)
		}
		im.count(rep, err)
		<-im.places
	})
	<-turn
}

// badRow is a row that was refused by what is in the store.
type badRow struct {
	at  Place
	err error
}

// store writes a batch in one transaction. It calls hasTurn when no transaction that comes
// later can be before it.
func (im *importer) store(ctx context.Context, batch []work, hasTurn func()) (rep ImportReport, bad []badRow, err error) {
	_, err = im.Store.Update(ctx, im.Tenant, store.Op{}, func(tx *store.Tx) error {
		hasTurn()
		rep, bad = ImportReport{}, nil
		for i := range batch {
			o, err := batch[i].do(tx)
			switch {
			case err == nil:
				rep.add(o)
			case refusable(err):
				bad = append(bad, badRow{batch[i].at, err})
			default:
				return fmt.Errorf("catalog: importing %s: %w", batch[i].at, err)
			}
		}
		if im.DryRun {
			return errDryRun
		}
		return nil
	})
	if err != nil && !errors.Is(err, errDryRun) {
		return ImportReport{}, nil, err
	}
	return rep, bad, nil
}

// seller returns the ID of a seller by slug; "" is the seller of imported listings.
func (im *importer) seller(tx store.Reader, slug string) (market.SellerID, error) {
	if slug == "" {
		slug = ImportedSeller
	}
	im.mu.Lock()
	id, ok := im.sellers[slug]
	im.mu.Unlock()
	if ok {
		return id, nil
	}
	s, err := store.SellerBySlug.Load(tx, slug)
	if market.Is(err, market.NotFound) {
		return "", market.FieldErrorf("seller", "There is no seller %q. Sellers come from %s, or are made by souk account add --seller.", slug, SellersFile)
	}
	if err == nil {
		im.met(slug, s.ID)
	}
	return s.ID, err
}

func (im *importer) met(slug string, id market.SellerID) {
	im.mu.Lock()
	defer im.mu.Unlock()
	im.sellers[slug] = id
}
