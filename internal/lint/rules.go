package lint

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"maps"
	"regexp"
	"slices"
	"strings"
)

func packagesHaveAComment(t *Tree) []Problem {
	var problems []Problem
	packages := t.packages()
	for _, dir := range slices.Sorted(maps.Keys(packages)) {
		if !slices.ContainsFunc(packages[dir], hasPackageComment) {
			name := packages[dir][0].Go.Name.Name
			problems = append(problems, Problem{Path: dir,
				Text: fmt.Sprintf("package %s has no comment that says what it owns, promises and leaves to others", name)})
		}
	}
	return problems
}

func hasPackageComment(f File) bool {
	if f.Go.Doc == nil {
		return false
	}
	name := f.Go.Name.Name
	text := f.Go.Doc.Text()
	if name == "main" {
		return strings.TrimSpace(text) != ""
	}
	return strings.HasPrefix(text, "Package "+name+" ")
}

// layerNames name a layer or a kind of code, and so collect what has no owner.
var layerNames = []string{"util", "utils", "common", "helper", "helpers", "model", "models", "service", "services",
	"dto", "dtos", "mock", "mocks", "misc", "shared", "lib"}

func packageNames(t *Tree) []Problem {
	var problems []Problem
	packages := t.packages()
	for _, dir := range slices.Sorted(maps.Keys(packages)) {
		for _, name := range append(strings.Split(dir, "/"), packages[dir][0].Go.Name.Name) {
			if slices.Contains(layerNames, name) {
				problems = append(problems, Problem{Path: dir, Text: fmt.Sprintf("%q names no part of the domain", name)})
				break
			}
		}
	}
	return problems
}

var topNames = []string{"cmd", "store", "search", "views", "payments", "internal"}

func topFolders(t *Tree) []Problem {
	var problems []Problem
	for _, name := range t.Top {
		if !strings.HasPrefix(name, ".") && !slices.Contains(topNames, name) {
			problems = append(problems, Problem{Path: name,
				Text: "no folder at the top but " + strings.Join(topNames, ", ")})
		}
	}
	return problems
}

// Absolute paths and registries of whoever wrote the file; put together here so that
// this file isn't one of them.
var (
	machinePath = regexp.MustCompile(`(^|[^A-Za-z0-9_.~-])/(work|root|home/[a-z][\w-]*|Users/[A-Za-z][\w-]*)/`)
	registries  = []string{"proxy." + "golang.org", "sum." + "golang.org", "goproxy." + "io", "goproxy." + "cn",
		"registry." + "npmjs.org", "registry." + "yarnpkg.com", "files." + "pythonhosted.org", "deb." + "debian.org"}
)

func nothingNamesAMachine(t *Tree) []Problem {
	var problems []Problem
	for _, f := range t.Files {
		line := 0
		for text := range strings.Lines(string(f.Text)) {
			line++
			if found := machinePath.FindString(text); found != "" {
				problems = append(problems, Problem{f.Path, line, fmt.Sprintf("the path %q exists on one machine only", strings.TrimSpace(found))})
			}
			for _, host := range registries {
				if strings.Contains(text, host) {
					problems = append(problems, Problem{f.Path, line, host + ": where modules come from is the machine's setting"})
				}
			}
		}
	}
	return problems
}

// testsDontSleep refuses time.Sleep and a bare <-time.After(…) in tests, except in a
// testing/synctest bubble, where no time passes: in an argument of synctest.Test, or of a
// function of the package that runs it in one.
func testsDontSleep(t *Tree) []Problem {
	var problems []Problem
	opened := map[string]map[string]bool{} // by folder
	for _, f := range t.goFiles() {
		if opened[f.Dir()] == nil {
			opened[f.Dir()] = map[string]bool{}
		}
		maps.Copy(opened[f.Dir()], bubblesOf(f.Go))
	}
	for _, f := range t.goFiles() {
		if !inTests(f) {
			continue
		}
		bubbles := opened[f.Dir()]
		waits := map[ast.Node]bool{} // cases of a select, which wait for something else too
		ast.Inspect(f.Go, func(n ast.Node) bool {
			if clause, ok := n.(*ast.CommClause); ok {
				waits[clause.Comm] = true
			}
			if opensBubble(n) || callsAny(n, bubbles) {
				return false
			}
			if isCall(n, "time", "Sleep") || !waits[n] && isBareWait(n) {
				problems = append(problems, t.problem(f, n, "a test waits for the thing itself, or in a testing/synctest bubble"))
			}
			return true
		})
	}
	return problems
}

func opensBubble(n ast.Node) bool {
	return isCall(n, "synctest", "Test") || isCall(n, "synctest", "Run")
}

// bubblesOf names the functions of a file that open a bubble.
func bubblesOf(f *ast.File) map[string]bool {
	names := map[string]bool{}
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Recv != nil || strings.HasPrefix(fn.Name.Name, "Test") {
			continue
		}
		ast.Inspect(fn, func(n ast.Node) bool {
			if opensBubble(n) {
				names[fn.Name.Name] = true
			}
			return true
		})
	}
	return names
}

func callsAny(n ast.Node, names map[string]bool) bool {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return false
	}
	ident, ok := call.Fun.(*ast.Ident)
	return ok && names[ident.Name]
}

func isCall(n ast.Node, pkg, name string) bool {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return false
	}
	selector, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || selector.Sel.Name != name {
		return false
	}
	ident, ok := selector.X.(*ast.Ident)
	return ok && ident.Name == pkg
}

func isBareWait(n ast.Node) bool {
	statement, ok := n.(*ast.ExprStmt)
	if !ok {
		return false
	}
	receive, ok := statement.X.(*ast.UnaryExpr)
	return ok && receive.Op == token.ARROW && isCall(receive.X, "time", "After")
}

var (
	goVersion = regexp.MustCompile(`(?m)^go 1\.26(\.\d+)?$`)
	tools     = []string{"github.com/a-h/templ/cmd/templ", "honnef.co/go/tools/cmd/staticcheck"}
)

// goMod holds the module's name, its Go version, the tools it pins, and that it builds
// from what it names and nothing else.
func goMod(t *Tree) []Problem {
	at := slices.IndexFunc(t.Files, func(f File) bool { return f.Path == "go.mod" })
	if at < 0 {
		return []Problem{{Path: "go.mod", Text: "missing"}}
	}
	text := string(t.Files[at].Text)
	var problems []Problem
	complain := func(format string, args ...any) {
		problems = append(problems, Problem{Path: "go.mod", Text: fmt.Sprintf(format, args...)})
	}
	if !strings.HasPrefix(text, "module "+module+"\n") {
		complain("the module is %s", module)
	}
	if !goVersion.MatchString(text) {
		complain("the language is go 1.26")
	}
	for _, tool := range tools {
		if !regexp.MustCompile(`(?m)^(tool |\t)` + regexp.QuoteMeta(tool) + `$`).MatchString(text) {
			complain("the tool %s is not pinned", tool)
		}
	}
	if regexp.MustCompile(`(?m)^replace\b`).MatchString(text) {
		complain("a replaced module is not what go.sum and readers take it for")
	}
	return problems
}

// documented are the trees whose exported names are contracts.
var documented = []string{"store", "payments", "internal/market"}

// wellKnown are methods whose contract is that of an interface everyone knows.
var wellKnown = []string{"Error", "Unwrap", "Is", "As", "String", "GoString", "Format", "LogValue", "ServeHTTP",
	"MarshalText", "UnmarshalText", "MarshalJSON", "UnmarshalJSON", "MarshalBinary", "UnmarshalBinary",
	"MarshalCBOR", "UnmarshalCBOR", "Len", "Less", "Swap", "Read", "Write", "Close", "Seek", "ReadAt"}

func exportedNamesAreDocumented(t *Tree) []Problem {
	var problems []Problem
	for _, f := range t.goFiles() {
		if f.IsTest() || !withinAny(f.Dir(), documented) || ast.IsGenerated(f.Go) {
			continue
		}
		for _, decl := range f.Go.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if name, ok := t.undocumentedFunc(d); ok {
					problems = append(problems, t.problem(f, d, "%s has no comment", name))
				}
			case *ast.GenDecl:
				for _, spec := range undocumentedSpecs(d) {
					problems = append(problems, t.problem(f, spec, "%s has no comment", spec.Name))
				}
			}
		}
	}
	return problems
}

func (t *Tree) undocumentedFunc(d *ast.FuncDecl) (name string, undocumented bool) {
	name = d.Name.Name
	if d.Doc != nil || !d.Name.IsExported() {
		return name, false
	}
	if d.Recv == nil {
		return name, !t.isPlainConstructor(d)
	}
	receiver := receiverName(d)
	return receiver + "." + name, ast.IsExported(receiver) && !slices.Contains(wellKnown, name)
}

// isPlainConstructor reports a one-line func NewT(…) T, of which T's comment says
// everything.
func (t *Tree) isPlainConstructor(d *ast.FuncDecl) bool {
	made, ok := strings.CutPrefix(d.Name.Name, "New")
	results := d.Type.Results
	if !ok || results == nil || len(results.List) != 1 || d.Body == nil {
		return false
	}
	result, ok := results.List[0].Type.(*ast.Ident)
	oneLine := t.fset.Position(d.Pos()).Line == t.fset.Position(d.End()).Line
	return ok && result.Name == made && oneLine
}

func receiverName(d *ast.FuncDecl) string {
	kind := d.Recv.List[0].Type
	for {
		switch k := kind.(type) {
		case *ast.StarExpr:
			kind = k.X
		case *ast.IndexExpr:
			kind = k.X
		case *ast.IndexListExpr:
			kind = k.X
		case *ast.Ident:
			return k.Name
		default:
			return ""
		}
	}
}

// undocumentedSpecs are the first exported name of each type, constant or variable that
// has neither a comment of its own, nor one at the end of its line, nor a group's above,
// nor one in its group that speaks of it by name. A constant of a named type is one of
// that type's values, and described there.
func undocumentedSpecs(d *ast.GenDecl) []*ast.Ident {
	if d.Doc != nil {
		return nil
	}
	var names []*ast.Ident
	var said strings.Builder
	enumeration := false
	for _, spec := range d.Specs {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			said.WriteString(s.Doc.Text())
			if s.Name.IsExported() && s.Doc == nil && s.Comment == nil {
				names = append(names, s.Name)
			}
		case *ast.ValueSpec:
			said.WriteString(s.Doc.Text())
			enumeration = d.Tok == token.CONST && (isNamed(s.Type) || enumeration && s.Type == nil && s.Values == nil)
			at := slices.IndexFunc(s.Names, func(n *ast.Ident) bool { return n.IsExported() })
			if at >= 0 && s.Doc == nil && s.Comment == nil && !enumeration {
				names = append(names, s.Names[at])
			}
		}
	}
	return slices.DeleteFunc(names, func(n *ast.Ident) bool { return speaksOf(said.String(), n.Name) })
}

// isNamed reports a type that this package declares, rather than a builtin.
func isNamed(kind ast.Expr) bool {
	ident, ok := kind.(*ast.Ident)
	return ok && types.Universe.Lookup(ident.Name) == nil
}

func speaksOf(text, name string) bool {
	return regexp.MustCompile(`\b` + name + `\b`).MatchString(text)
}
