package market

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
)

// Command is a line for a shell, and the tool that it calls.
type Command struct {
	Tool string // "pip"
	Line string // "pip install langchain-chroma==1.1.0"
}

// InstallCommands are the ways to install what an external ID names, in a version or
// ("") the newest. There are none for a registry that Souk doesn't know.
func InstallCommands(externalID, version string) []Command {
	registry, pkg, ok := strings.Cut(externalID, ":")
	if !ok || pkg == "" {
		return nil
	}
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
// thing there; both are empty for a registry that Souk doesn't know.
func RegistryPage(externalID string) (name, url string) {
	registry, pkg, ok := strings.Cut(externalID, ":")
	switch {
	case !ok || pkg == "":
	case registry == "pypi":
		return "PyPI", "https://pypi.org/project/" + pkg + "/"
	case registry == "npm":
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
