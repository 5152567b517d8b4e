package lint

import (
	"go/ast"
	"strings"
)

// table is the order of the house: a package imports only from lower lines, or from its
// own tree. A new package is entered here, which is the moment to think where it stands.
var table = map[string]int{
	"cmd/souk": 6,

	"internal/web":    5,
	"internal/api":    5,
	"internal/mcp":    5,
	"internal/notify": 5,

	// Use-cases.
	"internal/account":    4,
	"internal/catalog":    4,
	"internal/order":      4,
	"internal/ledger":     4,
	"internal/licensing":  4,
	"internal/moderation": 4,
	"internal/drill":      4,
	"internal/payout":     4,

	// Followers of the store.
	"search":             3,
	"internal/pagecache": 3,
	"internal/replica":   3,
	"internal/jobs":      3,
	"internal/analytics": 3,
	"internal/monitor":   3,

	// Mechanisms.
	"store":            2,
	"views":            2,
	"payments":         2,
	"internal/mail":    2,
	"internal/blob":    2,
	"internal/media":   2,
	"internal/edge":    2,
	"internal/control": 2,

	"internal/market":  1,
	"internal/testenv": 1,
	"internal/lint":    1,
}

// testOnly are packages for tests; their own non-test files count as tests.
var testOnly = []string{"store/storetest", "payments/paymentstest", "internal/testenv", "internal/lint"}

// inTests reports whether the file is only built for tests.
func inTests(f File) bool { return f.IsTest() || withinAny(f.Dir(), testOnly) }

// confinement says where modules may be imported. Modules not named here may be
// imported anywhere.
type confinement struct {
	modules []string
	in      []string // folders
	tests   bool     // and everything built only for tests
}

var confinements = []confinement{
	{[]string{"github.com/cockroachdb/pebble"}, []string{"store", "internal/replica"}, false},
	{[]string{"github.com/blevesearch"}, []string{"search"}, false},
	{[]string{"github.com/stripe/stripe-go"}, []string{"payments"}, false},
	{[]string{"github.com/a-h/templ"}, []string{"views", "internal/web"}, false},
	{[]string{"github.com/bojanz/currency"}, []string{"views"}, false},
	{[]string{"github.com/yuin/goldmark", "github.com/microcosm-cc/bluemonday"}, []string{"views"}, false},
	{[]string{"github.com/deepteams/webp", "golang.org/x/image/webp"}, []string{"internal/media"}, false},
	{[]string{"github.com/caddyserver/certmagic"}, []string{"internal/edge"}, false},
	{
		[]string{"github.com/benbjohnson/litestream", "github.com/superfly/ltx", "github.com/aws"},
		[]string{"internal/replica", "internal/blob", "internal/testenv"}, false,
	},
	{[]string{
		"github.com/letsencrypt", "github.com/stripe/stripe-mock", "github.com/chromedp", "github.com/emersion/go-smtp",
		"github.com/google/go-cmp", "github.com/rogpeppe/go-internal", "pgregory.net/rapid", "testing",
	}, nil, true},
	// No assertion libraries, no mocks, no C.
	{[]string{"github.com/stretchr/testify", "go.uber.org/mock", "github.com/golang/mock", "github.com/onsi/gomega", "C"}, nil, false},
}

// unit is the entry of the table that a folder belongs to: itself or a parent.
func unit(dir string) (string, bool) {
	for dir != "." {
		if _, ok := table[dir]; ok {
			return dir, true
		}
		cut := strings.LastIndexByte(dir, '/')
		if cut < 0 {
			return "", false
		}
		dir = dir[:cut]
	}
	return "", false
}

func importsPointDown(t *Tree) []Problem {
	problems := unknownPackages(t)
	return append(problems, t.eachImport(func(f File, at ast.Node, imported string) []Problem {
		dir, ok := ours(imported)
		if !ok || withinAny(dir, testOnly) {
			return nil
		}
		from, known := unit(f.Dir())
		to, knownToo := unit(dir)
		if !known || !knownToo {
			return nil // said once, by unknownPackages
		}
		if from == to || table[from] > table[to] {
			return nil
		}
		return []Problem{t.problem(f, at, "%s (line %d) may not import %s (line %d): imports point down",
			from, table[from], to, table[to])}
	})...)
}

func unknownPackages(t *Tree) []Problem {
	var problems []Problem
	seen := map[string]bool{}
	for _, f := range t.goFiles() {
		if _, ok := unit(f.Dir()); ok || seen[f.Dir()] {
			continue
		}
		seen[f.Dir()] = true
		problems = append(problems, Problem{Path: f.Dir(), Text: "this package is not in internal/lint's table: give it a line"})
	}
	return problems
}

func testPackagesStayInTests(t *Tree) []Problem {
	return t.eachImport(func(f File, at ast.Node, imported string) []Problem {
		dir, ok := ours(imported)
		if !ok || inTests(f) || !withinAny(dir, testOnly) {
			return nil
		}
		return []Problem{t.problem(f, at, "%s is for tests", dir)}
	})
}

func thirdPartiesAreConfined(t *Tree) []Problem {
	return t.eachImport(func(f File, at ast.Node, imported string) []Problem {
		for _, c := range confinements {
			if !withinAny(imported, c.modules) || withinAny(f.Dir(), c.in) || c.tests && inTests(f) {
				continue
			}
			return []Problem{t.problem(f, at, "%s is confined to %s", imported, c.places())}
		}
		return nil
	})
}

func (c confinement) places() string {
	places := strings.Join(c.in, ", ")
	switch {
	case c.tests && places == "":
		return "tests"
	case places == "":
		return "nowhere"
	}
	return places
}

// vocabularyStandsAlone keeps internal/market, which everything imports, free of
// everything but the standard library.
func vocabularyStandsAlone(t *Tree) []Problem {
	return t.eachImport(func(f File, at ast.Node, imported string) []Problem {
		first, _, _ := strings.Cut(imported, "/")
		if f.Dir() != "internal/market" || f.IsTest() || !strings.Contains(first, ".") {
			return nil
		}
		return []Problem{t.problem(f, at, "internal/market imports only the standard library, not %s", imported)}
	})
}
