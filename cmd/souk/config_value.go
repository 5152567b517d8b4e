package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	netmail "net/mail"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/souk-market/souk/internal/market"
)

// A binder parses the values of a setting into its field. Its errors are badValues, or
// complete the sentence that begins with the setting's name.
type binder func(cfg *Config, values []string) []error

// badValue is a value that a setting doesn't take. want completes a sentence: what to
// write instead. Neither it nor an error of a parser repeats the value, which may be secret.
type badValue struct {
	value string
	want  error
}

func (b badValue) Error() string { return b.want.Error() }

// one binds a setting that has one value, or none: then the field is zero.
func one[T any](field func(*Config) *T, parse func(string) (T, error)) binder {
	return func(cfg *Config, values []string) []error {
		to := field(cfg)
		*to = *new(T)
		if len(values) == 0 {
			return nil
		}
		if len(values) > 1 {
			return []error{errors.New("takes one value, not a list")}
		}
		v, err := parse(values[0])
		if err != nil {
			return []error{badValue{values[0], err}}
		}
		*to = v
		return nil
	}
}

// many binds a setting that is a list, of at most limit values where limit isn't 0.
func many[T any](field func(*Config) *[]T, limit int, parse func(string) (T, error)) binder {
	return func(cfg *Config, values []string) (errs []error) {
		var list []T
		for i, value := range values {
			v, err := parse(value)
			switch {
			case err != nil:
				errs = append(errs, badValue{value, err})
			case slices.Contains(values[:i], value):
				errs = append(errs, badValue{value, errors.New("it is in the list twice; leave one out")})
			default:
				list = append(list, v)
			}
		}
		if limit > 0 && len(values) > limit {
			errs = append(errs, fmt.Errorf("takes at most %d values, and there are %d", limit, len(values)))
		}
		*field(cfg) = list
		return errs
	}
}

func filePath(s string) (string, error) {
	if s == "" || strings.ContainsRune(s, 0) {
		return "", errors.New("write a path")
	}
	return filepath.Clean(s), nil
}

func address(s string) (string, error) {
	host, port, err := net.SplitHostPort(s)
	n, perr := strconv.ParseUint(port, 10, 16)
	if err != nil || perr != nil || (host != "" && !isHost(host)) {
		return "", errors.New("write HOST:PORT, such as 127.0.0.1:8080, [::1]:8080 or :443, with a port from 0 to 65535")
	}
	return net.JoinHostPort(host, strconv.FormatUint(n, 10)), nil
}

func addressOrOff(s string) (string, error) {
	if s == "off" {
		return "", nil
	}
	a, err := address(s)
	if err != nil {
		return "", fmt.Errorf("%w; or \"off\"", err)
	}
	return a, nil
}

// isHost reports whether s is an IP address or a host name (RFC 1123, section 2.1).
func isHost(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	return isHostname(s)
}

// isHostname checks labels and lengths as RFC 1035, section 2.3.4 bounds them. A name
// whose last label is a number would be an address (RFC 3696, section 2).
func isHostname(s string) bool {
	labels := strings.Split(s, ".")
	last := labels[len(labels)-1]
	return len(s) <= 253 && !slices.ContainsFunc(labels, badLabel) && strings.Trim(last, "0123456789") != ""
}

func badLabel(s string) bool {
	letters := strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz0123456789-")
	return s == "" || len(s) > 63 || letters != "" || s[0] == '-' || s[len(s)-1] == '-'
}

func domain(s string) (string, error) {
	name := strings.ToLower(s)
	switch {
	case strings.HasPrefix(name, "*."):
		return "", errors.New("a wildcard can't be served; list each name")
	case strings.ContainsFunc(name, func(r rune) bool { return r > unicode.MaxASCII }):
		return "", errors.New("write the name in ASCII, with xn-- for other letters")
	case !isHostname(name) || !strings.Contains(name, "."):
		return "", errors.New("write a public host name, such as shop.example.com, without scheme, port or path")
	}
	return name, nil
}

// baseURL is the public address of a server for domains, or else of one that listens at
// addr. It is "" when the port is 0, which only the listener can tell.
func baseURL(domains []string, addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || port == "0" {
		return ""
	}
	scheme, usual := "http", "80"
	if len(domains) > 0 {
		scheme, usual, host = "https", "443", domains[0]
	}
	if ip, err := netip.ParseAddr(host); host == "" || (err == nil && ip.IsUnspecified()) {
		host = "localhost"
	}
	if port != usual {
		return scheme + "://" + net.JoinHostPort(host, port)
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return scheme + "://" + host
}

func publicURL(s string) (string, error) {
	u, err := webURL(s, "https", "http")
	if err != nil || (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.ForceQuery || strings.Contains(s, "#") {
		return "", errors.New("write https:// (or http://) and a host, such as https://shop.example.com, without user, path or query")
	}
	return u.Scheme + "://" + strings.ToLower(u.Host), nil
}

func directoryURL(s string) (string, error) {
	if _, err := webURL(s, "https"); err != nil {
		return "", errors.New("write the https:// URL of an ACME directory, such as " + letsEncrypt)
	}
	return s, nil
}

// webURL reads a URL with one of the schemes, a host, no user, and a sensible port.
func webURL(s string, schemes ...string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || !slices.Contains(schemes, u.Scheme) || u.User != nil || !isHost(u.Hostname()) || !portFits(u) {
		return nil, errors.New("bad URL")
	}
	return u, nil
}

// portFits reports whether a URL's port is from 1 to 65535 or left out.
func portFits(u *url.URL) bool {
	if strings.HasSuffix(u.Host, ":") {
		return false
	}
	n, err := strconv.ParseUint(u.Port(), 10, 16)
	return u.Port() == "" || (err == nil && n > 0)
}

func email(s string) (string, error) {
	a, err := netmail.ParseAddress(s)
	if err != nil || a.Name != "" || a.Address != s || !isASCII(s) {
		return "", errors.New("write one e-mail address, such as admin@example.com")
	}
	return s, nil
}

func sender(s string) (netmail.Address, error) {
	a, err := netmail.ParseAddress(s)
	if err != nil || !isASCII(a.Address) {
		return netmail.Address{}, errors.New("write shop@example.com, or Shop <shop@example.com>")
	}
	return *a, nil
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII })
}

func smtpServer(s string) (SMTPServer, error) {
	bad := errors.New("write smtp://user:password@host:587 (STARTTLS) or smtps://user:password@host:465, with %40 and the like for special characters in user and password, or without both")
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "smtp" && u.Scheme != "smtps") || !isHost(u.Hostname()) || !portFits(u) ||
		(u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.Fragment != "" {
		return SMTPServer{}, bad
	}
	server := SMTPServer{Host: u.Hostname(), Port: 587, ImplicitTLS: u.Scheme == "smtps"}
	if server.ImplicitTLS {
		server.Port = 465
	}
	if u.Port() != "" {
		server.Port, _ = strconv.Atoi(u.Port())
	}
	if u.User == nil {
		return server, nil
	}
	password, _ := u.User.Password()
	if u.User.Username() == "" || password == "" {
		return SMTPServer{}, bad
	}
	server.Username, server.Password = u.User.Username(), newSecret(password)
	return server, nil
}

const day = 24 * time.Hour

func duration(least, most time.Duration) func(string) (time.Duration, error) {
	return func(s string) (time.Duration, error) {
		d, err := parseDuration(s)
		if err != nil || d < least || d > most {
			return 0, fmt.Errorf("write a duration with its unit, such as %s, from %s to %s", sampleDurations(most), short(least), short(most))
		}
		return d, nil
	}
}

// parseDuration reads what time.ParseDuration reads, and days: "7d".
func parseDuration(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * day, err
	}
	return time.ParseDuration(s)
}

func sampleDurations(most time.Duration) string {
	if most >= day {
		return "90m, 12h or 7d"
	}
	return "500ms, 1s or 2m"
}

// short is a duration without units that are zero ("1h", not "1h0m0s"), in days where it
// is two of them or more.
func short(d time.Duration) string {
	if d >= 2*day && d%day == 0 {
		return strconv.Itoa(int(d/day)) + "d"
	}
	text := d.String()
	if d%time.Minute == 0 {
		text = strings.TrimSuffix(text, "0s")
	}
	if d%time.Hour == 0 {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// maxCommission is in basis points.
const maxCommission = 5000

func percentage(s string) (int64, error) {
	bad := errors.New("write a percentage from 0% to 50% with at most two decimals, such as 10% or 2.5%")
	digits, ok := strings.CutSuffix(s, "%")
	whole, fraction, dotted := strings.Cut(strings.TrimSpace(digits), ".")
	if !ok || (dotted && fraction == "") || len(fraction) > 2 {
		return 0, bad
	}
	bp, err := strconv.ParseUint(whole+fraction+"00"[len(fraction):], 10, 16)
	if err != nil || whole == "" || bp > maxCommission {
		return 0, bad
	}
	return int64(bp), nil
}

func currency(s string) (market.Currency, error) {
	c := market.Currency(strings.ToUpper(s))
	if !c.Valid() {
		return "", errors.New("write the ISO 4217 code of a currency in use, such as USD, EUR or JPY")
	}
	return c, nil
}

func siteName(s string) (string, error) {
	if n := utf8.RuneCountInString(s); n == 0 || n > 60 || strings.TrimSpace(s) != s || strings.ContainsFunc(s, unicode.IsControl) || !utf8.ValidString(s) {
		return "", errors.New("write 1 to 60 characters, without line breaks or blanks at the ends")
	}
	return s, nil
}

// minToken is the least length in characters of a token that is asked for over the
// network: 16 random hexadecimal digits are 64 bits.
const minToken = 16

func token(s string) (Secret, error) {
	if len(s) < minToken || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return Secret{}, fmt.Errorf("write %d or more printable ASCII characters without blanks", minToken)
	}
	return newSecret(s), nil
}

func stripeKey(s string) (Secret, error) {
	if strings.HasPrefix(s, "pk_") {
		return Secret{}, errors.New("that is the publishable key; write the secret key, which begins with sk_ or rk_")
	}
	for _, prefix := range []string{"sk_test_", "rk_test_", "sk_live_", "rk_live_"} {
		if rest, ok := strings.CutPrefix(s, prefix); ok && isWord(rest) {
			return newSecret(s), nil
		}
	}
	return Secret{}, errors.New("write the secret key as Stripe shows it; it begins with sk_test_, rk_test_, sk_live_ or rk_live_")
}

// stripeKeyIsLive reports whether the key, in the form stripeKey accepts, moves real money.
func stripeKeyIsLive(key Secret) bool { return strings.HasPrefix(key.Reveal()[len("sk_"):], "live_") }

func webhookSecret(s string) (Secret, error) {
	if rest, ok := strings.CutPrefix(s, "whsec_"); !ok || !isASCII(rest) || rest == "" || strings.ContainsAny(rest, " \t\r\n") {
		return Secret{}, errors.New("write the signing secret of the webhook endpoint as Stripe shows it; it begins with whsec_")
	}
	return newSecret(s), nil
}

// isWord reports whether s is letters, digits and underscores, one at least.
func isWord(s string) bool {
	return s != "" && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

func boolean(s string) (bool, error) {
	switch strings.ToLower(s) {
	case "true", "yes", "1":
		return true, nil
	case "false", "no", "0":
		return false, nil
	}
	return false, errors.New("write true or false")
}

func logLevel(s string) (slog.Level, error) {
	name, err := oneOf("debug", "info", "warn", "error")(s)
	if err != nil {
		return 0, err
	}
	var level slog.Level
	return level, level.UnmarshalText([]byte(name))
}

func oneOf(words ...string) func(string) (string, error) {
	return func(s string) (string, error) {
		if slices.Contains(words, s) {
			return s, nil
		}
		err := fmt.Errorf("write %s or %s", strings.Join(words[:len(words)-1], ", "), words[len(words)-1])
		if near := nearest(s, words); near != "" {
			err = fmt.Errorf("%w (did you mean %q?)", err, near)
		}
		return "", err
	}
}

// units are the sizes that bytes may be written in, IEC and SI.
var units = map[string]int64{
	"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
	"kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
}

func size(least, most string) func(string) (int64, error) {
	lo, _ := parseBytes(least)
	hi, _ := parseBytes(most)
	return func(s string) (int64, error) {
		n, ok := parseBytes(s)
		if !ok || n < lo || n > hi {
			return 0, fmt.Errorf("write a number of bytes with a unit (kB, MB, GB, TB, KiB, MiB, GiB, TiB), such as 64MiB, from %s to %s", least, most)
		}
		return n, nil
	}
}

func parseBytes(s string) (int64, bool) {
	digits := s[:len(s)-len(strings.TrimLeft(s, "0123456789"))]
	unit, known := units[strings.TrimSpace(s[len(digits):])]
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || !known || n > 1<<50/unit {
		return 0, false
	}
	return n * unit, true
}

// nearest returns the name that a misspelt one most likely means, "" when none is near:
// at most a third of its letters differ, one begins with the other, or it is the name's
// last part.
func nearest(name string, names []string) string {
	best, least := "", max(2, len(name)/3)+1
	for _, n := range names {
		d := editDistance(strings.ToLower(name), strings.ToLower(n))
		if strings.HasPrefix(name, n) || (len(name) >= 3 && strings.HasPrefix(n, name)) {
			d = min(d, 1)
		}
		if _, part, ok := strings.Cut(n, "."); ok && part == name {
			d = 0
		}
		if d < least {
			best, least = n, d
		}
	}
	return best
}

// editDistance is Levenshtein's: how many bytes to insert, remove or replace.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
