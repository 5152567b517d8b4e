package catalog

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/souk-market/souk/internal/market"
)

// jsonLines is JSON objects, one a line.
type jsonLines struct {
	*lineReader
	columns map[string]string
	strict  bool // an unknown field is refused
	number  int
}

func (j *jsonLines) next() (*row, int, error) {
	text, err := j.object()
	if err != nil {
		return nil, j.line, err
	}
	r, err := parseObject([]byte(text), j.columns, j.strict)
	if err != nil {
		return nil, j.line, err
	}
	r.line, r.number = j.line, j.number
	return r, j.line, nil
}

// object returns the next line that isn't blank.
func (j *jsonLines) object() (string, error) {
	for {
		text, err := j.readUpTo(maxJSON)
		if err != nil {
			return "", err
		}
		if j.line == 1 {
			text = strings.TrimPrefix(text, "\ufeff")
		}
		if strings.TrimSpace(text) != "" {
			j.number++
			return text, nil
		}
	}
}

// jsonArray is an array of JSON objects, over as many lines as they like.
type jsonArray struct {
	in      *json.Decoder
	bound   *boundedReader
	lines   *lineCounter
	columns map[string]string
	number  int
}

func newJSONArray(in *bufio.Reader, columns map[string]string) (*jsonArray, error) {
	if begin, err := in.Peek(3); err == nil && string(begin) == "\ufeff" {
		if _, err := in.Discard(3); err != nil {
			return nil, err
		}
	}
	lines := &lineCounter{in: in}
	j := &jsonArray{bound: &boundedReader{in: lines, limit: maxJSON}, lines: lines, columns: columns}
	j.in = json.NewDecoder(j.bound)
	_, err := j.in.Token() // the bracket
	return j, err
}

func (j *jsonArray) bytesRead() int64 { return j.in.InputOffset() }

func (j *jsonArray) next() (*row, int, error) {
	j.bound.done = j.in.InputOffset()
	if !j.in.More() {
		if _, err := j.in.Token(); err != nil {
			return nil, 0, j.broken(err)
		}
		return nil, 0, io.EOF
	}
	var text json.RawMessage
	if err := j.in.Decode(&text); err != nil {
		return nil, 0, j.broken(err)
	}
	j.number++
	line := j.lines.at(j.in.InputOffset() - int64(len(text)))
	r, err := parseObject(text, j.columns, false)
	if err != nil {
		return nil, line, err
	}
	r.line, r.number = line, j.number
	return r, line, nil
}

// broken is the error of an array that doesn't go on as one: where it stops being one isn't
// known to the row, so the import ends.
func (j *jsonArray) broken(err error) error {
	var fatal *fatalError
	if errors.As(err, &fatal) {
		return err
	}
	line := j.lines.at(j.in.InputOffset())
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &fatalError{market.Errorf(market.Invalid, "The file ends in the middle of the JSON array, after line %d. What came before is in.", line)}
	}
	return &fatalError{market.Errorf(market.Invalid, "The JSON can't be read after line %d: %v. What came before is in.", line, err)}
}

// lineCounter remembers where lines begin.
type lineCounter struct {
	in   io.Reader
	read int64
	line int // lines that end before ends[0]
	ends []int64
}

func (l *lineCounter) Read(p []byte) (int, error) {
	n, err := l.in.Read(p)
	for i, c := range p[:n] {
		if c == '\n' {
			l.ends = append(l.ends, l.read+int64(i))
		}
	}
	l.read += int64(n)
	return n, err
}

// at is the line of a place in the file, from 1. Places are asked for in order.
func (l *lineCounter) at(offset int64) int {
	n := 0
	for n < len(l.ends) && l.ends[n] < offset {
		n++
	}
	l.line += n
	l.ends = slices.Delete(l.ends, 0, n)
	return l.line + 1
}

// jsonRow is AgentLine with the columns of a table that it has under other names.
type jsonRow struct {
	AgentLine
	ID      string `json:"id"` // an agent's ID, or as external_id
	Version string `json:"version"`
	Price   string `json:"price"`
}

// parseObject reads a listing. An object of an export is an AgentLine; others may have a
// table's columns as well.
func parseObject(text []byte, columns map[string]string, strict bool) (*row, error) {
	if len(columns) > 0 {
		var err error
		if text, err = rename(text, columns); err != nil {
			return nil, err
		}
	}
	r := &row{}
	if strict {
		if err := decodeLine(text, &r.AgentLine); err != nil {
			return nil, err
		}
		return r, r.setGiven()
	}
	var j jsonRow
	if err := json.Unmarshal(text, &j); err != nil {
		return nil, jsonProblem(err)
	}
	r.AgentLine, r.version = j.AgentLine, j.Version
	if id, err := market.ParseID[market.AgentID](j.ID); err == nil {
		r.ID = id
	} else if r.ExternalID == "" {
		r.ExternalID = market.CleanText(j.ID)
	}
	if j.Price != "" && len(r.Offers) == 0 {
		r.Offers = []OfferLine{{Price: j.Price}}
	}
	return r, r.setGiven()
}

// setGiven notes which fields an object has.
func (r *row) setGiven() error {
	r.Name, r.Summary, r.Category = market.CleanText(r.Name), market.CleanText(r.Summary), market.CleanText(r.Category)
	r.ExternalID, r.Slug, r.Seller, r.Source = market.CleanText(r.ExternalID), market.CleanText(r.Slug), market.CleanText(r.Seller), market.CleanText(r.Source)
	r.version = market.CleanText(r.version)
	for f, there := range map[fields]bool{
		givenName: r.Name != "", givenSummary: r.Summary != "", givenCategory: r.Category != "", givenSource: r.Source != "",
		givenPopularity: r.Popularity != 0, givenUpdated: !r.Updated.IsZero(), givenVersion: r.version != "",
	} {
		if there {
			r.given |= f
		}
	}
	switch {
	case r.Popularity < 0:
		return market.FieldErrorf("popularity", "The popularity %d is no whole number from 0.", r.Popularity)
	case len(r.ExternalID) > market.MaxName:
		return market.FieldErrorf("external_id", "The external_id must have 1 to %d bytes.", market.MaxName)
	}
	return nil
}

// rename gives the fields of an object the names that they are mapped to.
func rename(text []byte, columns map[string]string) ([]byte, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(text, &object); err != nil {
		return nil, jsonProblem(err)
	}
	renamed := map[string]json.RawMessage{}
	for name, value := range object {
		if _, mapped := columns[name]; !mapped {
			renamed[name] = value
		}
	}
	for name, field := range columns {
		if value, ok := object[name]; ok {
			renamed[field] = value
		}
	}
	return json.Marshal(renamed)
}

// decodeLine reads one object of the exchange format.
func decodeLine(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return jsonProblem(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return market.Errorf(market.Invalid, "There is more on the line than one JSON object.")
	}
	return nil
}

// jsonProblem says what is wrong with an object.
func jsonProblem(err error) error {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		field := strings.TrimPrefix(wrong.Field, "AgentLine.")
		return market.FieldErrorf(field, "The field %s can't be a %s.", orWhole(field), wrong.Value)
	}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return market.Errorf(market.Invalid, "The JSON can't be read: %v, at character %d.", syntax, syntax.Offset)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return market.Errorf(market.Invalid, "The line ends in the middle of a JSON object.")
	}
	if problem, ok := errors.AsType[*market.Error](err); ok {
		return problem
	}
	return market.Errorf(market.Invalid, "The object can't be read: %s.", strings.TrimPrefix(fmt.Sprint(err), "json: "))
}

func orWhole(field string) string {
	if field == "" {
		return "as a whole"
	}
	return field
}
