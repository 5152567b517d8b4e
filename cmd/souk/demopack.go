package main

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/souk-market/souk/internal/catalog"
	"github.com/souk-market/souk/internal/market"
)

// packDemo makes of demoFolder a folder that can be imported: prices are in the marketplace's
// currency, and each release has the file that it names, a zip of the agent's folder with a
// CHANGES.md up to this version, and a README.md where the folder has none. The same folder
// gives the same bytes. It takes some 50 ms and 1 MB.
func packDemo(c market.Currency) (fs.FS, error) {
	var b bytes.Buffer
	p := &demoPacker{zip: zip.NewWriter(&b), currency: c, sellers: map[string]string{}}
	if err := p.pack(); err != nil {
		return nil, err
	}
	if err := p.zip.Close(); err != nil {
		return nil, err
	}
	return zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
}

// demoPacker writes the folder as a zip, the form of a folder that is one piece of memory.
type demoPacker struct {
	zip      *zip.Writer
	currency market.Currency
	sellers  map[string]string // name of each, by slug
}

func (p *demoPacker) pack() error {
	for _, name := range []string{catalog.CategoriesFile, catalog.TagsFile, catalog.SellersFile, catalog.ReviewsFile, catalog.PagesFile} {
		content, err := demoFolder.ReadFile("demo/" + name)
		if err != nil {
			return err
		}
		if err := p.add(name, content); err != nil {
			return err
		}
	}
	for s, err := range demoLines[catalog.SellerLine](catalog.SellersFile) {
		if err != nil {
			return err
		}
		p.sellers[s.Slug] = s.Name
	}
	return p.agents()
}

func (p *demoPacker) agents() error {
	var lines bytes.Buffer
	for a, err := range demoLines[catalog.AgentLine](catalog.AgentsFile) {
		if err != nil {
			return err
		}
		if err := p.price(&a); err != nil {
			return err
		}
		line, err := json.Marshal(&a)
		if err != nil {
			return err
		}
		lines.Write(append(line, '\n'))
		if err := p.releases(&a); err != nil {
			return fmt.Errorf("souk: packing %s: %w", a.Slug, err)
		}
	}
	return p.add(catalog.AgentsFile, lines.Bytes())
}

// demoLines reads a file of the folder.
func demoLines[L any](name string) func(yield func(L, error) bool) {
	return func(yield func(L, error) bool) {
		f, err := demoFolder.Open("demo/" + name)
		if err != nil {
			yield(*new(L), err)
			return
		}
		defer f.Close()
		for dec := json.NewDecoder(f); dec.More(); {
			var l L
			err := dec.Decode(&l)
			if !yield(l, err) || err != nil {
				return
			}
		}
	}
}

// price puts an agent's prices into the marketplace's currency, a dollar for one of its
// major units.
func (p *demoPacker) price(a *catalog.AgentLine) error {
	for i, o := range a.Offers {
		if o.Price == "free" {
			continue
		}
		m, err := market.ParseMoney(o.Price)
		if err != nil {
			return err
		}
		a.Offers[i].Price = demoPrice(m.Amount, p.currency).String()
	}
	return nil
}

func (p *demoPacker) add(name string, content []byte) error {
	w, err := p.zip.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
	if err != nil {
		return err
	}
	_, err = w.Write(content)
	return err
}

// releases packs the file of each release of an agent.
func (p *demoPacker) releases(a *catalog.AgentLine) error {
	for i, r := range a.Releases {
		var b bytes.Buffer
		w := &releasePacker{zip: zip.NewWriter(&b), folder: a.Slug, time: r.Released.Time}
		if err := w.pack(p, a, i); err != nil {
			return err
		}
		if err := p.add(r.File.Path, b.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// releasePacker writes the file of one release.
type releasePacker struct {
	zip    *zip.Writer
	folder string
	time   time.Time
}

func (w *releasePacker) pack(p *demoPacker, a *catalog.AgentLine, release int) error {
	root, readme := path.Join("demo/files", a.Slug), false
	err := fs.WalkDir(demoFolder, root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := demoFolder.ReadFile(name)
		if err != nil {
			return err
		}
		name = strings.TrimPrefix(name, root+"/")
		readme = readme || name == "README.md"
		return w.add(name, string(content))
	})
	if err == nil && !readme {
		err = w.add("README.md", demoReadme(a, p.sellers[a.Seller], a.Releases[release].Version))
	}
	if err == nil {
		err = w.add("CHANGES.md", demoChanges(a.Name, a.Releases[release:]))
	}
	if err != nil {
		return err
	}
	return w.zip.Close()
}

func (w *releasePacker) add(name, content string) error {
	f, err := w.zip.CreateHeader(&zip.FileHeader{Name: path.Join(w.folder, name), Method: zip.Deflate, Modified: w.time})
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, content)
	return err
}

// demoReadme says what an agent is, needs and may touch, as its page does.
func demoReadme(a *catalog.AgentLine, seller, version string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s %s\n\n%s\n\n%s\n\n## What it needs\n\n", a.Name, version, a.Summary, a.Description)
	for _, fact := range []struct {
		name   string
		values []string
	}{{"Runs on", a.Facts.Runtimes}, {"Models", a.Facts.Models}, {"Keys that you bring", a.Facts.Keys}} {
		if len(fact.values) > 0 {
			fmt.Fprintf(&b, "- %s: %s\n", fact.name, strings.Join(fact.values, ", "))
		}
	}
	b.WriteString("\n## What it may touch\n\n")
	for _, u := range a.Facts.Permissions {
		fmt.Fprintf(&b, "- %s: %s\n", u.Permission, u.Detail)
	}
	if len(a.Facts.Permissions) == 0 {
		b.WriteString("Nothing but what you give it.\n")
	}
	fmt.Fprintf(&b, "\n%s\n\n## Licence\n\n%s\n\n%s\n", a.Facts.Retention, a.Terms, seller)
	return b.String()
}

// demoChanges are the notes of releases, the newest first.
func demoChanges(agent string, releases []catalog.ReleaseLine) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Changes of %s\n", agent)
	for _, r := range releases {
		fmt.Fprintf(&b, "\n## %s, %s\n\n%s\n", r.Version, r.Released.Time.Format("2 January 2006"), r.Notes)
	}
	return b.String()
}
