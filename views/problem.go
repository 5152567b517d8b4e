package views

var problemTitles = map[int]string{
	400: "That request can’t be read",
	401: "Please sign in first",
	403: "You may not do this",
	404: "There is nothing at this address",
	405: "That can’t be done here",
	409: "This has changed in the meantime",
	410: "This is gone",
	413: "That is too large",
	422: "Something in the form needs another look",
	429: "Too many requests at once",
	503: "The market is busy",
}

func (p Problem) title() string {
	if p.Title != "" {
		return p.Title
	}
	if t, ok := problemTitles[p.Status]; ok {
		return t
	}
	return "Something broke on our side"
}
