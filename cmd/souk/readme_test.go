package main

import (
	"errors"
	"io/fs"
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

// readme is the README's text.
func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestReadmeCommands parses every command line of the README.
func TestReadmeCommands(t *testing.T) {
	n := 0
	for line := range strings.Lines(readme(t)) {
		rest, ok := strings.CutPrefix(line, "    souk ")
		if !ok {
			continue
		}
		rest, _, _ = strings.Cut(rest, " #")
		rest, _, _ = strings.Cut(rest, " | ")
		rest, _, _ = strings.Cut(rest, " > ")
		parser, err := newParser(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parser.Parse(strings.Fields(rest)); err != nil {
			t.Errorf("souk %s: %v", rest, err)
		}
		n++
	}
	if n < 25 {
		t.Errorf("%d command lines were found", n)
	}
}

// TestReadmeConfiguration loads the README's souk.toml.
func TestReadmeConfiguration(t *testing.T) {
	_, after, _ := strings.Cut(readme(t), "```toml\n")
	text, _, ok := strings.Cut(after, "```")
	if !ok {
		t.Fatal("the README has no configuration")
	}
	cfg, _ := mustLoad(t, configSources{ReadFile: func(name string) ([]byte, error) {
		switch filepath.Base(name) {
		case "souk.toml":
			return []byte(text), nil
		case "replica.key":
			return []byte(keygen(t).ServerKey + "\n"), nil
		}
		return nil, &fs.PathError{Op: "open", Path: name, Err: errors.ErrUnsupported}
	}})
	if len(cfg.Replicas) != 2 || !cfg.Replicas[0].Key.IsSet() || cfg.Replicas[1].Key.IsSet() || !cfg.Sync.Orders || !cfg.Drill.Weekly || cfg.Mail.Operator == "" {
		t.Errorf("%+v", cfg)
	}
}
