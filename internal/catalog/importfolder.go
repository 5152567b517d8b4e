package catalog

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"

	"github.com/souk-market/souk/internal/blob"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// folder is a folder in the exchange format that is being read.
type folder struct {
	fs.FS
	done int64 // bytes of the files that have been read
}

// folderFiles are the files of the format, in the order in which they are read: what a line
// names comes before it.
var folderFiles = []string{CategoriesFile, TagsFile, AttributesFile, SellersFile, AgentsFile, ReviewsFile, PagesFile}

// tableFiles are what may stand in the place of AgentsFile.
var tableFiles = []string{"agents.tsv", "agents.csv", "agents.json"}

// FolderSize is the number of bytes of the lines in a folder, for a progress bar.
func FolderSize(fsys fs.FS) (total int64) {
	for _, name := range slices.Concat(folderFiles, tableFiles) {
		if info, err := fs.Stat(fsys, name); err == nil {
			total += info.Size()
		}
	}
	return total
}

// ImportFolder reads a folder in the exchange format, as Import reads a file. A folder
// without any file of the format, and an export that was broken off, are Invalid.
func (c *Catalog) ImportFolder(ctx context.Context, fsys fs.FS, o ImportOptions) (rep ImportReport, err error) {
	if err := checkFolder(fsys); err != nil {
		return rep, err
	}
	im, err := c.newImporter(ctx, o)
	if err != nil {
		return rep, err
	}
	im.folder = &folder{FS: fsys}
	for _, name := range folderFiles {
		f, name, err := openFolderFile(fsys, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return im.rep, fmt.Errorf("catalog: opening the import: %w", err)
		}
		err = im.storeFile(ctx, name, f)
		im.storing.Wait()
		if err = errors.Join(err, im.failed, f.Close()); err != nil {
			return im.rep, err
		}
	}
	return im.rep, nil
}

// openFolderFile opens a file of the folder, the agents in whatever form they are there.
func openFolderFile(fsys fs.FS, name string) (fs.File, string, error) {
	f, err := fsys.Open(name)
	if name != AgentsFile || !errors.Is(err, fs.ErrNotExist) {
		return f, name, err
	}
	for _, table := range tableFiles {
		if t, err := fsys.Open(table); !errors.Is(err, fs.ErrNotExist) {
			return t, table, err
		}
	}
	return nil, name, err
}

func checkFolder(fsys fs.FS) error {
	text, err := fs.ReadFile(fsys, ManifestFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("catalog: opening the import: %w", err)
	}
	if err == nil {
		var m Manifest
		if err := json.Unmarshal(text, &m); err != nil || m.Format != ExchangeFormat {
			return market.Errorf(market.Invalid, "The folder's %s isn't one of an export of a catalogue.", ManifestFile)
		}
		if m.Version > ExchangeVersion {
			return market.Errorf(market.Invalid, "The folder is of version %d of the format, and this souk knows version %d. Use a newer souk.", m.Version, ExchangeVersion)
		}
		if !m.Complete {
			return market.Errorf(market.Invalid, "The folder is from an export that was broken off. Export again into an empty folder.")
		}
	}
	for _, name := range slices.Concat(folderFiles, tableFiles) {
		if _, err := fs.Stat(fsys, name); err == nil {
			return nil
		}
	}
	return market.Errorf(market.Invalid, "The folder has none of the files %s, %s, %s, %s, %s (or agents.tsv, agents.csv, agents.json), %s and %s.",
		CategoriesFile, TagsFile, AttributesFile, SellersFile, AgentsFile, ReviewsFile, PagesFile)
}

// storeFile imports one file of the folder.
func (im *importer) storeFile(ctx context.Context, name string, f io.Reader) error {
	if slices.Contains(tableFiles, name) {
		return im.storeTable(ctx, name, f)
	}
	in := &jsonLines{lineReader: &lineReader{in: bufio.NewReaderSize(f, maxRow)}, strict: true}
	var next nextWork
	switch name {
	case CategoriesFile:
		next = linesOf(name, in, im.category)
	case TagsFile:
		next = linesOf(name, in, im.tag)
	case AttributesFile:
		next = linesOf(name, in, im.attribute)
	case SellersFile:
		next = linesOf(name, in, im.sellerLine)
	case AgentsFile:
		next = im.agentWork(ctx, name, in)
	case ReviewsFile:
		next = linesOf(name, in, im.review)
	case PagesFile:
		next = linesOf(name, in, im.page)
	}
	err := im.storeAll(ctx, func() int64 { return im.folder.done + in.read }, next)
	im.folder.done += in.read
	return err
}

func (im *importer) storeTable(ctx context.Context, name string, f io.Reader) error {
	rows, err := openRows(f, im.Columns)
	if err != nil {
		return err
	}
	err = im.storeAll(ctx, func() int64 { return im.folder.done + rows.bytesRead() }, im.agentWork(ctx, name, rows))
	im.folder.done += rows.bytesRead()
	return err
}

// lineWeight is how many keys a line that is no agent writes at most.
const lineWeight = 9

// linesOf reads lines of one kind. check makes the work of one; it may refuse it.
func linesOf[L any](file string, in *jsonLines, check func(line int, l *L) (func(tx *store.Tx) (outcome, error), error)) nextWork {
	return func() (work, error) {
		text, err := in.object()
		at := Place{File: file, Line: in.line}
		if err != nil {
			return work{at: at}, err
		}
		var l L
		if err := decodeLine([]byte(text), &l); err != nil {
			return work{at: at}, err
		}
		do, err := check(in.line, &l)
		return work{at: at, weight: lineWeight, heft: len(text), do: do}, err
	}
}

// put writes a record that differs from the one that is there.
func put[K ~string, R any](tx *store.Tx, table *store.Table[K, R], key K, r *R) (outcome, error) {
	old, err := table.Load(tx, key)
	switch {
	case market.Is(err, market.NotFound):
		return added, table.Put(tx, r)
	case err != nil:
		return 0, err
	case same(&old, r):
		return unchanged, nil
	}
	return updated, table.Put(tx, r)
}

func (im *importer) category(line int, l *CategoryLine) (func(tx *store.Tx) (outcome, error), error) {
	s := market.Shelf{Category: market.Category(l.Category), Title: l.Title, Line: l.Line, Parent: market.Category(l.Parent), Place: l.Place}
	if err := cleanShelf(&s); err != nil {
		return nil, err
	}
	return func(tx *store.Tx) (outcome, error) { return put(tx, store.Shelves, s.Category, &s) }, im.repeated("category", l.Category, line)
}

func (im *importer) tag(line int, l *TagLine) (func(tx *store.Tx) (outcome, error), error) {
	a, err := newAlias(market.Tag(l.Alias), market.Tag(l.Tag))
	if err != nil {
		return nil, err
	}
	im.aliases[a.Alias] = a.Tag
	return func(tx *store.Tx) (outcome, error) { return put(tx, store.TagAliases, a.Alias, &a) }, im.repeated("alias", l.Alias, line)
}

func (im *importer) attribute(line int, l *AttributeLine) (func(tx *store.Tx) (outcome, error), error) {
	a := market.Attribute{Name: market.AttributeName(l.Attribute), Title: l.Title, Kind: market.AttributeKind(l.Kind), Choices: l.Choices, Place: l.Place}
	if err := a.Clean(); err != nil {
		return nil, err
	}
	im.attributes[a.Name] = a
	return func(tx *store.Tx) (outcome, error) { return put(tx, store.Attributes, a.Name, &a) }, im.repeated("attribute", l.Attribute, line)
}

func (im *importer) page(line int, l *PageLine) (func(tx *store.Tx) (outcome, error), error) {
	p := market.StaticPage{Slug: l.Slug, Title: l.Title, Brief: l.Brief, Body: l.Body, Updated: l.Updated.Time}
	if err := cleanPage(&p); err != nil {
		return nil, err
	}
	return func(tx *store.Tx) (outcome, error) { return put(tx, store.Pages, p.Slug, &p) }, im.repeated("page", l.Slug, line)
}

func (im *importer) sellerLine(line int, l *SellerLine) (func(tx *store.Tx) (outcome, error), error) {
	s := market.Seller{
		ID: l.ID, Slug: l.Slug, Name: l.Name, About: l.About, Site: l.Site, Country: l.Country, Verified: l.Verified.Time, Created: l.Created.Time,
	}
	if err := cleanSeller(&s); err != nil {
		return nil, err
	}
	if s.ID != "" {
		if _, err := market.ParseID[market.SellerID](string(s.ID)); err != nil {
			return nil, err
		}
	}
	return func(tx *store.Tx) (outcome, error) { return im.storeSeller(tx, s) }, im.repeated("seller", l.Slug, line)
}

// storeSeller writes a seller, who keeps their ID and account where they are known.
func (im *importer) storeSeller(tx *store.Tx, s market.Seller) (outcome, error) {
	old, err := store.SellerBySlug.Load(tx, s.Slug)
	if err != nil && !market.Is(err, market.NotFound) {
		return 0, err
	}
	if err == nil {
		s.ID, s.Account = old.ID, old.Account
		if s.Created.IsZero() {
			s.Created = old.Created
		}
	}
	if s.ID == "" {
		s.ID = market.NewSellerID(tx.Now())
	}
	if s.Created.IsZero() {
		s.Created = tx.Now()
	}
	if known, err := store.Sellers.Load(tx, s.ID); err == nil && known.Slug != s.Slug {
		return 0, market.FieldErrorf("id", "The id is another seller's, %s.", known.Slug)
	}
	im.met(s.Slug, s.ID)
	return put(tx, store.Sellers, s.ID, &s)
}

func (im *importer) review(line int, l *ReviewLine) (func(tx *store.Tx) (outcome, error), error) {
	r := market.Review{
		ID: l.ID, Name: l.Name, Stars: l.Stars, Title: l.Title, Text: l.Text, Version: l.Version, Free: l.Free, Reply: l.Reply,
		State: cmp.Or(l.State, market.ReviewPublished), Created: l.Created.Time, Updated: l.Updated.Time,
	}
	if err := cleanReview(&r); err != nil {
		return nil, err
	}
	if !knownReviewState(r.State) {
		return nil, market.FieldErrorf("state", "%q is no state of a review.", r.State)
	}
	if r.ID == "" {
		r.ID = reviewID(l)
	} else if _, err := market.ParseID[market.ReviewID](string(r.ID)); err != nil {
		return nil, err
	}
	return func(tx *store.Tx) (outcome, error) { return im.storeReview(tx, l.Agent, r) }, im.repeated("review", string(r.ID), line)
}

func knownReviewState(s market.ReviewState) bool {
	switch s {
	case market.ReviewPending, market.ReviewPublished, market.ReviewRejected, market.ReviewFlagged, market.ReviewRemoved, market.ReviewExcluded:
		return true
	}
	return false
}

// reviewID is the ID of a review that comes without one: made of what it says, so that it is
// the same each time.
func reviewID(l *ReviewLine) market.ReviewID {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q %d", l.Agent, l.Name, l.Title, l.Text, l.Stars))
	ms := uint64(max(l.Created.Time.UnixMilli(), 0))
	return market.IDOf[market.ReviewID](ms<<16|uint64(binary.BigEndian.Uint16(sum[:])), binary.BigEndian.Uint64(sum[2:]))
}

func (im *importer) storeReview(tx *store.Tx, slug string, r market.Review) (outcome, error) {
	a, err := store.AgentBySlug.Load(tx, slug)
	if market.Is(err, market.NotFound) {
		if im.DryRun && im.inFile(slug) {
			return added, nil
		}
		return 0, market.FieldErrorf("agent", "There is no agent %q.", slug)
	}
	if err != nil {
		return 0, err
	}
	r.Agent = a.ID
	old, err := store.Reviews.Load(tx, r.ID)
	if err != nil && !market.Is(err, market.NotFound) {
		return 0, err
	}
	if err == nil && old.Agent != a.ID {
		return 0, market.FieldErrorf("id", "The id is another agent's review's.")
	}
	found := err == nil
	if found {
		r.Author, r.Line = old.Author, old.Line
		if r.Created.IsZero() {
			r.Created = old.Created
		}
		if same(&old, &r) {
			return unchanged, nil
		}
	} else if r.Created.IsZero() {
		r.Created = tx.Now()
	}
	if err := putReview(tx, &a, &old, &r); err != nil {
		return 0, err
	}
	if found {
		return updated, nil
	}
	return added, nil
}

// inFile reports whether the import has met an agent with the slug.
func (im *importer) inFile(slug string) bool {
	im.mu.Lock()
	defer im.mu.Unlock()
	_, ok := im.lines[im.hashOf("slug", slug)]
	return ok
}

// readFile puts a release's file into the blob store.
func (im *importer) readFile(ctx context.Context, l *FileLine) (market.File, error) {
	f := market.File{Name: cmp.Or(l.Name, path.Base(l.Path))}
	if !isFileName(f.Name) {
		return f, market.FieldErrorf("releases", "%q is no name of a file.", f.Name)
	}
	in, err := im.open(l.Path)
	if err != nil {
		return f, err
	}
	defer in.Close()
	ref, err := im.keep(ctx, in)
	if err != nil {
		return f, err
	}
	f.SHA256, f.Size = ref.Sum.String(), ref.Size
	if name := path.Base(l.Path); len(name) == len(f.SHA256) && isHex(name) && name != f.SHA256 {
		return f, market.FieldErrorf("releases", "The file %s is damaged: its SHA-256 isn't its name.", l.Path)
	}
	return f, nil
}

func isHex(s string) bool {
	_, err := hex.DecodeString(s)
	return err == nil
}

// keep puts bytes into the blob store, or in a dry run only reads them.
func (im *importer) keep(ctx context.Context, in io.Reader) (blob.Ref, error) {
	if !im.DryRun {
		return im.Blobs.Put(ctx, in, MaxReleaseFile)
	}
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(in, MaxReleaseFile+1))
	if err == nil && n > MaxReleaseFile {
		err = market.Errorf(market.TooLarge, "The file is larger than %d bytes.", MaxReleaseFile)
	}
	return blob.Ref{Sum: blob.Sum(h.Sum(nil)), Size: n}, err
}

// open opens a file that a line names.
func (im *importer) open(name string) (fs.File, error) {
	if im.folder == nil || im.Blobs == nil {
		return nil, market.Errorf(market.Invalid, "A file of its own can't come with a single file. Import the folder that holds both.")
	}
	if !fs.ValidPath(name) || name == "." {
		return nil, market.Errorf(market.Invalid, "%q is no path of a file in the folder.", name)
	}
	f, err := im.folder.Open(name)
	if err != nil {
		return nil, market.Errorf(market.Invalid, "The file %s can't be opened.", name).Because(err)
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		f.Close()
		return nil, market.Errorf(market.Invalid, "%s is no file.", name).Because(err)
	}
	return f, nil
}

// readPicture makes a picture fit to be shown and puts it into the blob store.
func (im *importer) readPicture(ctx context.Context, l ImageLine) (img market.Image, err error) {
	if im.Picture == nil {
		return img, market.FieldErrorf("images", "Pictures can't be taken in here.")
	}
	if err := cleanLine("images", &l.Alt, market.MaxOfferText); err != nil {
		return img, err
	}
	in, err := im.open(l.Path)
	if err != nil {
		return img, err
	}
	defer in.Close()
	img, err = im.Picture(ctx, in, im.DryRun)
	img.Alt = l.Alt
	return img, err
}
