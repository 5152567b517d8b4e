package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fill imports a folder with two agents, one of which has two versions.
func fill(t *testing.T, data string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"sellers.jsonl": `{"slug":"atlas","name":"Atlas"}`,
		"agents.jsonl": `{"slug":"csv-desk","seller":"atlas","name":"CSV Desk","category":"data","tags":["pg"],"releases":[` +
			`{"version":"1.1.0","released":"2026-02-01","file":{"path":"two.zip"}},{"version":"1.0.0","released":"2026-01-01","file":{"path":"one.zip"}}]}` + "\n" +
			`{"slug":"pdf-desk","seller":"atlas","name":"PDF Desk","category":"data","releases":[{"version":"3.0.0","released":"2026-01-01","file":{"path":"one.zip"}}]}`,
		"one.zip": "one", "two.zip": "two", "refunds.md": "Write to *us*.",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out := mustSouk(t, "import", dir, "--data", data); !strings.Contains(out, "3 added") {
		t.Fatal(out)
	}
}

// curation is what an operator does to a catalogue, and what it prints.
var curation = []struct{ command, says string }{
	{"agent rename csv-desk table-desk", "csv-desk is table-desk now, and /agents/csv-desk leads there."},
	{"agent rename csv-desk table-desk", "table-desk has this slug already."},
	{"agent yank table-desk 1.1.0 --reason Broken", "Version 1.1.0 of table-desk is withdrawn."},
	{"agent pick table-desk", "table-desk is among the picks."},
	{"agent state pdf-desk suspended --reason Reported", "pdf-desk was published and is suspended now."},
	{"agent show table-desk", "FORMER SLUG  csv-desk"},
	{"agent show table-desk", "1.1.0 yanked: Broken"},
	{"tag merge pg postgres", "pg stands for postgres now. 1 agent was changed."},
	{"tag list", "pg   postgres"},
	{"category put tables --title Tables --below data --place 3", "The category tables is called Tables."},
	{"category list", "tables              data   0       3      Tables"},
	{"attribute put region --title Stays --kind choice --choice EU --choice US", "Agents have the attribute region now."},
	{"attribute list", "region     choice  0      Stays  EU, US"},
	{"agent set table-desk region=EU", "table-desk says so now."},
	{"page list", "(default)  About this marketplace"},
}

// TestCuration does everything to a closed directory, and to the one of a running server,
// which shows it at once.
func TestCuration(t *testing.T) {
	for _, where := range []string{"closed", "running"} {
		t.Run(where, func(t *testing.T) {
			data := filepath.Join(t.TempDir(), "data")
			fill(t, data)
			var server *running
			if where == "running" {
				server = open(t, data)
				visit(t, server.URL).open("/agents/csv-desk") // which is kept, and must go
			}
			for _, c := range curation {
				if out := mustSouk(t, append(strings.Fields(c.command), "--data", data)...); !strings.Contains(out, c.says) {
					t.Errorf("souk %s says\n%s\nwant %s", c.command, out, c.says)
				}
			}
			if where == "closed" {
				server = open(t, data)
			}
			looksCurated(t, server)
			server.Stop()
		})
	}
}

func looksCurated(t *testing.T, server *running) {
	t.Helper()
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Get(server.URL + "/agents/csv-desk")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if to := resp.Header.Get("Location"); resp.StatusCode != http.StatusMovedPermanently || to != "/agents/table-desk" {
		t.Errorf("the former address answers %s to %q", resp.Status, to)
	}
	if p := visit(t, server.URL).open("/agents/table-desk"); p.status != http.StatusOK || !strings.Contains(string(p.body), "Broken") || !strings.Contains(string(p.body), "postgres") || !strings.Contains(string(p.body), "Stays") {
		t.Errorf("the agent's page answers %d without the reason, the tag or the attribute", p.status)
	}
	if p := visit(t, server.URL).open("/agents/pdf-desk"); p.status != http.StatusNotFound {
		t.Errorf("the suspended agent's page answers %d", p.status)
	}
}

func TestPageFromAFile(t *testing.T) {
	data, file := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "refunds.md")
	fill(t, data)
	if err := os.WriteFile(file, []byte("Write to *us*.\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	server := open(t, data)
	defer server.Stop()
	out := mustSouk(t, "page", "put", "refunds", file, "--title", "Refunds", "--brief", "Within ninety days.", "--data", data)
	if out != "/pages/refunds is written.\n" {
		t.Error(out)
	}
	if p := visit(t, server.URL).open("/pages/refunds"); !strings.Contains(string(p.body), "<em>us</em>") {
		t.Errorf("the page says %.500s", p.body)
	}
	if p := visit(t, server.URL).open("/agents/pdf-desk"); !strings.Contains(string(p.body), "Within ninety days.") {
		t.Error("an agent's page doesn't show the marketplace's refund terms")
	}
}

func TestCurationRefuses(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	fill(t, data)
	for command, says := range map[string]string{
		"agent show nobody":                            `There is no agent "nobody".`,
		"agent rename csv-desk pdf-desk":               "There is already an agent with this slug.",
		"agent rename csv-desk PDF_Desk":               "must be lower-case letters",
		"agent forget csv-desk pdf-desk":               "This agent never had the slug",
		"agent state csv-desk removed --reason x":      "This listing is published and can't become removed.",
		"agent state csv-desk suspended":               "Say why",
		"agent yank csv-desk 9.9 --reason x":           "There is no such version. souk agent show csv-desk lists them",
		"agent yank pdf-desk 3.0.0 --reason x":         "This is the only version on sale.",
		"agent set csv-desk colour=red":                `There is no attribute "colour".`,
		"agent set csv-desk colour":                    "write ATTRIBUTE=VALUE",
		"attribute put colour --title C --kind choice": "An attribute of the kind choice has 1 to 64 choices.",
		"category put new":                             `There is no category "new" yet.`,
		"category put new --title N --below none":      `"none" is no shelf of the top level.`,
		"tag merge pg pg":                              "An alias is one tag",
	} {
		if out, errs, status := souk(t, append(strings.Fields(command), "--data", data)...); status != 1 || !strings.Contains(errs, says) || out != "" {
			t.Errorf("souk %s: status %d, %s%s\nwant %s", command, status, out, errs, says)
		}
	}
	if _, errs, status := souk(t, "agent", "state", "csv-desk", "draft", "--data", data); status != 2 {
		t.Errorf("a state that nobody brings an agent into: status %d, %s", status, errs)
	}
}
