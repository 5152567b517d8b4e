package views

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"path"
	"strings"
	"sync"

	"github.com/souk-market/souk/views/tile"
)

//go:embed assets
var files embed.FS

// sheets are put together into app.css, in this order; the cascade layers in them are
// declared by the first.
var sheets = []string{"tokens.css", "base.css", "parts.css", "pages.css", "goods.css"}

// scripts are modules that import nothing by name, so that each can be kept for ever under
// a name of its own; theme.js runs before the first paint, and is none.
var scripts = []string{"theme.js", "app.js", "suggest.js", "listing.js"}

// asset is a file as served: its name carries a hash of its content, so it never changes.
type asset struct {
	data        []byte
	contentType string
	hashed      string
	address     string
}

// assets holds each asset under its plain name and its hashed name. It is made once, on
// first use, from what is embedded in the binary.
var assets = sync.OnceValue(func() map[string]asset {
	set := map[string]asset{}
	addAsset(set, "icons.svg", embedded("icons.svg"))
	addAsset(set, "favicon.svg", tile.SVG(markSeed, tile.Mark))
	for _, name := range scripts {
		addAsset(set, name, embedded(name))
	}
	var css strings.Builder
	for _, name := range sheets {
		css.WriteString(squeeze(string(embedded(name))))
	}
	addAsset(set, "app.css", []byte(css.String()))
	addAsset(set, "gallery.css", []byte(squeeze(string(embedded("gallery.css")))))
	return set
})

// markSeed is what the marketplace's own tiles are drawn from.
const markSeed = "souk15"

func embedded(name string) []byte {
	data, err := files.ReadFile("assets/" + name)
	if err != nil {
		panic(err) // a file of this package is missing from the binary
	}
	return data
}

func addAsset(set map[string]asset, name string, data []byte) {
	types := map[string]string{
		".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
	}
	sum := sha256.Sum256(data)
	ext := path.Ext(name)
	hashed := strings.TrimSuffix(name, ext) + "-" + hex.EncodeToString(sum[:6]) + ext
	a := asset{data, types[ext], hashed, "/assets/" + hashed}
	set[name], set[a.hashed] = a, a
}

// squeeze takes comments, indentation and line ends out of a style sheet. It knows no
// strings: a sheet must not hold "/*" in one.
func squeeze(css string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(css, "/*")
		for line := range strings.Lines(before) {
			b.WriteString(strings.TrimSpace(line))
		}
		if !found {
			return b.String()
		}
		_, css, _ = strings.Cut(rest, "*/")
	}
}

// Asset gives an asset by its plain name ("app.css") or its hashed one. Under the hashed
// name it never changes and may be kept for ever. data is nil for an unknown name.
func Asset(name string) (data []byte, contentType, hashedName string) {
	a := assets()[name]
	return a.data, a.contentType, a.hashed
}

// AssetPath is the address of an asset, with its hashed name: "/assets/app-0f3a….css".
// It panics for an unknown name, which only a mistake in this package can give it.
func AssetPath(name string) string {
	a, ok := assets()[name]
	if !ok {
		panic("views: no asset " + name)
	}
	return a.address
}
