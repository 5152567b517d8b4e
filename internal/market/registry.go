package market

import "strings"

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
