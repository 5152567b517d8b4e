package catalog

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/souk-market/souk/internal/market"
)

// importColumns are the columns an import must have.
var importColumns = []string{"id", "name", "summary", "version", "popularity", "source", "category", "updated"}

// rowReader reads rows from tab-separated text, one line each.
type rowReader struct {
	in     *bufio.Reader
	line   int
	number int
	read   int64
	column map[string]int
}

func (rr *rowReader) header() error {
	text, err := rr.readLine()
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	names := strings.Split(strings.TrimPrefix(text, "\ufeff"), "\t")
	rr.column = map[string]int{}
	for i, n := range names {
		n = strings.TrimSpace(n)
		if _, ok := rr.column[n]; ok {
			return market.Errorf(market.Invalid, "The first line names the column %q twice.", n)
		}
		rr.column[n] = i
	}
	for _, want := range importColumns {
		if _, ok := rr.column[want]; !ok {
			return market.Errorf(market.Invalid,
				"The first line must name the columns %s, separated by tabs; %q is missing.", strings.Join(importColumns, " "), want)
		}
	}
	return nil
}

// next returns the next row, an Invalid error for one that breaks a rule, or io.EOF.
func (rr *rowReader) next() (row, error) {
	for {
		text, err := rr.readLine()
		if err != nil {
			return row{}, err
		}
		if strings.TrimSpace(text) == "" {
			continue
		}
		rr.number++
		return rr.parse(text)
	}
}

// readLine returns a line without its end. A line over maxRow is Invalid, and skipped.
func (rr *rowReader) readLine() (string, error) {
	b, err := rr.in.ReadSlice('\n')
	rr.line++
	rr.read += int64(len(b))
	if errors.Is(err, bufio.ErrBufferFull) {
		for errors.Is(err, bufio.ErrBufferFull) {
			b, err = rr.in.ReadSlice('\n')
			rr.read += int64(len(b))
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return "", err
		}
		rr.number++
		return "", market.Errorf(market.Invalid, "The row is longer than %d bytes.", maxRow)
	}
	if len(b) == 0 && err != nil {
		return "", err
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return string(bytes.TrimRight(b, "\r\n")), nil
}

var categoryForm = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

func (rr *rowReader) parse(text string) (row, error) {
	fields := strings.Split(text, "\t")
	if len(fields) != len(rr.column) {
		return row{}, market.Errorf(market.Invalid, "The row has %d columns instead of %d.", len(fields), len(rr.column))
	}
	if !utf8.ValidString(text) {
		return row{}, market.Errorf(market.Invalid, "The row isn't valid UTF-8.")
	}
	field := func(name string) string { return market.CleanText(fields[rr.column[name]]) }
	r := row{
		line: rr.line, number: rr.number, id: field("id"), name: field("name"), summary: field("summary"),
		version: field("version"), source: field("source"), category: market.Category(field("category")),
	}
	switch {
	case r.id == "" || len(r.id) > market.MaxName:
		return r, market.Errorf(market.Invalid, "The id must have 1 to %d bytes.", market.MaxName)
	case r.name == "" || len(r.name) > market.MaxName:
		return r, market.Errorf(market.Invalid, "The name must have 1 to %d bytes.", market.MaxName)
	case len(r.summary) > market.MaxSummary:
		return r, market.Errorf(market.Invalid, "The summary is longer than %d bytes.", market.MaxSummary)
	case len(r.version) > maxVersion:
		return r, market.Errorf(market.Invalid, "The version is longer than %d bytes.", maxVersion)
	case !categoryForm.MatchString(r.source) || len(r.source) > 32:
		return r, market.Errorf(market.Invalid, "The source %q must be lower-case letters, digits and hyphens, 32 at most.", r.source)
	case !categoryForm.MatchString(string(r.category)) || len(r.category) > maxCategory:
		return r, market.Errorf(market.Invalid, "The category %q must be lower-case letters, digits and hyphens, %d at most.", r.category, maxCategory)
	}
	var err error
	if r.popularity, err = strconv.ParseInt(field("popularity"), 10, 64); err != nil || r.popularity < 0 {
		return r, market.Errorf(market.Invalid, "The popularity %q is no whole number from 0.", field("popularity"))
	}
	if r.updated, err = parseDate(field("updated")); err != nil {
		return r, err
	}
	return r, nil
}

// parseDate reads "2026-08", "2026-08-31" or RFC 3339, from 1970 to 9999; "" is no date.
func parseDate(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{"2006-01", time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, s); err == nil && t.Unix() >= 0 && t.UTC().Year() <= 9999 {
			return t.UTC(), nil
		}
	}
	return time.Time{}, market.Errorf(market.Invalid, "The date %q is not of the form 2026-08 or 2026-08-31.", s)
}
