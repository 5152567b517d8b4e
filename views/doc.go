// Package views is Souk's face: the pages and mails as templ components, their style
// sheet, their scripts, and the patterns (package tile) that every listing is known by.
//
// A page is a function of two plain values, the Site and the page's own model, and of
// nothing else: it reads no store, no request and no clock, so the same values always
// give the same bytes and a rendered page can be kept and compared. internal/web fills
// the models; what a model leaves empty is left out of the page.
//
// What it promises: every page works with scripts and style sheets off; there is no
// inline script and no inline style, so a policy of script-src 'self'; style-src 'self'
// holds (mail bodies are the exception, mail programs read nothing else); whatever a
// seller or visitor typed is escaped; public pages are the same for every visitor, and
// what is personal on them (the count in the cart, the theme) is filled in by a script
// from the browser's own cookie and storage.
//
// What it leaves to others: routing, status codes, headers, compression, caching, and
// deciding what a visitor may see.
package views
