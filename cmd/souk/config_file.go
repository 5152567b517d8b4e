package main

import (
	"cmp"
	"errors"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
)

const (
	configFileName = "souk.toml"
	configEnv      = "SOUK_CONFIG"
	configFlag     = "config"
)

// file returns the settings of the configuration file. Where the data directory is must
// be known before, because the file may be in it.
func (l *loader) file(env, flags []given) []given {
	name, origin := l.fileName()
	inData, data := origin == "", l.cfg.Data
	if inData {
		for _, g := range slices.Concat(env, flags) {
			if g.setting.name == "data" {
				data = g.values[0]
			}
		}
		name = filepath.Join(data, configFileName)
		origin = name
	}
	text, err := l.from.ReadFile(name)
	if inData && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		l.mistake(origin, "the configuration file %q can't be read: %v.", name, cause(err))
		return nil
	}
	all := l.parseFile(name, string(text))
	for _, g := range all {
		if inData && g.setting.name == "data" && leadsAway(g.values, data) {
			l.mistake(g.origin, "data can't lead away from the data directory that this file is in (%q): remove it, or name the file with --config.", data)
		}
	}
	return all
}

// leadsAway reports whether the values are one path, and written otherwise than dir.
func leadsAway(values []string, dir string) bool {
	if len(values) != 1 {
		return false
	}
	path, err := filePath(values[0])
	return err == nil && path != filepath.Clean(dir)
}

// cause is what is wrong with a file, without its name.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// fileName returns the file that a flag or variable names, and which of them does.
func (l *loader) fileName() (name, origin string) {
	for _, entry := range l.from.Env {
		if key, value, _ := strings.Cut(entry, "="); key == configEnv && value != "" {
			name, origin = value, configEnv
		}
	}
	if values := l.from.Flags[configFlag]; len(values) > 0 {
		name, origin = values[len(values)-1], "--"+configFlag
	}
	return name, origin
}

// parseFile reads souk.toml. A text without characters counts as not given where the
// setting has no default, so that the template can be filled in piece by piece.
func (l *loader) parseFile(name, text string) []given {
	var tree map[string]toml.Primitive
	meta, err := toml.Decode(text, &tree)
	var syntax toml.ParseError
	if errors.As(err, &syntax) {
		l.mistake(name+":"+strconv.Itoa(syntax.Position.Line), "this is not TOML: %s. A text is in quotes (addr = \"127.0.0.1:8080\"), a list in brackets (domain = [\"shop.example.com\"]).",
			quoted.ReplaceAllString(syntax.Message, `"…"`))
		return nil
	}
	if err != nil {
		l.mistake(name, "this is not TOML.")
		return nil
	}
	entries := leaves(&meta, nil, tree)
	slices.SortStableFunc(entries, func(a, b entry) int { return cmp.Or(a.line-b.line, strings.Compare(a.name, b.name)) })
	var all []given
	for _, e := range entries {
		origin := place(name, e.line)
		if strings.HasPrefix(e.name, "replica.") {
			l.mistake(origin, "a replica has two brackets on each side, so that there can be more: [[replica]].")
			break
		}
		s, ok := l.known(origin, e.name, func(s setting) string { return s.name })
		if !ok {
			continue
		}
		if s.name == "replica" && e.hasTables() {
			all = append(all, l.replicaTables(name, text, s, &meta, e))
			continue
		}
		values, ok := e.values()
		switch {
		case !ok:
			l.mistake(origin, "%s must be a text in quotes%s.", s.name, map[bool]string{true: ", or a list of them in brackets"}[s.list])
		case len(values) == 1 && values[0] == "" && s.def == "":
		default:
			all = append(all, given{setting: s, values: values, origin: origin})
		}
	}
	return all
}

// quoted finds what a message about syntax repeats of the file, which may be secret,
// but not a single character.
var quoted = regexp.MustCompile(`["'][^"'\\][^"']+["']`)

// place is a line of the file, for people; 0 is an unknown one.
func place(file string, line int) string {
	if line == 0 {
		return file
	}
	return file + ":" + strconv.Itoa(line)
}

// entry is a key of the file with its value.
type entry struct {
	name  string // "stripe.secret-key"
	value any
	raw   toml.Primitive
	line  int // 0 when unknown
}

// leaves returns the keys under a table that are no tables, and empty tables that can't
// be headings of settings.
func leaves(meta *toml.MetaData, above toml.Key, table map[string]toml.Primitive) []entry {
	var all []entry
	for key, value := range table {
		path := append(slices.Clone(above), key)
		name := strings.Join(path, ".")
		var below map[string]toml.Primitive
		isTable := meta.PrimitiveDecode(value, &below) == nil
		if !isTable || (len(below) == 0 && !isHeading(name)) {
			e := entry{name: name, raw: value, line: line(meta, value)}
			if err := meta.PrimitiveDecode(value, &e.value); err != nil {
				e.value = err
			}
			all = append(all, e)
		}
		all = append(all, leaves(meta, path, below)...)
	}
	return all
}

func isHeading(name string) bool {
	return slices.ContainsFunc(settings, func(s setting) bool { return strings.HasPrefix(s.name, name+".") })
}

// line finds the line of a value by the only way that the parser tells one: in an error.
func line(meta *toml.MetaData, value toml.Primitive) int {
	var at toml.ParseError
	if errors.As(meta.PrimitiveDecode(value, &refusal{}), &at) {
		return at.Position.Line
	}
	return 0
}

type refusal struct{}

func (*refusal) UnmarshalTOML(any) error { return errors.New("refused") }

// values returns a value as the texts that flags would have, or false when it has no
// such form. Numbers are whole: a fraction would be rounded on its way.
func (e entry) values() ([]string, bool) {
	list, ok := e.value.([]any)
	if !ok {
		list = []any{e.value}
	}
	values := make([]string, 0, len(list))
	for _, v := range list {
		switch v := v.(type) {
		case string:
			values = append(values, v)
		case int64:
			values = append(values, strconv.FormatInt(v, 10))
		case bool:
			values = append(values, strconv.FormatBool(v))
		default:
			return nil, false
		}
	}
	return values, true
}
