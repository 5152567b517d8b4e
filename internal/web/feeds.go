package web

import "github.com/souk-market/souk/views"

// feedsOf are a listing's feeds, for its page's head. path is the listing's without its query.
func feedsOf(title, path string) []views.Other { return nil }
