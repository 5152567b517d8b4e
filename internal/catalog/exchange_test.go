package catalog_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/souk-market/souk/internal/blob"
	"github.com/souk-market/souk/internal/catalog"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// sample is a folder in the exchange format with everything that can be in it.
func sample() fstest.MapFS {
	return fstest.MapFS{
		"categories.jsonl": text(
			`{"category":"build","title":"Build","place":1}`,
			`{"category":"sdk","title":"SDKs","line":"To build on","parent":"build","place":2}`),
		"tags.jsonl": text(`{"alias":"pg","tag":"postgres"}`),
		"attributes.jsonl": text(
			`{"attribute":"certified","title":"Certified","kind":"yes-no","place":2}`,
			`{"attribute":"region","title":"Data stays in","kind":"choice","choices":["EU","US"],"place":1}`,
			`{"attribute":"seats","title":"Seats","kind":"number"}`),
		"sellers.jsonl": text(
			`{"slug":"atlas","name":"Atlas Workshop","about":"We *build*.","site":"https://atlas.example/","country":"MA","verified":"2026-01-02","created":"2025-12-01"}`),
		"agents.jsonl": text(
			`{"slug":"csv-desk","seller":"atlas","name":"CSV Desk","summary":"Reads CSV files & <more>.","category":"sdk","tags":["pg","CSV"],"attributes":{"region":"EU","certified":"yes"},"created":"2026-02-01","updated":"2026-03-01T10:00:00.5Z","picked":"2026-03-02",`+
				`"offers":[{"name":"Alone","price":"12.00 USD","license":true,"includes":["Updates for a year"]},{"name":"Team","price":"49 USD","license":true}],`+
				`"facts":{"models":["claude-sonnet-4"],"runtimes":["Python"],"inputs":["csv"],"outputs":["text"],"keys":["OPENAI_API_KEY"],"permissions":[{"permission":"files","detail":"one folder"}],"retention":"Nothing is kept."},`+
				`"images":[{"path":"media/cover.png","alt":"A table"}],"description":"# What\n\nIt *reads*.","demo":[{"who":"You","text":"Sum it."},{"who":"Agent","text":"42"}],"terms":"On your machines.","refunds":"Within 60 days.",`+
				`"releases":[{"version":"1.0.0","released":"2026-02-01","notes":"First.","file":{"path":"files/one.zip"}},`+
				`{"version":"1.2.0","released":"2026-03-01","file":{"path":"files/two.zip","name":"csv-desk.zip"},"permissions":[{"permission":"files"}]},`+
				`{"version":"1.1.0","released":"2026-02-10","state":"yanked","reason":"It lost rows."},`+
				`{"version":"2.0.0-rc.1","channel":"beta","released":"2026-03-05","file":{"path":"files/two.zip"}}],`+
				`"old_slugs":[{"slug":"csv-table","since":"2026-02-20"}]}`,
			`{"external_id":"pypi:x","name":"X","category":"other","source":"pypi","popularity":7,"state":"unlisted","releases":[{"version":"3.1","released":"2026-01"}]}`,
			`{"slug":"free-thing","seller":"atlas","name":"Free Thing","category":"other","offers":[{"price":"free"}]}`),
		"reviews.jsonl": text(
			`{"agent":"csv-desk","name":"Grace","stars":5,"title":"Good","text":"It does\nwhat it says.","created":"2026-03-03","reply":"Thanks"}`,
			`{"agent":"csv-desk","name":"Bob","stars":2,"created":"2026-03-04","state":"excluded"}`,
			`{"agent":"free-thing","name":"Bob","stars":4,"free":true,"created":"2026-03-05"}`),
		"pages.jsonl": text(
			`{"slug":"about","title":"About us","body":"Hello.","updated":"2026-01-01"}`,
			`{"slug":"refunds","title":"Refunds","brief":"Within 30 days.","body":"# How\n\nWrite.","updated":"2026-01-01"}`),
		"files/one.zip":   {Data: []byte("one")},
		"files/two.zip":   {Data: []byte("two")},
		"media/cover.png": {Data: []byte("a picture")},
	}
}

func text(lines ...string) *fstest.MapFile {
	return &fstest.MapFile{Data: []byte(strings.Join(lines, "\n") + "\n")}
}

// stand is a catalogue with a file store.
type stand struct {
	*catalog.Catalog
	blobs *blob.Store
}

func newStand(t *testing.T) *stand {
	t.Helper()
	blobs, err := blob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return &stand{shelf(t), blobs}
}

// picture takes every picture as it is.
func (s *stand) picture(ctx context.Context, r io.Reader, dryRun bool) (market.Image, error) {
	content, err := io.ReadAll(r)
	if err != nil {
		return market.Image{}, err
	}
	sum := blob.SumOf(content)
	img := market.Image{SHA256: sum.String(), Type: "image/png", Width: 4, Height: 3, Size: int64(len(content))}
	if dryRun {
		return img, nil
	}
	_, err = s.blobs.Put(ctx, bytes.NewReader(content), 1<<20)
	return img, err
}

func (s *stand) load(fsys fs.FS, dryRun bool) (catalog.ImportReport, []string, error) {
	var bad []string
	rep, err := s.ImportFolder(context.Background(), fsys, catalog.ImportOptions{
		Blobs: s.blobs, Picture: s.picture, DryRun: dryRun,
		BadRow: func(at catalog.Place, err error) { bad = append(bad, at.String()+": "+market.Message(err)) },
	})
	slices.Sort(bad)
	return rep, bad, err
}

func (s *stand) mustLoad(t *testing.T, fsys fs.FS) catalog.ImportReport {
	t.Helper()
	rep, bad, err := s.load(fsys, false)
	if err != nil || len(bad) > 0 {
		t.Fatalf("%+v, %q, %v", rep, bad, err)
	}
	return rep
}

// export returns all files of an export.
func (s *stand) export(t *testing.T) (dir string, files map[string]string) {
	t.Helper()
	dir, files = filepath.Join(t.TempDir(), "out"), map[string]string{}
	if _, err := s.Export(context.Background(), dir, catalog.ExportOptions{Blobs: s.blobs}); err != nil {
		t.Fatal(err)
	}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(filepath.Join(dir, name))
		files[name] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir, files
}

func TestImportOfAnExportIsTheSame(t *testing.T) {
	s := newStand(t)
	if rep := s.mustLoad(t, sample()); rep.Added != 15 {
		t.Errorf("%+v", rep)
	}
	imported(t, s.Catalog, lines(300))
	dir, want := s.export(t)
	again := newStand(t)
	again.mustLoad(t, os.DirFS(dir))
	_, got := again.export(t)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the export of the import differs: %s", diff)
	}
	if n := len(want); n != 8+2+1 { // manifest and seven files of lines, two different release files, a picture
		t.Errorf("%d files: %q", n, slices.Sorted(maps.Keys(want)))
	}
}

func TestImportOfAFolderTwiceChangesNothing(t *testing.T) {
	s := newStand(t)
	first := s.mustLoad(t, sample())
	lsn := s.Store.LastLSN()
	if again := s.mustLoad(t, sample()); again.Unchanged != first.Added || s.Store.LastLSN() != lsn {
		t.Errorf("%+v after %+v, %d commits more", again, first, s.Store.LastLSN()-lsn)
	}
}

func TestImportOfAFolderTakesEverything(t *testing.T) {
	s := newStand(t)
	s.mustLoad(t, sample())
	d := detail(t, s.Catalog, "csv-desk")
	if d.Release.Version != "1.2.0" || d.Release.File.Name != "csv-desk.zip" || d.Release.File.Size != 3 {
		t.Errorf("%+v is sold, want the newest stable one", d.Release)
	}
	versions := ""
	for _, r := range d.Releases {
		versions += r.Version + " " + string(r.State) + ";"
	}
	if want := "2.0.0-rc.1 live;1.2.0 live;1.1.0 yanked;1.0.0 superseded;"; versions != want {
		t.Errorf("releases %s want %s", versions, want)
	}
	if len(d.Said) != 2 || d.Said[0].Title != "Data stays in" || d.Said[0].Value != "EU" || d.Said[1].Value != "yes" {
		t.Errorf("its attributes are %+v", d.Said)
	}
	if want := (market.Terms{Refunds: "Within 60 days.", License: "On your machines."}); d.Terms != want {
		t.Errorf("its terms are %+v, want %+v", d.Terms, want)
	}
	if got := detail(t, s.Catalog, "free-thing").Terms; got.Refunds != "Within 30 days." || got.License != market.DefaultTerms.License {
		t.Errorf("terms of an agent without its own are %+v", got)
	}
	if !slices.Equal(d.Tags, []market.Tag{"csv", "postgres"}) {
		t.Errorf("tags %q", d.Tags)
	}
	if len(d.Also) != 1 || d.Also[0].Price.Amount != 4900 || d.Text.Demo[1].Text != "42" || !d.Facts.May("files") || len(d.Images) != 1 {
		t.Errorf("%+v", d)
	}
	if d.Reviews.Total != 1 || d.Rating.Count() != 1 || d.Rating.Mean() != 5 || d.Seller.Country != "MA" {
		t.Errorf("%+v, %+v", d.Reviews, d.Rating)
	}
	read(t, s.Catalog, func(tx store.Reader) error {
		tree, err := catalog.Shelves(tx)
		if path := tree.Path(d.Category); err != nil || len(path) != 2 || path[0].Title != "Build" {
			t.Errorf("it stands at %+v: %v", path, err)
		}
		_, err = catalog.DetailOf(tx, "csv-table", 0)
		if moved, ok := errors.AsType[*catalog.Moved](err); !ok || moved.Slug != "csv-desk" {
			t.Errorf("the old slug: %v", err)
		}
		return nil
	})
	if x := detail(t, s.Catalog, "x"); x.Seller.Slug != catalog.ImportedSeller || !x.Release.File.OnDemand || x.Release.Version != "3.1" {
		t.Errorf("%+v", x.Agent)
	}
}

func TestDryRunSaysTheSameAndWritesNothing(t *testing.T) {
	s := newStand(t)
	rep, bad, err := s.load(sample(), true)
	if err != nil || len(bad) > 0 || rep.Added != 15 || s.Store.LastLSN() != 0 {
		t.Errorf("%+v, %q, %v, %d commits", rep, bad, err, s.Store.LastLSN())
	}
	for range s.blobs.All() {
		t.Error("a dry run kept a file")
	}
	s.mustLoad(t, sample())
	lsn := s.Store.LastLSN()
	changed := sample()
	changed["agents.jsonl"].Data = bytes.Replace(changed["agents.jsonl"].Data, []byte("Reads CSV"), []byte("Sums CSV"), 1)
	if rep, bad, err := s.load(changed, true); err != nil || len(bad) > 0 || rep.Updated != 1 || rep.Unchanged != 14 || s.Store.LastLSN() != lsn {
		t.Errorf("%+v, %q, %v", rep, bad, err)
	}
}

func TestBadLinesOfAFolderAreNamed(t *testing.T) {
	for name, c := range map[string]struct{ file, line, want string }{
		"an unknown field":             {"agents.jsonl", `{"name":"A","category":"sdk","colour":"red"}`, `agents.jsonl line 4: The object can't be read: unknown field "colour".`},
		"half an object":               {"agents.jsonl", `{"name":"A","category":`, "agents.jsonl line 4: The line ends in the middle of a JSON object."},
		"two objects":                  {"pages.jsonl", `{"slug":"a","title":"A"} {}`, "pages.jsonl line 3: There is more on the line than one JSON object."},
		"a number for a text":          {"agents.jsonl", `{"name":7,"category":"sdk"}`, "agents.jsonl line 4, name: The field name can't be a number."},
		"no such seller":               {"agents.jsonl", `{"name":"A","category":"sdk","seller":"nobody"}`, "agents.jsonl line 4, seller: There is no seller \"nobody\"."},
		"a slug of another":            {"agents.jsonl", `{"name":"A","category":"sdk","external_id":"npm:a","slug":"csv-table"}`, "agents.jsonl line 4, slug: The slug \"csv-table\" is another agent's."},
		"a file that isn't":            {"agents.jsonl", `{"name":"A","category":"sdk","releases":[{"file":{"path":"files/none"}}]}`, "agents.jsonl line 4: The file files/none can't be opened."},
		"a file elsewhere":             {"agents.jsonl", `{"name":"A","category":"sdk","releases":[{"file":{"path":"../x"}}]}`, `agents.jsonl line 4: "../x" is no path of a file in the folder.`},
		"a folder for a file":          {"agents.jsonl", `{"name":"A","category":"sdk","releases":[{"file":{"path":"files"}}]}`, "agents.jsonl line 4: files is no file."},
		"a negative price":             {"agents.jsonl", `{"name":"A","category":"sdk","offers":[{"price":"-1 USD"}]}`, "agents.jsonl line 4, price: -1.00 USD is no price."},
		"two offers of no name":        {"agents.jsonl", `{"name":"A","category":"sdk","offers":[{"price":"1 USD"},{"price":"2 USD"}]}`, "agents.jsonl line 4, offers: Several offers"},
		"an attribute unknown":         {"agents.jsonl", `{"name":"A","category":"sdk","attributes":{"colour":"red"}}`, `agents.jsonl line 4, attributes: There is no attribute "colour".`},
		"an attribute of another kind": {"agents.jsonl", `{"name":"A","category":"sdk","attributes":{"region":"Mars"}}`, `agents.jsonl line 4, attributes: region is one of "EU", "US", and not "Mars".`},
		"a kind unknown":               {"attributes.jsonl", `{"attribute":"a","title":"A","kind":"colour"}`, `attributes.jsonl line 4, kind: "colour" is no kind of an attribute.`},
		"a permission unknown":         {"agents.jsonl", `{"name":"A","category":"sdk","facts":{"permissions":[{"permission":"root"}]}}`, `agents.jsonl line 4, permissions: "root" is no permission.`},
		"a version twice":              {"agents.jsonl", `{"name":"A","category":"sdk","releases":[{"version":"1"},{"version":"1"}]}`, "agents.jsonl line 4, releases: The version \"1\" is there twice."},
		"a date that isn't":            {"agents.jsonl", `{"name":"A","category":"sdk","created":"soon"}`, `agents.jsonl line 4: The date "soon" is not of the form`},
		"an id of something":           {"agents.jsonl", `{"id":"sel_1","name":"A","category":"sdk"}`, "agents.jsonl line 4, id: "},
		"too many stars":               {"reviews.jsonl", `{"agent":"csv-desk","name":"A","stars":6}`, "reviews.jsonl line 4, stars: A review gives 1 to 5 stars."},
		"a review of nothing":          {"reviews.jsonl", `{"agent":"gone","name":"A","stars":1}`, "reviews.jsonl line 4, agent: There is no agent \"gone\"."},
		"the same seller":              {"sellers.jsonl", `{"slug":"atlas","name":"Another"}`, "sellers.jsonl line 2, seller: The seller \"atlas\" is on line 1 already."},
		"a site that isn't safe":       {"sellers.jsonl", `{"slug":"b","name":"B","site":"javascript:alert(1)"}`, "sellers.jsonl line 2, site: The site must be an https address"},
		"a shelf below itself":         {"categories.jsonl", `{"category":"a","title":"A","parent":"a"}`, "categories.jsonl line 3, parent: "},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t)
			folder := sample()
			folder[c.file].Data = append(folder[c.file].Data, c.line...)
			rep, bad, err := s.load(folder, false)
			if err != nil || rep.Added != 15 || rep.Refused != 1 || len(bad) != 1 || !strings.HasPrefix(bad[0], c.want) {
				t.Errorf("%+v, %q, %v\nwant %s", rep, bad, err, c.want)
			}
		})
	}
}

func TestImportOfATableWithFiles(t *testing.T) {
	s := newStand(t)
	s.mustLoad(t, fstest.MapFS{
		"agents.csv":  text("id,name,category,version,file,image,price,tags", "own:a,A,sdk,1.5,files/a.zip,media/a.png,5 USD,\"x, y\""),
		"files/a.zip": {Data: []byte("a")},
		"media/a.png": {Data: []byte("p")},
	})
	a := agent(t, s.Catalog, "a")
	if a.Release.File.OnDemand || a.Release.Version != "1.5" || len(a.Images) != 1 || a.Offer.Price.Amount != 500 || !a.Offer.License || len(a.Tags) != 2 {
		t.Errorf("%+v", a.Agent)
	}
}

func TestFoldersThatAreNone(t *testing.T) {
	for name, c := range map[string]struct {
		fsys fstest.MapFS
		want string
	}{
		"nothing in it":      {fstest.MapFS{"x.txt": text("x")}, "The folder has none of the files"},
		"another manifest":   {fstest.MapFS{"souk.json": text(`{"format":"other"}`)}, "isn't one of an export"},
		"of the future":      {fstest.MapFS{"souk.json": text(`{"format":"souk-catalogue","version":2,"complete":true}`)}, "Use a newer souk"},
		"broken off":         {fstest.MapFS{"souk.json": text(`{"format":"souk-catalogue","version":1,"complete":false}`), "pages.jsonl": text("")}, "broken off"},
		"manifest cut short": {fstest.MapFS{"souk.json": text(`{"format":"so`)}, "isn't one of an export"},
	} {
		if _, _, err := newStand(t).load(c.fsys, false); !market.Is(err, market.Invalid) || !strings.Contains(market.Message(err), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

func TestExportThatIsBrokenOffIsKnown(t *testing.T) {
	s := newStand(t)
	s.mustLoad(t, sample())
	ctx, cancel := context.WithCancel(context.Background())
	dir := t.TempDir()
	_, err := s.Export(ctx, dir, catalog.ExportOptions{Blobs: s.blobs, Progress: func(lines int) {
		if lines == 5 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("the export: %v", err)
	}
	if _, _, err := newStand(t).load(os.DirFS(dir), false); !market.Is(err, market.Invalid) || !strings.Contains(market.Message(err), "broken off") {
		t.Errorf("an import of it: %v", err)
	}
	if _, err := s.Export(context.Background(), dir, catalog.ExportOptions{Blobs: s.blobs}); !market.Is(err, market.Conflict) {
		t.Errorf("an export over it: %v", err)
	}
}

// TestImportOfOtherFiles: the same listings in each form.
func TestImportOfOtherFiles(t *testing.T) {
	row := map[string]any{"id": "pypi:a", "name": "Agent, \"A\"", "summary": "What it does.", "version": "1.0", "popularity": 7, "source": "pypi",
		"category": "mcp-server", "updated": "2026-08", "unknown": []int{1}}
	object, err := json.Marshal(row)
	if err != nil {
		t.Fatal(err)
	}
	other := strings.ReplaceAll(string(object), "pypi:a", "pypi:b")
	table := func(sep string) string {
		return strings.ReplaceAll("id,name,summary,version,popularity,source,category,updated,more\n"+
			"pypi:a,\"Agent, \"\"A\"\"\",What it does.,1.0,7,pypi,mcp-server,2026-08,x\n"+
			"pypi:b,\"Agent, \"\"A\"\"\",\"What it does.\",1.0,7,pypi,mcp-server,2026-08,x\n", ",", sep)
	}
	for name, c := range map[string]struct {
		file    string
		columns map[string]string
	}{
		"CSV":               {table(","), nil},
		"CSV with a mark":   {"\ufeff" + table(","), nil},
		"semicolons":        {strings.ReplaceAll(table(";"), "Agent; ", "Agent, "), nil},
		"JSON Lines":        {string(object) + "\n\n" + other + "\n", nil},
		"a JSON array":      {"[\n" + string(object) + ",\n" + other + "\n]\n", nil},
		"an array, marked":  {"\ufeff [" + string(object) + "," + other + "]", nil},
		"mapped columns":    {strings.Replace(table(","), "id,name", "package,title", 1), map[string]string{"package": "id", "title": "name"}},
		"mapped properties": {strings.ReplaceAll("["+string(object)+","+other+"]", `"name"`, `"title"`), map[string]string{"title": "name"}},
	} {
		t.Run(name, func(t *testing.T) {
			shelf := shelf(t)
			var bad []string
			rep, err := shelf.Import(context.Background(), strings.NewReader(c.file), catalog.ImportOptions{
				Columns: c.columns, BadRow: func(at catalog.Place, err error) { bad = append(bad, fmt.Sprint(at, err)) },
			})
			if err != nil || rep.Added != 2 {
				t.Fatalf("%+v, %q, %v", rep, bad, err)
			}
			a := agent(t, shelf, "agent-a")
			if a.ExternalID != "pypi:a" || a.Name != `Agent, "A"` || a.Popularity != 7 || a.Release.Version != "1.0" || a.Updated.Month() != 8 {
				t.Errorf("%+v", a.Agent)
			}
		})
	}
}

// TestImportSaysWhereFilesBreak: what came before is in.
func TestImportSaysWhereFilesBreak(t *testing.T) {
	good := `{"id":"pypi:a","name":"A","category":"sdk"}`
	for name, c := range map[string]struct {
		file, want string // want "" for a bad row
		bad        string
	}{
		"an array cut short":     {"[\n" + good + ",\n{\"id\":\"pyp", "The file ends in the middle of the JSON array, after line 2.", ""},
		"an array without end":   {"[\n" + good, "The file ends in the middle of the JSON array, after line 2.", ""},
		"no array inside":        {"[\n" + good + " x]", "The JSON can't be read after line 2", ""},
		"a quote never closed":   {"id,name,category\npypi:a,A,sdk\npypi:b,\"" + strings.Repeat("x\n", 1<<20), "a quote or a bracket isn't closed", ""},
		"a bad quote":            {"id,name,category\npypi:a,A,sdk\npypi:b,B\"x,sdk\n", "", `line 3: The row can't be read: bare " in non-quoted-field.`},
		"a bad object":           {"[\n" + good + ",\n\n{\"id\":\"pypi:b\",\n\"name\":3}]", "", "line 4, name: The field name can't be a number."},
		"a bad line":             {good + "\n{]\n", "", "line 2: The JSON can't be read"},
		"a column under a title": {"id,title,category\npypi:a,A,sdk\npypi:b,,sdk\n", "", "line 3, title: The name must have"},
	} {
		t.Run(name, func(t *testing.T) {
			shelf, bad := shelf(t), ""
			columns := map[string]string{}
			if strings.Contains(c.file, "title") {
				columns["title"] = "name"
			}
			rep, err := shelf.Import(context.Background(), strings.NewReader(c.file), catalog.ImportOptions{
				Columns: columns, BadRow: func(at catalog.Place, err error) { bad = at.String() + ": " + market.Message(err) },
			})
			if rep.Added != 1 || !strings.HasPrefix(bad, c.bad) || (c.bad == "") != (bad == "") {
				t.Errorf("%+v, %q, want %q", rep, bad, c.bad)
			}
			if c.want != "" && (!market.Is(err, market.Invalid) || !strings.Contains(market.Message(err), c.want)) || c.want == "" && err != nil {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestImportOfManyAgentsWithLongTexts(t *testing.T) {
	s := newStand(t)
	var b bytes.Buffer
	for i := range 200 {
		fmt.Fprintf(&b, `{"slug":"a-%d","name":"A %d","category":"sdk","description":%q,"releases":[`, i, i, strings.Repeat("word ", 6_000))
		for v := range 10 {
			fmt.Fprintf(&b, `{"version":"1.%d","notes":"Notes"},`, v)
		}
		b.Truncate(b.Len() - 1)
		b.WriteString("]}\n")
	}
	if rep := s.mustLoad(t, fstest.MapFS{"agents.jsonl": {Data: b.Bytes()}}); rep.Added != 200 {
		t.Errorf("%+v", rep)
	}
	if d := detail(t, s.Catalog, "a-7"); d.Release.Version != "1.9" || len(d.Releases) != 10 {
		t.Errorf("%+v", d.Release)
	}
}
