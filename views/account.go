package views

// titleOf names what was bought by its first agent: "chroma-mcp and 2 more".
func titleOf(names []string) string {
	switch len(names) {
	case 0:
		return "Nothing"
	case 1:
		return names[0]
	case 2:
		return names[0] + " and " + names[1]
	}
	return names[0] + " and " + decimal(len(names)-1) + " more"
}

// greeting names who is signed in.
func (p Account) greeting() string {
	if p.Name == "" {
		return p.Email
	}
	return p.Name + ", " + p.Email
}
