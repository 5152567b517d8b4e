package catalog

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/souk-market/souk/internal/blob"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// ExportOptions of Export.
type ExportOptions struct {
	Blobs    *blob.Store
	Progress func(lines int) // may be nil
}

// ExportReport counts what an export wrote.
type ExportReport struct {
	Agents, Lines, Files int // Lines includes Agents
}

// Export writes the whole catalogue into a folder in the exchange format, of one moment. The
// folder is made; one that isn't empty is a Conflict. Until everything is on disk the
// folder's manifest says that it isn't complete.
func (c *Catalog) Export(ctx context.Context, dir string, o ExportOptions) (rep ExportReport, err error) {
	if err := emptyFolder(dir); err != nil {
		return rep, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return rep, fmt.Errorf("catalog: opening the export: %w", err)
	}
	ex := &exporter{ctx: ctx, ExportOptions: o, root: root}
	if err = ex.manifest(false); err == nil {
		err = c.Store.View(ctx, c.Tenant, func(tx *store.ReadTx) error { return ex.all(tx) })
	}
	if err == nil {
		err = ex.manifest(true)
	}
	return ex.rep, errors.Join(err, root.Close())
}

// emptyFolder makes a folder where none is.
func emptyFolder(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		err = os.MkdirAll(dir, 0o755)
	}
	if err != nil {
		return market.Errorf(market.Invalid, "The folder %s can't be made or read.", dir).Because(err)
	}
	if len(entries) > 0 {
		return market.Errorf(market.Conflict, "The folder %s isn't empty. Choose a new one: an export never writes over something.", dir)
	}
	return nil
}

// exporter is one export under way.
type exporter struct {
	ExportOptions
	ctx        context.Context
	root       *os.Root
	attributes attributes
	rep        ExportReport
}

// manifest writes the manifest, whole.
func (ex *exporter) manifest(complete bool) error {
	text, err := json.Marshal(Manifest{ExchangeFormat, ExchangeVersion, complete})
	if err != nil {
		return err
	}
	f, err := ex.root.Create(ManifestFile + ".new")
	if err != nil {
		return fmt.Errorf("catalog: writing the export: %w", err)
	}
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = ex.root.Rename(ManifestFile+".new", ManifestFile)
	}
	if err == nil {
		err = ex.syncFolder()
	}
	if err != nil {
		return fmt.Errorf("catalog: writing the export: %w", err)
	}
	return nil
}

func (ex *exporter) syncFolder() error {
	d, err := ex.root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (ex *exporter) all(tx store.Reader) error {
	for _, folder := range []string{FilesFolder, MediaFolder} {
		if err := ex.root.Mkdir(folder, 0o755); err != nil {
			return fmt.Errorf("catalog: writing the export: %w", err)
		}
	}
	sellers, agents, err := names(tx)
	if err != nil {
		return err
	}
	if ex.attributes, err = readAttributes(tx); err != nil {
		return err
	}
	old, err := oldSlugs(tx)
	if err != nil {
		return err
	}
	return errors.Join(
		exportLines(ex, tx, CategoriesFile, store.Shelves, categoryLine),
		exportLines(ex, tx, TagsFile, store.TagAliases, func(a *market.TagAlias) (TagLine, error) {
			return TagLine{string(a.Alias), string(a.Tag)}, nil
		}),
		exportLines(ex, tx, AttributesFile, store.Attributes, func(a *market.Attribute) (AttributeLine, error) {
			return AttributeLine{string(a.Name), a.Title, string(a.Kind), a.Choices, a.Place}, nil
		}),
		exportLines(ex, tx, SellersFile, store.Sellers, sellerLine),
		exportLines(ex, tx, AgentsFile, store.Agents, func(a *market.Agent) (AgentLine, error) {
			ex.rep.Agents++
			return ex.agentLine(tx, a, sellers[a.Seller], old[a.ID])
		}),
		exportLines(ex, tx, ReviewsFile, store.Reviews, func(r *market.Review) (ReviewLine, error) {
			slug, err := agents(r.Agent)
			return reviewLine(r, slug), err
		}),
		exportLines(ex, tx, PagesFile, store.Pages, func(p *market.StaticPage) (PageLine, error) {
			return PageLine{p.Slug, p.Title, p.Brief, p.Body, Moment{p.Updated}}, nil
		}),
	)
}

// names returns the slugs of all sellers, and a function for those of agents.
func names(tx store.Reader) (map[market.SellerID]string, func(market.AgentID) (string, error), error) {
	sellers := map[market.SellerID]string{}
	for s, err := range store.Sellers.All(tx, "") {
		if err != nil {
			return nil, nil, err
		}
		sellers[s.ID] = s.Slug
	}
	return sellers, func(id market.AgentID) (string, error) {
		a, err := store.Agents.Load(tx, id)
		return a.Slug, err
	}, nil
}

func oldSlugs(tx store.Reader) (map[market.AgentID][]OldSlugLine, error) {
	old := map[market.AgentID][]OldSlugLine{}
	for r, err := range store.Redirects.All(tx, "") {
		if err != nil {
			return nil, err
		}
		old[r.Agent] = append(old[r.Agent], OldSlugLine{r.Slug, Moment{r.Since}})
	}
	return old, nil
}

// exportLines writes a table as lines. A table without records has no file.
func exportLines[K ~string, R, L any](ex *exporter, tx store.Reader, name string, table *store.Table[K, R], line func(*R) (L, error)) (err error) {
	var f *os.File
	var out *bufio.Writer
	var enc *json.Encoder
	for r, err := range table.All(tx, "") {
		if err = errors.Join(err, ex.ctx.Err()); err != nil {
			return fmt.Errorf("catalog: exporting %s: %w", name, err)
		}
		if f == nil {
			if f, err = ex.root.Create(name); err != nil {
				return fmt.Errorf("catalog: writing the export: %w", err)
			}
			defer f.Close()
			out = bufio.NewWriterSize(f, 1<<16)
			enc = json.NewEncoder(out)
			enc.SetEscapeHTML(false)
		}
		l, err := line(&r)
		if err == nil {
			err = enc.Encode(l)
		}
		if err != nil {
			return fmt.Errorf("catalog: exporting %s: %w", name, err)
		}
		if ex.rep.Lines++; ex.Progress != nil {
			ex.Progress(ex.rep.Lines)
		}
	}
	if f == nil {
		return nil
	}
	if err := errors.Join(out.Flush(), f.Sync()); err != nil {
		return fmt.Errorf("catalog: writing the export: %w", err)
	}
	return nil
}

func categoryLine(s *market.Shelf) (CategoryLine, error) {
	return CategoryLine{string(s.Category), s.Title, s.Line, string(s.Parent), s.Place}, nil
}

func sellerLine(s *market.Seller) (SellerLine, error) {
	return SellerLine{s.ID, s.Slug, s.Name, s.About, s.Site, s.Country, Moment{s.Verified}, Moment{s.Created}}, nil
}

func reviewLine(r *market.Review, agent string) ReviewLine {
	l := ReviewLine{
		ID: r.ID, Agent: agent, Name: r.Name, Stars: r.Stars, Title: r.Title, Text: r.Text, Version: r.Version, Free: r.Free, Reply: r.Reply,
		State: r.State, Created: Moment{r.Created}, Updated: Moment{r.Updated},
	}
	if l.State == market.ReviewPublished {
		l.State = ""
	}
	return l
}

func (ex *exporter) agentLine(tx store.Reader, a *market.Agent, seller string, old []OldSlugLine) (AgentLine, error) {
	l := AgentLine{
		ID: a.ID, ExternalID: a.ExternalID, Slug: a.Slug, Seller: seller, Name: a.Name, Summary: a.Summary, Category: string(a.Category),
		State: a.State, Reason: a.Reason, Source: a.Source, Popularity: a.Popularity,
		Created: Moment{a.Created}, Updated: Moment{a.Updated}, Picked: Moment{a.Picked}, Facts: factsLine(&a.Facts), OldSlugs: old,
	}
	if l.State == market.ListingPublished {
		l.State = ""
	}
	for _, t := range a.Tags {
		l.Tags = append(l.Tags, string(t))
	}
	for _, o := range a.Offers() {
		l.Offers = append(l.Offers, offerLine(o))
	}
	for _, s := range ex.attributes.said(a.Attributes) {
		if l.Attributes == nil {
			l.Attributes = map[string]string{}
		}
		l.Attributes[string(s.Name)] = s.Value
	}
	for _, img := range a.Images {
		name := MediaFolder + "/" + img.SHA256
		if err := ex.file(name, img.SHA256); err != nil {
			return l, err
		}
		l.Images = append(l.Images, ImageLine{name, img.Alt})
	}
	text, err := store.TextOf(tx, a.ID)
	if err != nil {
		return l, err
	}
	l.Description, l.Terms, l.Refunds = text.Description, text.Terms, text.Refunds
	for _, t := range text.Demo {
		l.Demo = append(l.Demo, TurnLine(t))
	}
	l.Releases, err = ex.releaseLines(tx, a)
	return l, err
}

func offerLine(o market.Offer) OfferLine {
	l := OfferLine{Name: o.Name, Price: o.Price.String(), License: o.License, Includes: o.Includes}
	if o.Price == (market.Money{}) {
		l.Price = "free"
	}
	return l
}

func factsLine(f *market.Facts) *FactsLine {
	if !f.Declared {
		return nil
	}
	return &FactsLine{
		Models: f.Models, Runtimes: f.Runtimes, Inputs: f.Inputs, Outputs: f.Outputs, Keys: f.Keys,
		Permissions: permissionLines(f.Permissions), Retention: f.Retention,
	}
}

func permissionLines(uses []market.PermissionUse) []PermissionLine {
	var lines []PermissionLine
	for _, u := range uses {
		lines = append(lines, PermissionLine(u))
	}
	return lines
}

// releaseLines are an agent's history, or the version that is sold where it has none.
func (ex *exporter) releaseLines(tx store.Reader, a *market.Agent) ([]ReleaseLine, error) {
	list, err := history(tx, a.ID)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		list = []market.AgentRelease{{Release: a.Release, State: market.ReleaseLive}}
	}
	var lines []ReleaseLine
	for i, usual := range usualStates(list) {
		r := &list[i]
		l := ReleaseLine{
			Version: r.Version, Channel: r.Channel, Released: Moment{r.Released}, State: r.State, Reason: r.Reason, Notes: r.Notes,
			Permissions: permissionLines(r.Permissions),
		}
		if l.State == usual {
			l.State = ""
		}
		if f := r.File; f.SHA256 != "" && !f.OnDemand {
			l.File = &FileLine{FilesFolder + "/" + f.SHA256, f.Name}
			if err := ex.file(l.File.Path, f.SHA256); err != nil {
				return nil, err
			}
		}
		lines = append(lines, l)
	}
	if r := lines[0]; len(lines) == 1 && r.Version == "" && r.Released.IsZero() && r.File == nil && r.Notes == "" {
		return nil, nil
	}
	return lines, nil
}

// file copies a blob into the folder, once.
func (ex *exporter) file(name, sha256 string) error {
	out, err := ex.root.OpenFile(filepath.FromSlash(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer out.Close()
	sum, err := blob.ParseSum(sha256)
	if err != nil {
		return err
	}
	in, err := ex.Blobs.Open(ex.ctx, sum)
	if err != nil {
		return fmt.Errorf("catalog: the file %s: %w", sha256, err)
	}
	defer in.Close()
	ex.rep.Files++
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync())
}
