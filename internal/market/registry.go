package market

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"regexp"
	"strings"
)

// Command is a line for a shell, and the tool that it calls.
type Command struct {
	Tool string // "pip"
	Line string // "pip install langchain-chroma==1.1.0"
}

// Names and versions of packages go into command lines and addresses, so only those of
// their registry's own form do: nothing in them means anything to a shell.
var (
	pypiName       = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$`)
	npmName        = regexp.MustCompile(`^(@[A-Za-z0-9][A-Za-z0-9._-]*/)?[A-Za-z0-9_][A-Za-z0-9._-]*$`)
	packageVersion = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.+_-]*$`)
)

// cutExternal takes an external ID apart; registry is empty for a registry that Souk
// doesn't know and for a name that is none there.
func cutExternal(externalID string) (registry, pkg string) {
	registry, pkg, _ = strings.Cut(externalID, ":")
	if registry == "pypi" && pypiName.MatchString(pkg) || registry == "npm" && npmName.MatchString(pkg) {
		return registry, pkg
	}
	return "", ""
}

// InstallCommands are the ways to install what an external ID names, in a version or
// ("") the newest. There are none for a registry that Souk doesn't know, and for names
// and versions that are none there.
func InstallCommands(externalID, version string) []Command {
	if version != "" && !packageVersion.MatchString(version) {
		return nil
	}
	registry, pkg := cutExternal(externalID)
	at := func(sep string) string {
		if version == "" {
			return pkg
		}
		return pkg + sep + version
	}
	switch registry {
	case "pypi":
		return []Command{{"pip", "pip install " + at("==")}, {"uv", "uv pip install " + at("==")}}
	case "npm":
		return []Command{{"npm", "npm install " + at("@")}}
	}
	return nil
}

// RegistryPage is the name of the registry of an external ID and the address of the
// thing there; both are empty as for InstallCommands.
func RegistryPage(externalID string) (name, url string) {
	switch registry, pkg := cutExternal(externalID); registry {
	case "pypi":
		return "PyPI", "https://pypi.org/project/" + pkg + "/"
	case "npm":
		return "npm", "https://www.npmjs.com/package/" + pkg
	}
	return "", ""
}

// SetupFile is the file that buyers of an imported listing get: what it is and how to
// install it, as JSON for software to read. Equal listings have equal files.
func SetupFile(a *Agent) (File, []byte) {
	setup := struct {
		ID       string            `json:"id"`
		Name     string            `json:"name"`
		Version  string            `json:"version,omitempty"`
		Summary  string            `json:"summary,omitempty"`
		Category Category          `json:"category"`
		Registry string            `json:"registry"`
		Install  map[string]string `json:"install,omitempty"`
	}{a.ExternalID, a.Name, a.Release.Version, a.Summary, a.Category, a.Source, map[string]string{}}
	for _, c := range InstallCommands(a.ExternalID, a.Release.Version) {
		setup.Install[c.Tool] = c.Line
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(setup); err != nil {
		panic(err) // texts always encode
	}
	sum := sha256.Sum256(b.Bytes())
	return File{Name: setupName(a), SHA256: hex.EncodeToString(sum[:]), Size: int64(b.Len()), OnDemand: true}, b.Bytes()
}

// setupName is the listing's name and version as a file name: "langchain-chroma-1.1.0.json".
func setupName(a *Agent) string {
	name := Slug(a.Name)
	if name == "" {
		name = "agent"
	}
	if v := strings.ReplaceAll(Slug(a.Release.Version), "-", "."); v != "" {
		name += "-" + v
	}
	return name + ".json"
}
