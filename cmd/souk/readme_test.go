package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReadmePurchase runs the README's five lines of shell against a demo.
func TestReadmePurchase(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "```sh\n")
	script, _, ok := strings.Cut(after, "```")
	if lines := strings.Count(script, "\n"); !ok || lines != 5 {
		t.Fatalf("the README's purchase has %d lines", lines)
	}
	for _, tool := range []string{"sh", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s isn't installed; the README's lines need it", tool)
		}
	}
	demo := serve(t, "demo", "--data", filepath.Join(t.TempDir(), "demo"), "--addr", "127.0.0.1:0")
	waitFor(t, "the index", func() bool { return visit(t, demo.URL).open("/readyz").status == 200 })
	script = strings.Replace(script, "http://127.0.0.1:8080", demo.URL, 1)
	out, err := exec.Command("sh", "-c", script).CombinedOutput()
	if err != nil || !regexp.MustCompile(`^SOUK(-[0-9A-Z]{4}){7}\n$`).Match(out) {
		t.Errorf("the README's purchase printed %q (%v)", out, err)
	}
	demo.Stop()
}
