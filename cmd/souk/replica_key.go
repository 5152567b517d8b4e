package main

import (
	"os"
	"strings"

	"github.com/souk-market/souk/internal/market"
)

// maxKeyFile bounds what is read of a key's file, in bytes.
const maxKeyFile = 4 << 10

// readKeyFile returns the key in a file as text.
func readKeyFile(name string) (string, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return "", market.Errorf(market.Invalid, "The key file %s can't be read: %v.", name, cause(err))
	}
	if len(text) > maxKeyFile || strings.TrimSpace(string(text)) == "" {
		return "", market.Errorf(market.Invalid, "The key file %s holds no key. It has one line, as souk replica keygen makes it.", name)
	}
	return strings.TrimSpace(string(text)), nil
}
