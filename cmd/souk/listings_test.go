package main

import _ "embed"

// sampleListings are some listings of public registries, as agents.tsv has them.
//
//go:embed testdata/listings.tsv
var sampleListings []byte
