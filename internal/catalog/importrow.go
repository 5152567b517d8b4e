package catalog

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/souk-market/souk/internal/market"
)

// row is a listing as a file describes it.
type row struct {
	AgentLine
	line, number int // in the file, from 1; among the rows, from 1
	given        fields
	version      string // of a table; in AgentLine it is in Releases
	table        bool
}

// fields are those of a listing that a row has something to say about.
type fields uint8

const (
	givenName fields = 1 << iota
	givenSummary
	givenCategory
	givenSource
	givenPopularity
	givenUpdated
	givenVersion
)

// importFields are what the columns of a table can be: id is AgentLine's external_id,
// tags are separated by commas, file and image are paths in the folder that is imported, and
// the rest is as there.
var importFields = []string{"id", "name", "summary", "version", "popularity", "source", "category", "updated", "slug", "seller", "tags",
	"price", "description", "terms", "refunds", "file", "image"}

// neededColumns are those that a table can't be without.
var neededColumns = []string{"id", "name", "category"}

// rowSource is a file of listings.
type rowSource interface {
	// next returns the next row, an Invalid error for one that breaks a rule, or io.EOF.
	// line is where it begins, also of one that breaks a rule.
	next() (r *row, line int, err error)
	bytesRead() int64
}

// openRows finds out what kind of file it is.
func openRows(r io.Reader, columns map[string]string) (rowSource, error) {
	if err := knownFields(columns); err != nil {
		return nil, err
	}
	in := &lineReader{in: bufio.NewReaderSize(r, maxRow)}
	head, err := in.in.Peek(4 << 10)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, readError(err)
	}
	if err := foreignEncoding(head); err != nil {
		return nil, err
	}
	head = bytes.TrimPrefix(head, []byte("\ufeff"))
	switch text := bytes.TrimLeft(head, " \t\r\n"); {
	case len(text) == 0 && len(head) < 4<<10:
		return nil, market.Errorf(market.Invalid, "The file is empty.")
	case text[0] == '{':
		return &jsonLines{lineReader: in, columns: columns}, nil
	case text[0] == '[':
		return newJSONArray(in.in, columns)
	}
	first, _, _ := bytes.Cut(head, []byte("\n"))
	if !bytes.Contains(first, []byte("\t")) && bytes.ContainsAny(first, ",;") {
		return newCSV(in.in, columns)
	}
	t := &tabs{lineReader: in}
	return t, t.header(columns)
}

func readError(err error) error {
	if strings.Contains(err.Error(), "is a directory") {
		return market.Errorf(market.Invalid, "This is a directory where a file should be.").Because(err)
	}
	return err
}

// foreignEncoding names what isn't text in UTF-8 by its first bytes.
func foreignEncoding(head []byte) error {
	for begin, what := range map[string]string{
		"\xff\xfe": "in UTF-16", "\xfe\xff": "in UTF-16", "PK\x03\x04": "a ZIP archive or a spreadsheet", "\x1f\x8b": "compressed with gzip",
		"\xfd7zXZ": "compressed with xz", "\x28\xb5\x2f\xfd": "compressed with zstd", "SQLite": "a database",
	} {
		if bytes.HasPrefix(head, []byte(begin)) {
			return market.Errorf(market.Invalid, "The file is %s. Save it as text in UTF-8 first: tab- or comma-separated values, JSON or JSON Lines.", what)
		}
	}
	if bytes.Count(head, []byte{0}) > len(head)/4 {
		return market.Errorf(market.Invalid, "The file is not text in UTF-8 (every other byte is zero, as in UTF-16). Save it as UTF-8 first.")
	}
	return nil
}

func knownFields(columns map[string]string) error {
	for column, field := range columns {
		if !slices.Contains(importFields, field) {
			return market.Errorf(market.Invalid, "There is no field %q to map the column %q to. The fields are %s.", field, column, strings.Join(importFields, " "))
		}
	}
	return nil
}

// lineReader reads lines, and counts them.
type lineReader struct {
	in   *bufio.Reader
	line int
	read int64
}

func (l *lineReader) bytesRead() int64 { return l.read }

// readLine returns a line without its end, of at most maxRow bytes. A longer one is
// Invalid, and skipped.
func (l *lineReader) readLine() (string, error) { return l.readUpTo(maxRow) }

func (l *lineReader) readUpTo(limit int) (string, error) {
	var whole []byte
	n, skipped := 0, false
	l.line++
	for {
		b, err := l.in.ReadSlice('\n')
		n += len(b)
		l.read += int64(len(b))
		if n > limit {
			skipped, whole = true, nil
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			if !skipped {
				whole = append(whole, b...)
			}
			continue
		}
		if err != nil && (!errors.Is(err, io.EOF) || n == 0) {
			return "", readError(err)
		}
		if skipped {
			return "", market.Errorf(market.Invalid, "The row is longer than %d bytes.", limit)
		}
		if whole != nil {
			b = append(whole, b...)
		}
		return string(bytes.TrimRight(b, "\r\n")), nil
	}
}

// tabs is tab-separated text, a row each line.
type tabs struct {
	*lineReader
	table
	number int
}

func (t *tabs) header(columns map[string]string) error {
	text, err := t.readLine()
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return t.table.header(strings.Split(strings.TrimPrefix(text, "\ufeff"), "\t"), columns, "separated by tabs")
}

func (t *tabs) next() (*row, int, error) {
	for {
		text, err := t.readLine()
		if err != nil && !market.Is(err, market.Invalid) {
			return nil, t.line, err
		}
		if err == nil && strings.TrimSpace(text) == "" {
			continue
		}
		t.number++
		if err != nil {
			return nil, t.line, err
		}
		if !utf8.ValidString(text) {
			return nil, t.line, market.Errorf(market.Invalid, "The row isn't valid UTF-8.")
		}
		r, err := t.parse(strings.Split(text, "\t"))
		r.line, r.number = t.line, t.number
		return r, t.line, err
	}
}

// table knows which column is which field.
type table struct {
	width  int
	column map[string]int // of a field
}

func (t *table) header(names []string, columns map[string]string, separated string) error {
	t.width, t.column = len(names), map[string]int{}
	seen := map[string]bool{}
	for i, n := range names {
		n = strings.TrimSpace(n)
		if seen[n] {
			return market.Errorf(market.Invalid, "The first line names the column %q twice.", n)
		}
		seen[n] = true
		field, mapped := columns[n]
		if !mapped {
			field = n
		}
		if _, twice := t.column[field]; twice && !mapped {
			continue // the mapped one is meant
		}
		t.column[field] = i
	}
	for column := range columns {
		if !seen[column] {
			return market.Errorf(market.Invalid, "The first line names no column %q, which is to be mapped.", column)
		}
	}
	for _, want := range neededColumns {
		if _, ok := t.column[want]; !ok {
			return market.Errorf(market.Invalid, "The first line must name the columns %s (and may name %s), %s; %q is missing. --map COLUMN=%s says which column it is.",
				strings.Join(neededColumns, ", "), strings.Join(importFields[3:], ", "), separated, want, want)
		}
	}
	return nil
}

// parse reads the cells of a row. The row is there also when it breaks a rule.
func (t *table) parse(cells []string) (*row, error) {
	r := &row{table: true}
	if len(cells) != t.width {
		return r, market.Errorf(market.Invalid, "The row has %d columns instead of %d.", len(cells), t.width)
	}
	cell := func(field string) (string, bool) {
		i, ok := t.column[field]
		if !ok {
			return "", false
		}
		return cells[i], true
	}
	return r, r.fromTable(cell)
}

// fromTable reads a row by field.
func (r *row) fromTable(cell func(field string) (text string, ok bool)) error {
	line := func(field string, given fields) string {
		text, ok := cell(field)
		if ok {
			r.given |= given
		}
		return market.CleanText(text)
	}
	r.ExternalID, r.Name, r.Summary = line("id", 0), line("name", givenName), line("summary", givenSummary)
	r.version, r.Source, r.Category = line("version", givenVersion), line("source", givenSource), line("category", givenCategory)
	r.Slug, r.Seller = line("slug", 0), line("seller", 0)
	r.Description, _ = cell("description")
	r.Terms, _ = cell("terms")
	r.Refunds, _ = cell("refunds")
	if tags, _ := cell("tags"); tags != "" {
		r.Tags = strings.Split(tags, ",")
	}
	if price := line("price", 0); price != "" {
		r.Offers = []OfferLine{{Price: price}}
	}
	if file := line("file", 0); file != "" {
		r.Releases = []ReleaseLine{{Version: r.version, File: &FileLine{Path: file}}}
	}
	if image := line("image", 0); image != "" {
		r.Images = []ImageLine{{Path: image}}
	}
	if r.ExternalID == "" || len(r.ExternalID) > market.MaxName {
		return market.FieldErrorf("id", "The id must have 1 to %d bytes.", market.MaxName)
	}
	if text := line("popularity", givenPopularity); r.given&givenPopularity != 0 {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 {
			return market.FieldErrorf("popularity", "The popularity %q is no whole number from 0.", text)
		}
		r.Popularity = n
	}
	at, err := parseDate(line("updated", givenUpdated))
	if err != nil {
		return market.FieldErrorf("updated", "%s", market.Message(err))
	}
	if r.Updated = (Moment{at}); len(r.Releases) > 0 {
		r.Releases[0].Released = r.Updated
	}
	return nil
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
