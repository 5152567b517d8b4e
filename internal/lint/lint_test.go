package lint

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// TestTheHouse applies every rule to this module.
func TestTheHouse(t *testing.T) {
	tree := load(t, os.DirFS(moduleRoot(t)))
	if len(tree.goFiles()) < 20 {
		t.Fatalf("only %d Go files were found", len(tree.goFiles()))
	}
	for _, rule := range Rules() {
		t.Run(rule.Name, func(t *testing.T) {
			for _, p := range rule.Check(tree) {
				t.Error(p)
			}
		})
	}
}

func moduleRoot(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("there is no go.mod above this test")
		}
		dir = parent
	}
}

func load(t *testing.T, fsys fs.FS) *Tree {
	t.Helper()
	tree, err := Load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// files is a planted tree: paths and contents.
type files map[string]string

func (f files) tree(t *testing.T) *Tree {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, text := range f {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return load(t, fsys)
}

// importing is a Go file with the given imports.
func importing(pkg string, imports ...string) string {
	text := "package " + pkg + "\n\nimport (\n"
	for _, path := range imports {
		text += fmt.Sprintf("\t_ %q\n", strings.Replace(path, "souk/", module+"/", 1))
	}
	return text + ")\n"
}

const goodMod = "module " + module + "\n\ngo 1.26.0\n\ntool (\n\tgithub.com/a-h/templ/cmd/templ\n\thonnef.co/go/tools/cmd/staticcheck\n)\n"

// house is a small tree that breaks no rule.
var house = files{
	"go.mod":                           goodMod,
	".gitignore":                       "/souk\n/dist/\n*.test\n",
	".git/config":                      "at = /" + "work/main/",
	".ci/run":                          "#!/bin/sh\ngo test ./...\n",
	"dist/x/y.go":                      "not Go",
	"README.md":                        "See https://example.com/work/now and /etc/souk/souk.toml.\n",
	"cmd/souk/main.go":                 "// Souk is a marketplace.\n" + importing("main", "souk/internal/web", "souk/internal/order", "souk/store", "github.com/alecthomas/kong"),
	"internal/web/web.go":              "// Package web is.\n" + importing("web", "souk/internal/order", "souk/views", "souk/search", "github.com/a-h/templ"),
	"internal/order/order.go":          "// Package order is.\n" + importing("order", "souk/store", "souk/payments", "souk/internal/market"),
	"internal/order/order_test.go":     importing("order_test", "souk/internal/order", "souk/payments/sandbox", "souk/store/storetest", "souk/internal/testenv", "github.com/google/go-cmp/cmp"),
	"internal/market/market.go":        "// Package market is.\n" + importing("market", "fmt", "encoding/json"),
	"internal/market/market_test.go":   importing("market", "pgregory.net/rapid"),
	"internal/replica/replica.go":      "// Package replica is.\n" + importing("replica", "souk/store", "souk/internal/blob", "github.com/superfly/ltx", "github.com/benbjohnson/litestream/s3", "github.com/cockroachdb/pebble/v2/sstable"),
	"internal/testenv/testenv.go":      "// Package testenv is.\n" + importing("testenv", "testing", "github.com/letsencrypt/pebble/v2/ca"),
	"internal/testenv/testdata/bad.go": "this is no Go",
	"payments/payments.go":             "// Package payments is.\n" + importing("payments", "souk/internal/market"),
	"payments/paymentstest/suite.go":   "// Package paymentstest is.\n" + importing("paymentstest", "testing", "souk/payments"),
	"payments/sandbox/sandbox.go":      "// Package sandbox is.\n" + importing("sandbox", "souk/payments"),
	"payments/stripe/stripe.go":        "// Package stripe is.\n" + importing("stripe", "souk/payments", "github.com/stripe/stripe-go/v76/webhook"),
	"search/search.go":                 "// Package search is.\n" + importing("search", "souk/store", "github.com/blevesearch/bleve/v2"),
	"store/doc.go":                     "// Package store is.\npackage store\n",
	"store/store.go":                   importing("store", "souk/internal/market", "github.com/cockroachdb/pebble/v2"),
	"store/storetest/storetest.go":     "// Package storetest is.\n" + importing("storetest", "testing", "souk/store", "github.com/cockroachdb/pebble/v2/vfs"),
	"views/views.go":                   "// Package views is.\n" + importing("views", "souk/views/tile", "github.com/a-h/templ"),
	"views/tile/tile.go":               "// Package tile is.\npackage tile\n",
	"views/assets/logo.png":            "\x89PNG\x00 /" + "root/picture/",
	"internal/blob/blob_test.go":       "package blob\n\nimport \"testing\"\n\nfunc TestX(t *testing.T) {}\n",
	"internal/jobs/jobs.go":            "// Package jobs is.\npackage jobs\n\nimport \"time\"\n\nfunc wait() { time.Sleep(1) }\n",
	"internal/jobs/jobs_synctest_test.go": "package jobs\n\nimport (\n\t\"testing\"\n\t\"testing/synctest\"\n\t\"time\"\n)\n\nfunc TestY(t *testing.T) {\n" +
		"\tsynctest.Test(t, func(t *testing.T) { time.Sleep(time.Hour) })\n\tselect {\n\tcase <-time.After(1):\n\t}\n}\n",
}

func TestAGoodHouseHasNoProblems(t *testing.T) {
	tree := house.tree(t)
	for _, rule := range Rules() {
		for _, p := range rule.Check(tree) {
			t.Errorf("%s: %s", rule.Name, p)
		}
	}
}

// planted are violations: a file put into the good house, and where the rule sees it.
// The place is "path:line" or "path"; "" says that this is allowed.
type planted struct {
	path, text, want string
}

func add(path, text, want string) planted { return planted{path, text, want} }

// violations has at least one entry for each rule, which TestEveryRuleIsBroken holds.
var violations = map[string][]planted{
	"imports point down": {
		add("store/up.go", importing("store", "souk/internal/order"), "store/up.go:4"),
		add("store/up.go", importing("store", "fmt", "souk/cmd/souk"), "store/up.go:5"),
		add("store/side.go", importing("store", "souk/views"), "store/side.go:4"),
		add("views/tile/up.go", importing("tile", "souk/internal/web"), "views/tile/up.go:4"),
		add("internal/order/side.go", importing("order", "souk/internal/catalog"), "internal/order/side.go:4"),
		add("internal/order/side_test.go", importing("order", "souk/internal/catalog"), "internal/order/side_test.go:4"),
		add("internal/market/up.go", importing("market", "souk/store"), "internal/market/up.go:4"),
		add("payments/paymentstest/up.go", importing("paymentstest", "souk/store"), "payments/paymentstest/up.go:4"),
		add("search/side.go", importing("search", "souk/internal/replica"), "search/side.go:4"),
		add("internal/web/side.go", importing("web", "souk/internal/api"), "internal/web/side.go:4"),
		add("internal/testenv/up.go", importing("testenv", "souk/store"), "internal/testenv/up.go:4"),
		add("internal/newthing/x.go", importing("newthing", "souk/cmd/souk"), "internal/newthing"),
		add("root.go", "package souk\n", "."),
		add("cmd/other/main.go", "package main\n", "cmd/other"),
		add("internal/webhooks/x.go", "package webhooks\n", "internal/webhooks"),
	},
	"test packages stay in tests": {
		add("internal/order/x.go", importing("order", "souk/store/storetest"), "internal/order/x.go:4"),
		add("cmd/souk/x.go", importing("main", "souk/internal/testenv"), "cmd/souk/x.go:4"),
		add("payments/x.go", importing("payments", "souk/payments/paymentstest"), "payments/x.go:4"),
		add("payments/x_test.go", importing("payments", "souk/payments/paymentstest"), ""),
		add("store/storetest/x.go", importing("storetest", "souk/internal/testenv"), ""),
	},
	"third parties are confined": {
		add("internal/order/x.go", importing("order", "github.com/cockroachdb/pebble/v2"), "internal/order/x.go:4"),
		add("internal/order/x_test.go", importing("order", "github.com/cockroachdb/pebble"), "internal/order/x_test.go:4"),
		add("internal/catalog/x.go", importing("catalog", "github.com/blevesearch/bleve/v2/mapping"), "internal/catalog/x.go:4"),
		add("internal/order/x.go", importing("order", "github.com/stripe/stripe-go/v76"), "internal/order/x.go:4"),
		add("internal/mail/x.go", importing("mail", "github.com/a-h/templ"), "internal/mail/x.go:4"),
		add("cmd/souk/x.go", importing("main", "github.com/caddyserver/certmagic"), "cmd/souk/x.go:4"),
		add("store/x.go", importing("store", "github.com/benbjohnson/litestream"), "store/x.go:4"),
		add("store/x.go", importing("store", "github.com/superfly/ltx"), "store/x.go:4"),
		add("cmd/souk/x.go", importing("main", "github.com/aws/aws-sdk-go-v2/service/s3"), "cmd/souk/x.go:4"),
		add("internal/blob/x.go", importing("blob", "github.com/aws/aws-sdk-go-v2/service/s3"), ""),
		add("internal/edge/x.go", importing("edge", "github.com/letsencrypt/pebble/v2/ca"), "internal/edge/x.go:4"),
		add("internal/edge/x_test.go", importing("edge", "github.com/letsencrypt/challtestsrv"), ""),
		add("payments/stripe/x.go", importing("stripe", "github.com/stripe/stripe-mock/server"), "payments/stripe/x.go:4"),
		add("views/x.go", importing("views", "github.com/chromedp/chromedp"), "views/x.go:4"),
		add("internal/api/x.go", importing("api", "github.com/bojanz/currency"), "internal/api/x.go:4"),
		add("internal/mail/x.go", importing("mail", "github.com/emersion/go-smtp"), "internal/mail/x.go:4"),
		add("store/x.go", importing("store", "github.com/google/go-cmp/cmp"), "store/x.go:4"),
		add("store/x.go", importing("store", "testing"), "store/x.go:4"),
		add("store/x.go", importing("store", "testing/fstest"), "store/x.go:4"),
		add("store/x_test.go", importing("store", "testing/fstest"), ""),
		add("store/x_test.go", importing("store_test", "github.com/stretchr/testify/require"), "store/x_test.go:4"),
		add("store/x.go", importing("store", "C"), "store/x.go:4"),
		add("store/x.go", importing("store", "github.com/cockroachdb/pebbles"), ""),
	},
	"the vocabulary stands alone": {
		add("internal/market/x.go", importing("market", "github.com/bojanz/currency"), "internal/market/x.go:4"),
		add("internal/market/x.go", importing("market", "golang.org/x/text/language"), "internal/market/x.go:4"),
		add("internal/market/x_test.go", importing("market", "github.com/bojanz/currency"), ""),
	},
	"packages have a comment": {
		add("internal/account/x.go", "package account\n", "internal/account"),
		add("internal/account/x.go", "// Account handles accounts.\npackage account\n", "internal/account"),
		add("internal/account/x.go", "// Package account owns.\n\npackage account\n", "internal/account"),
		add("internal/account/x.go", "// Package accounts owns.\npackage account\n", "internal/account"),
		add("cmd/souk-two/main.go", "package main\n", "cmd/souk-two"),
		add("internal/account/x_test.go", "package account\n", ""),
	},
	"packages are named for what they own": {
		add("internal/util/x.go", "package strings2\n", "internal/util"),
		add("internal/order/helpers/x.go", "package order\n", "internal/order/helpers"),
		add("internal/thing/x.go", "package models\n", "internal/thing"),
		add("internal/services/x/x.go", "package x\n", "internal/services/x"),
		add("internal/common/x.go", "package common\n", "internal/common"),
		add("store/dto/x.go", "package dto\n", "store/dto"),
		add("payments/mocks/x.go", "package mocks\n", "payments/mocks"),
	},
	"the top folders are known": {
		add("pkg/x.go", "package x\n", "pkg"),
		add("docs/x.md", "text", "docs"),
		add(".github/x.yml", "text", ""),
		add("dist/x.md", "text", ""),
	},
	"nothing names a machine": {
		add("README.md", "first\ncd /"+"work/main/ && ls\n", "README.md:2"),
		add("store/x.go", "package store\n\nconst p = \"/"+"root/go/pkg\"\n", "store/x.go:3"),
		add(".ci/run", "export X=/"+"home/ada/bin/x\n", ".ci/run:1"),
		add("views/x.css", "file:///"+"Users/Ada/x.css\n", "views/x.css:1"),
		add("store/testdata/x.txt", "at /"+"work/x/\n", "store/testdata/x.txt:1"),
		add("README.md", "GOPROXY=https://"+registries[0]+"\n", "README.md:1"),
		add("package-lock.json", "{\n\"https://"+registries[4]+"/x\"}", "package-lock.json:2"),
		add("README.md", "the paths ../work/x/, a/root/b/ and https://example.com/home/ada/\n", ""),
	},
	"tests don't sleep": {
		add("store/x_test.go", "package store\n\nimport \"time\"\n\nfunc f() {\n\ttime.Sleep(1)\n}\n", "store/x_test.go:6"),
		add("store/x_test.go", "package store\n\nimport \"time\"\n\nfunc f() {\n\t<-time.After(1)\n}\n", "store/x_test.go:6"),
		add("internal/testenv/x.go", "package testenv\n\nimport \"time\"\n\nfunc f() { time.Sleep(1) }\n", "internal/testenv/x.go:5"),
		add("store/x.go", "package store\n\nimport \"time\"\n\nfunc f() { time.Sleep(1) }\n", ""),
	},
	"go.mod is ours": {
		add("go.mod", strings.Replace(goodMod, module, "example.com/souk", 1), "go.mod"),
		add("go.mod", strings.Replace(goodMod, "go 1.26.0", "go 1.25.0", 1), "go.mod"),
		add("go.mod", strings.Replace(goodMod, "go 1.26.0", "go 1.260", 1), "go.mod"),
		add("go.mod", strings.Replace(goodMod, "\tgithub.com/a-h/templ/cmd/templ\n", "", 1), "go.mod"),
		add("go.mod", strings.Replace(goodMod, "staticcheck", "structcheck", 1), "go.mod"),
		add("go.mod", goodMod+"\nreplace example.com/x => ../x\n", "go.mod"),
		add("go.mod", strings.Replace(goodMod, "go 1.26.0", "go 1.26", 1), ""),
	},
	"exported names are documented": {
		add("store/x.go", "package store\n\nfunc Open() {}\n", "store/x.go:3"),
		add("store/x.go", "package store\n\ntype DB struct{}\n", "store/x.go:3"),
		add("store/x.go", "package store\n\ntype (\n\tA int // first\n\tB int\n)\n", "store/x.go:5"),
		add("store/x.go", "package store\n\n// DB is.\ntype DB struct{}\n\nfunc (db *DB) Update() {}\n", "store/x.go:6"),
		add("store/x.go", "package store\n\n// T is.\ntype T[K any] struct{}\n\nfunc (t *T[K]) Put() {}\n", "store/x.go:6"),
		add("store/x.go", "package store\n\n// T is.\ntype T[K, V any] struct{}\n\nfunc (t T[K, V]) Put() {}\n", "store/x.go:6"),
		add("internal/market/x.go", "package market\n\nconst Max = 1\n", "internal/market/x.go:3"),
		add("internal/market/x.go", "package market\n\nvar a, Max int\n", "internal/market/x.go:3"),
		add("internal/market/x.go", "package market\n\n// M is.\ntype M int\n\nfunc NewM() M {\n\treturn 1\n}\n", "internal/market/x.go:6"),
		add("internal/market/x.go", "package market\n\n// M is.\ntype M int\n\nfunc NewN() M { return 1 }\n", "internal/market/x.go:6"),
		add("payments/stripe/x.go", "package stripe\n\nfunc New() {}\n", "payments/stripe/x.go:3"),
		add("internal/market/x.go", "package market\n\n// M is.\ntype M int\n\nfunc NewM() M { return 1 }\n\nfunc (m M) String() string { return \"\" }\n", ""),
		add("internal/market/x.go", "package market\n\nconst Max int = 1\n", "internal/market/x.go:3"),
		add("internal/market/x.go", "package market\n\nconst (\n\tA T = iota\n\tB\n\tMax = 7\n)\n", "internal/market/x.go:6"),
		add("internal/market/x.go", "package market\n\nvar Default T\n", "internal/market/x.go:3"),
		add("internal/market/x.go", "package market\n\nconst (\n\t// Min and Max bound it.\n\tMin = 1\n\tMax = 2\n)\n", ""),
		add("store/x.go", "package store\n\n// Limits.\nconst (\n\tA = 1\n\tB = 2\n)\n\ntype t int\n\nfunc (t) Exported() {}\n\nfunc open() {}\n", ""),
		add("store/x.go", "// Code generated by hand. DO NOT EDIT.\n\npackage store\n\nfunc Open() {}\n", ""),
		add("store/x_test.go", "package store\n\nfunc TestX() {}\n", ""),
		add("internal/web/x.go", "package web\n\nfunc Open() {}\n", ""),
	},
}

// TestEveryRuleIsBroken plants each violation alone in the good house: the rule must see
// it where it is, and nothing else.
func TestEveryRuleIsBroken(t *testing.T) {
	named := map[string]bool{}
	for _, rule := range Rules() {
		named[rule.Name] = true
		seen := 0
		for _, v := range violations[rule.Name] {
			tree := maps.Clone(house)
			tree[v.path] = v.text
			var got []string
			for _, p := range rule.Check(tree.tree(t)) {
				place, _, _ := strings.Cut(p.String(), ": ")
				got = append(got, place)
			}
			var want []string
			if v.want != "" {
				want = []string{v.want}
				seen++
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: seen at %q, want %q, in %s:\n%s", rule.Name, got, want, v.path, v.text)
			}
		}
		if seen == 0 {
			t.Errorf("%s: no planted tree breaks it", rule.Name)
		}
	}
	for name := range violations {
		if !named[name] {
			t.Errorf("violations of %q, which is no rule", name)
		}
	}
}

func TestAMissingGoModIsSeen(t *testing.T) {
	tree := maps.Clone(house)
	delete(tree, "go.mod")
	if got := goMod(tree.tree(t)); len(got) != 1 {
		t.Errorf("got %v", got)
	}
}

func TestBrokenGoIsAnErrorThatNamesTheFile(t *testing.T) {
	_, err := Load(fstest.MapFS{"store/x.go": {Data: []byte("package store\n\nfunc {")}})
	if err == nil || !strings.Contains(err.Error(), "store/x.go") {
		t.Errorf("got %v", err)
	}
}

func TestConfinedPlacesExistInTheTable(t *testing.T) {
	for _, c := range confinements {
		for _, dir := range c.in {
			if _, ok := unit(dir); !ok {
				t.Errorf("%v: %s is not in the table", c.modules, dir)
			}
		}
	}
}
