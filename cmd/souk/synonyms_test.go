package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSynonymsOfTheOperator starts a marketplace without a file of synonyms, with one, and
// with one of which a line can't be used.
func TestSynonymsOfTheOperator(t *testing.T) {
	data, rows := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "agents.tsv")
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(rows, "id\tname\tsummary\tversion\tpopularity\tsource\tcategory\tupdated\n"+
		"pypi:pilot\tkubernetes-pilot\tSteers clusters.\t1.0\t7\tpypi\tdata\t2026-01-02\n")
	mustSouk(t, "import", rows, "--data", data)
	file := filepath.Join(data, "synonyms.txt")

	wantFinding(t, data, map[string]bool{"k8s": true, "quartermaster": false})
	write(file, "# ours\n\nquartermaster => Kubernetes # one way\n")
	wantFinding(t, data, map[string]bool{"k8s": false, "quartermaster": true})

	write(file, "# ours\n\nquartermaster => kubernetes\nalone\n")
	_, errs, status := souk(t, "serve", "--data", data, "--addr", "127.0.0.1:0")
	if status == 0 || !strings.Contains(errs, file) || !strings.Contains(errs, "Line 4") || !strings.Contains(errs, `"alone" stands alone`) {
		t.Errorf("exit status %d: %s", status, errs)
	}
}

// wantFinding runs the marketplace and says of each query whether it finds the agent.
func wantFinding(t *testing.T, data string, queries map[string]bool) {
	t.Helper()
	server := open(t, data)
	v := visit(t, server.URL)
	waitFor(t, "the marketplace to be ready", func() bool { return v.open("/readyz").status == http.StatusOK })
	for q, want := range queries {
		var found apiList
		if v.getJSON("/api/v1/search?q="+q, &found); (len(found.Items) > 0) != want {
			t.Errorf("%q finds %+v, want one: %v", q, found.Items, want)
		}
	}
	server.Stop()
}
