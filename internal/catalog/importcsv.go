package catalog

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/souk-market/souk/internal/market"
)

// commas is comma- or semicolon-separated text (RFC 4180): a row may have several lines.
type commas struct {
	in     *csv.Reader
	bound  *boundedReader
	number int
	table
}

func newCSV(in *bufio.Reader, columns map[string]string) (*commas, error) {
	if begin, err := in.Peek(3); err == nil && string(begin) == "\ufeff" {
		if _, err := in.Discard(3); err != nil {
			return nil, err
		}
	}
	head, err := in.Peek(4 << 10)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	first, _, _ := bytes.Cut(head, []byte("\n"))
	c := &commas{bound: &boundedReader{in: in, limit: maxJSON}}
	c.in = csv.NewReader(c.bound)
	c.in.ReuseRecord, c.in.FieldsPerRecord = true, -1
	if bytes.Count(first, []byte(";")) > bytes.Count(first, []byte(",")) {
		c.in.Comma = ';'
	}
	names, err := c.in.Read()
	if err != nil {
		return nil, market.Errorf(market.Invalid, "The first line can't be read as comma-separated names of columns.").Because(err)
	}
	return c, c.header(names, columns, "separated by commas or semicolons")
}

func (c *commas) bytesRead() int64 { return c.in.InputOffset() }

func (c *commas) next() (*row, int, error) {
	c.bound.done = c.in.InputOffset()
	cells, err := c.in.Read()
	var broken *csv.ParseError
	switch {
	case errors.Is(err, io.EOF):
		return nil, 0, io.EOF
	case errors.As(err, &broken):
		c.number++
		return nil, broken.StartLine, market.Errorf(market.Invalid, "The row can't be read: %v.", broken.Err)
	case err != nil:
		return nil, 0, err
	}
	c.number++
	line, _ := c.in.FieldPos(0)
	if !utf8.ValidString(strings.Join(cells, "")) {
		return nil, line, market.Errorf(market.Invalid, "The row isn't valid UTF-8.")
	}
	r, err := c.parse(cells)
	r.line, r.number = line, c.number
	return r, line, err
}

// boundedReader fails when a value is longer than limit: a quote that is never closed would
// take in the rest of the file.
type boundedReader struct {
	in    io.Reader
	limit int64
	read  int64
	done  int64 // of what was read, how much has been parsed
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.read-b.done > b.limit+maxRow {
		return 0, &fatalError{market.Errorf(market.Invalid, "A row is longer than %d bytes: a quote or a bracket isn't closed. What came before it is in.", b.limit)}
	}
	n, err := b.in.Read(p)
	b.read += int64(n)
	return n, err
}
