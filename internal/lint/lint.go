// Package lint holds the house rules as tests: which package may import which, where
// third parties are allowed, what every package and exported name must say of itself,
// and what must never be committed.
//
// A rule is a function over a Tree, and a Tree is read from any fs.FS. So each rule is
// tested on a small planted tree that breaks it, before it is applied to this module:
// a rule that has stopped to see anything fails its own test. Nothing is built and no
// tool is called; only the sources are parsed.
//
// It leaves to others what they can test better themselves: that generated code is up to
// date (views), that every route is documented (internal/api), that every key is (store).
package lint

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

const module = "github.com/souk-market/souk"

// Rule is a house rule.
type Rule struct {
	Name  string
	Check func(*Tree) []Problem
}

// Problem is a place that breaks a rule. Its text says what to do.
type Problem struct {
	Path string // slash-separated, from the module's root
	Line int    // 0 for the whole file or folder
	Text string
}

func (p Problem) String() string {
	if p.Line == 0 {
		return p.Path + ": " + p.Text
	}
	return fmt.Sprintf("%s:%d: %s", p.Path, p.Line, p.Text)
}

// Rules returns all rules.
func Rules() []Rule {
	return []Rule{
		{"imports point down", importsPointDown},
		{"test packages stay in tests", testPackagesStayInTests},
		{"third parties are confined", thirdPartiesAreConfined},
		{"the vocabulary stands alone", vocabularyStandsAlone},
		{"packages have a comment", packagesHaveAComment},
		{"packages are named for what they own", packageNames},
		{"the top folders are known", topFolders},
		{"nothing names a machine", nothingNamesAMachine},
		{"tests don't sleep", testsDontSleep},
		{"go.mod is ours", goMod},
		{"exported names are documented", exportedNamesAreDocumented},
	}
}

// Tree is the module's text files, as they would be committed.
type Tree struct {
	Files []File
	Top   []string // the folders at the root
	fset  *token.FileSet
}

// File is one text file.
type File struct {
	Path string
	Text []byte
	Go   *ast.File // nil when it isn't Go
}

// maxFile is the largest file that is read, in bytes; what is larger is data.
const maxFile = 4 << 20

// Load reads the tree at the root of fsys, without what .gitignore leaves out at the root
// and without testdata's Go files, which needn't compile.
func Load(fsys fs.FS) (*Tree, error) {
	t := &Tree{fset: token.NewFileSet()}
	ignored := ignoredAtRoot(fsys)
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name == ".git" || ignored[name] {
				return fs.SkipDir
			}
			if name != "." && !strings.Contains(name, "/") {
				t.Top = append(t.Top, name)
			}
			return nil
		}
		if name == ".git" || ignored[name] || !d.Type().IsRegular() { // .git is a file in a worktree
			return nil
		}
		return t.add(fsys, name, d)
	})
	if err != nil {
		return nil, fmt.Errorf("lint: %w", err)
	}
	return t, nil
}

// ignoredAtRoot understands .gitignore as far as it names files and folders at the root.
func ignoredAtRoot(fsys fs.FS) map[string]bool {
	ignored := map[string]bool{}
	text, err := fs.ReadFile(fsys, ".gitignore")
	if err != nil {
		return ignored
	}
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "/"); ok {
			ignored[strings.TrimSuffix(name, "/")] = true
		}
	}
	return ignored
}

func (t *Tree) add(fsys fs.FS, name string, d fs.DirEntry) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	if info.Size() > maxFile {
		return nil
	}
	text, err := fs.ReadFile(fsys, name)
	if err != nil {
		return err
	}
	if bytes.IndexByte(text[:min(len(text), 8000)], 0) >= 0 {
		return nil // git's own test for binary files
	}
	f := File{Path: name, Text: text}
	if strings.HasSuffix(name, ".go") && !strings.Contains("/"+name, "/testdata/") {
		f.Go, err = parser.ParseFile(t.fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
	}
	t.Files = append(t.Files, f)
	return nil
}

// Dir is the file's folder, which is its package's path in the module.
func (f File) Dir() string { return path.Dir(f.Path) }

// IsTest reports whether the file is a Go test.
func (f File) IsTest() bool { return strings.HasSuffix(f.Path, "_test.go") }

// goFiles are the files that are Go.
func (t *Tree) goFiles() []File {
	var files []File
	for _, f := range t.Files {
		if f.Go != nil {
			files = append(files, f)
		}
	}
	return files
}

// packages are the non-test Go files by folder.
func (t *Tree) packages() map[string][]File {
	packages := map[string][]File{}
	for _, f := range t.goFiles() {
		if !f.IsTest() {
			packages[f.Dir()] = append(packages[f.Dir()], f)
		}
	}
	return packages
}

// problem is one at a place in a Go file.
func (t *Tree) problem(f File, at ast.Node, format string, args ...any) Problem {
	return Problem{f.Path, t.fset.Position(at.Pos()).Line, fmt.Sprintf(format, args...)}
}

// eachImport calls visit with every import of every Go file.
func (t *Tree) eachImport(visit func(f File, at ast.Node, path string) []Problem) []Problem {
	var problems []Problem
	for _, f := range t.goFiles() {
		for _, spec := range f.Go.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				problems = append(problems, t.problem(f, spec, "unreadable import: %v", err))
				continue
			}
			problems = append(problems, visit(f, spec, imported)...)
		}
	}
	return problems
}

// within reports whether name is folder or below it; also for import paths.
func within(name, folder string) bool {
	return name == folder || strings.HasPrefix(name, folder+"/")
}

func withinAny(name string, folders []string) bool {
	return slices.ContainsFunc(folders, func(folder string) bool { return within(name, folder) })
}

// ours returns the folder of an import of this module.
func ours(imported string) (dir string, ok bool) {
	if imported == module {
		return ".", true
	}
	return strings.CutPrefix(imported, module+"/")
}
