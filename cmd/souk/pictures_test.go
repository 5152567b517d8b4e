package main

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// TestPicturesOnPages imports an agent with a picture: its page and its card show it, in a
// width that the browser asks for.
func TestPicturesOnPages(t *testing.T) {
	folder, data := t.TempDir(), filepath.Join(t.TempDir(), "data")
	img := image.NewRGBA(image.Rect(0, 0, 700, 400))
	img.Set(10, 10, color.White)
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"sellers.jsonl": `{"slug":"ada","name":"Ada"}`,
		"agents.jsonl": `{"slug":"chart-clerk","name":"Chart Clerk","summary":"Draws bar charts.","seller":"ada","category":"data",` +
			`"offers":[{"price":"free"}],"releases":[{"version":"1.0.0","file":{"path":"files/clerk.txt"}}],"images":[{"path":"media/cover.png","alt":"A bar chart"}]}`,
		"files/clerk.txt": "a clerk",
		"media/cover.png": b.String(),
	} {
		file := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Log(mustSouk(t, "import", folder, "--data", data))
	server := open(t, data)
	v := visit(t, server.URL)
	waitFor(t, "the marketplace to be ready", func() bool { return v.open("/readyz").status == http.StatusOK })
	shown := v.open("/agents/chart-clerk").Find(".pictures img")
	if alt := shown.AttrOr("alt", ""); alt != "A bar chart" {
		t.Errorf("the page has %d pictures, %q", shown.Length(), alt)
	}
	for where, src := range map[string]string{
		"page": shown.AttrOr("src", ""),
		"card": v.open("/search").Find("img.cover").AttrOr("src", ""),
	} {
		got, err := http.Get(v.abs(src))
		if err != nil {
			t.Fatal(err)
		}
		got.Body.Close()
		if got.StatusCode != http.StatusOK || got.Header.Get("Content-Type") != "image/jpeg" {
			t.Errorf("%s: %s answers %s, %s", where, src, got.Status, got.Header.Get("Content-Type"))
		}
	}
}
