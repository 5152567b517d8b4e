package main

import (
	"log/slog"
	"net/url"
	"strings"
)

// Secret is a text that no log, page or message shows: only Reveal returns it, and every
// way to print it gives its masked form. The text is behind a pointer, so that fmt shows
// an address where it can't call methods (in an unexported field). The zero value is
// no secret.
type Secret struct{ text *string }

func newSecret(text string) Secret { return Secret{&text} }

// Reveal returns the text, "" for the zero value.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsSet reports whether there is a secret.
func (s Secret) IsSet() bool { return s.Reveal() != "" }

// Equal reports whether both hold the same text. It is for tests of configurations, not
// for what a visitor sends: its time depends on the texts.
func (s Secret) Equal(t Secret) bool { return s.Reveal() == t.Reveal() }

func (s Secret) String() string               { return maskSecret(s.Reveal()) }
func (s Secret) GoString() string             { return s.String() }
func (s Secret) LogValue() slog.Value         { return slog.StringValue(s.String()) }
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// maskSecret keeps what tells one secret from another: a prefix of at most eight
// characters that ends with the first or second underscore ("sk_test_"), and the last
// four characters. Each is kept only when enough is left out to be no help in guessing.
func maskSecret(text string) string {
	if text == "" {
		return ""
	}
	prefix := maskedPrefix(text)
	rest := text[len(prefix):]
	switch {
	case len(rest) >= 20:
		return prefix + "…" + rest[len(rest)-4:]
	case len(rest) >= 8:
		return prefix + "…"
	}
	return "…"
}

func maskedPrefix(text string) string {
	head := text[:min(len(text), 8)]
	first := strings.IndexByte(head, '_')
	if first < 0 {
		return ""
	}
	if second := strings.IndexByte(head[first+1:], '_'); second >= 0 {
		return head[:first+1+second+1]
	}
	return head[:first+1]
}

// maskURL hides the password of a URL. Of what can't be read as a URL it keeps the
// scheme only.
func maskURL(text string) string {
	u, err := url.Parse(text)
	if err == nil && u.Opaque == "" && (u.User != nil || !strings.Contains(text, "@")) {
		return u.Redacted()
	}
	scheme, _, ok := strings.Cut(text, "://")
	if !ok {
		return "…"
	}
	return scheme + "://…"
}
