package main

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// hasTables reports whether the value is a list with a table in it, as [[replica]] makes one.
func (e entry) hasTables() bool {
	switch v := e.value.(type) {
	case []map[string]any:
		return true
	case []any:
		return slices.ContainsFunc(v, func(v any) bool { _, ok := v.(map[string]any); return ok })
	}
	return false
}

// tableSettings are what a [[replica]] table may have besides its url.
func tableSettings() []setting {
	var all []setting
	for _, s := range settings {
		if name, ok := strings.CutPrefix(s.name, tablePrefix); ok {
			s.name = name
			all = append(all, s)
		}
	}
	return all
}

// replicaTables reads the tables of replicas, among which there may be plain URLs.
func (l *loader) replicaTables(file, text string, s setting, meta *toml.MetaData, e entry) given {
	g := given{setting: s, origin: place(file, e.line), tables: map[string][]given{}}
	var values []toml.Primitive
	if err := meta.PrimitiveDecode(e.raw, &values); err != nil {
		l.mistake(g.origin, "%s must be a text in quotes, a list of them in brackets, or [[replica]] tables.", s.name)
		return g
	}
	lines := linesOfTables(text)
	if len(lines) != len(values) { // they are written in a list: its line must do
		lines = slices.Repeat([]tableLines{{head: e.line}}, len(values))
	}
	for i, v := range values {
		var plain any
		if meta.PrimitiveDecode(v, &plain) == nil {
			if text, ok := plain.(string); ok {
				g.values, g.origins = append(g.values, text), append(g.origins, place(file, e.line))
				continue
			}
		}
		var table map[string]toml.Primitive
		if _, ok := plain.(map[string]any); !ok || meta.PrimitiveDecode(v, &table) != nil {
			l.mistake(g.origin, "%s must be a text in quotes, or a table with a url.", s.name)
			continue
		}
		l.replicaTable(&g, meta, table, file, lines[i])
	}
	if len(g.origins) > 0 {
		g.origin = g.origins[0]
	}
	return g
}

// replicaTable adds one table to what is given of the setting replica.
func (l *loader) replicaTable(g *given, meta *toml.MetaData, table map[string]toml.Primitive, file string, lines tableLines) {
	known := tableSettings()
	rawURL, hasURL := "", false
	var own []given
	entries := leaves(meta, nil, table)
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(lines.of(a.name)-lines.of(b.name), strings.Compare(a.name, b.name))
	})
	for _, e := range entries {
		origin := place(file, lines.of(e.name))
		values, ok := e.values()
		_, isList := e.value.([]any)
		i := slices.IndexFunc(known, func(s setting) bool { return s.name == e.name })
		hasURL = hasURL || e.name == "url"
		switch {
		case e.name != "url" && i < 0:
			l.unknownInTable(origin, e.name, known)
		case !ok || isList:
			l.mistake(origin, "%s of a replica must be a text in quotes.", e.name)
		case e.name == "url":
			rawURL = values[0]
			g.values, g.origins = append(g.values, rawURL), append(g.origins, origin)
		default:
			own = append(own, given{setting: known[i], values: values, origin: origin})
		}
	}
	if !hasURL {
		l.mistake(place(file, lines.head), "this replica has no url: write where it is, such as url = \"s3://bucket/path\".")
	}
	g.tables[rawURL] = own
}

func (l *loader) unknownInTable(origin, name string, known []setting) {
	names := []string{"url"}
	for _, s := range known {
		names = append(names, s.name)
	}
	if near := nearest(name, names); near != "" {
		l.mistake(origin, "a replica has no setting %q; did you mean %q?", name, near)
		return
	}
	l.mistake(origin, "a replica has no setting %q; there are %s.", name, strings.Join(names, ", "))
}

// tableLines are the lines of a [[replica]] table and of its keys. The parser knows them
// for the last table only.
type tableLines struct {
	head int
	keys map[string]int
}

func (t tableLines) of(key string) int { return cmp.Or(t.keys[key], t.head) }

var (
	tableHead = regexp.MustCompile(`^\s*\[\[\s*["']?replica["']?\s*\]\]`)
	otherHead = regexp.MustCompile(`^\s*\[`)
	tableKey  = regexp.MustCompile(`^\s*["']?([a-z-]+)["']?\s*[=.]`)
)

// linesOfTables finds the [[replica]] tables of a file that is TOML.
func linesOfTables(text string) []tableLines {
	var all []tableLines
	inside := false
	n := 0
	for row := range strings.Lines(text) {
		n++
		if tableHead.MatchString(row) {
			all = append(all, tableLines{n, map[string]int{}})
			inside = true
		} else if otherHead.MatchString(row) {
			inside = false
		} else if m := tableKey.FindStringSubmatch(row); m != nil && inside {
			all[len(all)-1].keys[m[1]] = n
		}
	}
	return all
}
