package market

import (
	"regexp"
	"slices"
	"strings"
)

// Facts are what a seller declares about an agent, for its label and for filters. What an
// imported listing doesn't say is not declared, which is another thing than "none".
type Facts struct {
	Declared    bool            `cbor:"declared,omitempty"` // the seller has answered: what is empty is none
	Models      []string        `cbor:"models,omitempty"`   // "claude-sonnet-4"; lower case
	Runtimes    []string        `cbor:"runtimes,omitempty"` // "python", "node", "docker"
	Inputs      []string        `cbor:"in,omitempty"`       // "text", "pdf", "repository"
	Outputs     []string        `cbor:"out,omitempty"`
	Keys        []string        `cbor:"keys,omitempty"`      // credentials the buyer brings, as variables: "OPENAI_API_KEY"
	Permissions []PermissionUse `cbor:"perms,omitempty"`     // each permission once
	Retention   string          `cbor:"retention,omitempty"` // what happens to the data it sees, one line
}

// Permission is a thing that an agent may touch on its user's machine or in their name.
type Permission string

const (
	PermissionNetwork Permission = "network"
	PermissionFiles   Permission = "files"
	PermissionShell   Permission = "shell"
	PermissionBrowser Permission = "browser"
	PermissionSecrets Permission = "secrets"
)

// Permissions are all permissions, in the order in which they are shown.
var Permissions = []Permission{PermissionNetwork, PermissionFiles, PermissionShell, PermissionBrowser, PermissionSecrets}

// PermissionUse is a permission and how far it goes: {files, "reads the folder it is started in"}.
type PermissionUse struct {
	Permission Permission `cbor:"p"`
	Detail     string     `cbor:"d,omitempty"` // one line
}

// Limits of facts: entries of a list, and bytes of one.
const (
	MaxFacts    = 16
	MaxFactText = 160
)

var (
	factForm = regexp.MustCompile(`^[a-z0-9][a-z0-9.+_/-]*$`)
	keyForm  = regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`)
)

// Clean brings facts into the form that is stored: texts are one line, lists are sorted and
// without repetitions, names of models, runtimes, inputs and outputs in lower case with
// hyphens for spaces. It is Invalid, with the field's name, when a list or a text is too
// long, a permission is unknown or a key isn't a variable's name.
func (f *Facts) Clean() error {
	for _, list := range []struct {
		field string
		names *[]string
	}{{"models", &f.Models}, {"runtimes", &f.Runtimes}, {"inputs", &f.Inputs}, {"outputs", &f.Outputs}} {
		if err := cleanNames(list.field, list.names, factName, factForm); err != nil {
			return err
		}
	}
	if err := cleanNames("keys", &f.Keys, strings.TrimSpace, keyForm); err != nil {
		return err
	}
	if f.Retention = CleanText(f.Retention); len(f.Retention) > MaxFactText {
		return FieldErrorf("retention", "The line about data retention has %d bytes at most.", MaxFactText)
	}
	return f.cleanPermissions()
}

func factName(s string) string {
	return strings.ReplaceAll(strings.ToLower(CleanText(s)), " ", "-")
}

func cleanNames(field string, names *[]string, clean func(string) string, form *regexp.Regexp) error {
	list := make([]string, 0, len(*names))
	for _, n := range *names {
		if n = clean(n); n == "" {
			continue
		}
		if len(n) > MaxFactText || !form.MatchString(n) {
			return FieldErrorf(field, "%q can't stand under %s.", n, field)
		}
		list = append(list, n)
	}
	slices.Sort(list)
	if list = slices.Compact(list); len(list) > MaxFacts {
		return FieldErrorf(field, "There can be %d %s at most.", MaxFacts, field)
	}
	*names = slices.Clip(list)
	if len(list) == 0 {
		*names = nil
	}
	return nil
}

func (f *Facts) cleanPermissions() error {
	var uses []PermissionUse
	for _, p := range Permissions {
		for _, u := range f.Permissions {
			if u.Permission == p && (len(uses) == 0 || uses[len(uses)-1].Permission != p) {
				uses = append(uses, PermissionUse{p, CleanText(u.Detail)})
			}
		}
	}
	for _, u := range f.Permissions {
		if !slices.Contains(Permissions, u.Permission) {
			return FieldErrorf("permissions", "%q is no permission. There are network, files, shell, browser and secrets.", u.Permission)
		}
		if len(u.Detail) > MaxFactText {
			return FieldErrorf("permissions", "What is said of a permission has %d bytes at most.", MaxFactText)
		}
	}
	f.Permissions = uses
	return nil
}

// May reports whether the agent declares that it uses a permission.
func (f *Facts) May(p Permission) bool {
	return slices.ContainsFunc(f.Permissions, func(u PermissionUse) bool { return u.Permission == p })
}

// Missing names the required facts that aren't declared, for a listing that is submitted:
// runtimes, inputs, outputs and retention have no "none".
func (f *Facts) Missing() (fields []string) {
	if !f.Declared {
		return []string{"models", "runtimes", "inputs", "outputs", "keys", "permissions", "retention"}
	}
	for _, need := range []struct {
		field string
		empty bool
	}{
		{"runtimes", len(f.Runtimes) == 0}, {"inputs", len(f.Inputs) == 0}, {"outputs", len(f.Outputs) == 0}, {"retention", f.Retention == ""},
	} {
		if need.empty {
			fields = append(fields, need.field)
		}
	}
	return fields
}
