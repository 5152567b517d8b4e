package main

import (
	"fmt"
	"io"
	"io/fs"
	"strings"
	"text/tabwriter"
)

// printSettings writes a line for each setting: name, value, origin.
func printSettings(w io.Writer, all []Setting) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, s := range all {
		value := strings.Join(s.Values, ", ")
		if value == "" {
			value = "-"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", s.Name, value, s.Origin)
	}
	return t.Flush()
}

// printTemplate writes a souk.toml in which every setting is explained and has its
// default, behind a "#".
func printTemplate(w io.Writer) error {
	_, defaults, err := loadConfig(configSources{ReadFile: noFile})
	if err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString(`# The configuration of Souk. Put this file into the data directory as souk.toml, or name
# it with --config. Remove the "#" before a setting to change it. Variables SOUK_… of the
# environment (SOUK_ADDR, SOUK_STRIPE_SECRET_KEY) and flags (--addr) win over this file;
# "souk config" prints what holds and where it comes from.
`)
	table := ""
	for i, s := range settings {
		name := s.name
		if t, key, ok := strings.Cut(s.name, "."); ok {
			if t != table {
				fmt.Fprintf(&b, "\n[%s]\n", t)
			}
			table, name = t, key
		}
		fmt.Fprintf(&b, "\n%s# %s = %s\n", comment(s.help), name, s.literal(defaults[i].Values))
	}
	b.WriteString(tableTemplate)
	_, err = io.WriteString(w, b.String())
	return err
}

// tableTemplate ends the template: tables of TOML stand behind everything else.
const tableTemplate = `
# A replica with settings of its own, in place of "replica" above; one such table each:
#
#   [[replica]]
#   url = "s3://bucket/souk?region=eu-central-1"
#   key-file = "/etc/souk/replica.key"
#   keep-fine = "48h"
`

// literal is the setting's value as TOML writes it.
func (s setting) literal(values []string) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = fmt.Sprintf("%q", v)
	}
	switch {
	case s.list:
		return "[" + strings.Join(texts, ", ") + "]"
	case s.bool:
		return values[0]
	case len(texts) == 0:
		return `""`
	}
	return texts[0]
}

// comment breaks a text into lines of a comment, of about 90 characters.
func comment(text string) string {
	var b strings.Builder
	line := "#"
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > 90 && line != "#" {
			b.WriteString(line + "\n")
			line = "#"
		}
		line += " " + word
	}
	b.WriteString(line + "\n")
	return b.String()
}

// noFile is a ReadFile for which no file exists.
func noFile(name string) ([]byte, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}
