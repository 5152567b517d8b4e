package store

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
)

var recordVersion = flag.Int("record", 0, "write the samples of this schema version, which is being frozen")

// sample is a record as some version stored it: a line of testdata/records/v<version>.jsonl.
type sample struct {
	Table string          `json:"table"`
	Key   string          `json:"key"`
	CBOR  string          `json:"cbor"` // hexadecimal
	JSON  json.RawMessage `json:"json"` // what Inspect shows of it
}

func samplesFile(version int) string {
	return filepath.Join("testdata", "records", fmt.Sprintf("v%d.jsonl", version))
}

func readSamples(t *testing.T, name string) (all []sample) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(bytes.NewReader(b))
	for lines.Buffer(nil, 1<<20); lines.Scan(); {
		var s sample
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all = append(all, s)
	}
	return all
}

// sampled is a table of any record type, for samples.
type sampled interface {
	anyTable
	// decodeSample decodes a record with today's type.
	decodeSample(b []byte) (rec any, key string, err error)
}

func (t *Table[K, R]) decodeSample(b []byte) (any, string, error) {
	var rec R
	err := decode(b, &rec)
	return rec, string(t.key(&rec)), err
}

// TestOldRecordsRead decodes the records of every version with today's types, and stores
// them again: nothing of them may be lost or changed. When it fails, a field or a table
// has gone or has another meaning. Put it back, and add a new one beside it.
func TestOldRecordsRead(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "records", "v*.jsonl"))
	if err != nil || len(files) < 1 {
		t.Fatalf("no samples: %v", err)
	}
	for _, name := range files {
		for _, s := range readSamples(t, name) {
			for _, lost := range s.read(t) {
				t.Errorf("%s: %s %s: %s", filepath.Base(name), s.Table, s.Key, lost)
			}
		}
	}
}

// read returns what of a sample today's types lose.
func (s sample) read(t *testing.T) (lost []string) {
	t.Helper()
	table, err := tableByName(s.Table)
	if err != nil {
		return []string{"the table has gone"}
	}
	stored, err := hex.DecodeString(s.CBOR)
	if err != nil {
		t.Fatal(err)
	}
	rec, key, err := table.(sampled).decodeSample(stored)
	if err != nil {
		return []string{err.Error()}
	}
	if key != s.Key {
		lost = append(lost, fmt.Sprintf("its key is %q now", key))
	}
	again, err := recordJSON(table.tableNumber(), must(encode(rec)), true)
	if err != nil {
		t.Fatal(err)
	}
	return append(lost, missing("", parseJSON(t, s.JSON), parseJSON(t, again))...)
}

func parseJSON(t *testing.T, b []byte) (v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return v
}

// missing compares what was with what is. Fields may have been added, and one that was
// empty may be left out.
func missing(at string, was, is any) (lost []string) {
	switch was := was.(type) {
	case map[string]any:
		now, ok := is.(map[string]any)
		if !ok {
			return []string{fmt.Sprintf("%s was %v and is %v", at, was, is)}
		}
		for name, v := range was {
			if field, ok := now[name]; ok || !isEmpty(v) {
				lost = append(lost, missing(at+"."+name, v, field)...)
			}
		}
	case []any:
		now, ok := is.([]any)
		if !ok || len(now) != len(was) {
			return []string{fmt.Sprintf("%s was %v and is %v", at, was, is)}
		}
		for i := range was {
			lost = append(lost, missing(fmt.Sprintf("%s[%d]", at, i), was[i], now[i])...)
		}
	default:
		if was != is && !(isEmpty(was) && isEmpty(is)) {
			return []string{fmt.Sprintf("%s was %v and is %v", at, was, is)}
		}
	}
	return lost
}

// isEmpty reports whether a JSON value is what a field has that nobody has set.
func isEmpty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case bool:
		return !v
	case string:
		return v == ""
	case json.Number:
		return v == "0"
	case []any:
		return len(v) == 0
	case map[string]any:
		for _, field := range v {
			if !isEmpty(field) {
				return false
			}
		}
		return true
	}
	return false
}

func TestMissingFindsWhatIsLost(t *testing.T) {
	for name, test := range map[string]struct {
		was, is string
		lost    int
	}{
		"the same":            {`{"a":1,"b":[{"c":"x"}]}`, `{"a":1,"b":[{"c":"x"}]}`, 0},
		"added":               {`{"a":1}`, `{"a":1,"b":2}`, 0},
		"empty and left out":  {`{"a":0,"b":"","c":null,"d":[],"e":false,"f":{"g":0}}`, `{}`, 0},
		"gone":                {`{"a":1,"b":2}`, `{"a":1}`, 1},
		"changed":             {`{"a":1}`, `{"a":2}`, 1},
		"rounded":             {`{"a":9007199254740993}`, `{"a":9007199254740992}`, 1},
		"another type":        {`{"a":1}`, `{"a":"1"}`, 1},
		"a list that shrank":  {`{"a":[1,2]}`, `{"a":[1]}`, 1},
		"a value for nothing": {`{"a":""}`, `{"a":"x"}`, 1},
		"deep inside":         {`{"a":[{"b":{"c":"x"}}]}`, `{"a":[{"b":{}}]}`, 1},
	} {
		if got := missing("", parseJSON(t, []byte(test.was)), parseJSON(t, []byte(test.is))); len(got) != test.lost {
			t.Errorf("%s: %v, want %d", name, got, test.lost)
		}
	}
}

// TestFrozenVersionHasEveryTable: once a version's samples have been recorded, a table
// that is added belongs to the next version.
func TestFrozenVersionHasEveryTable(t *testing.T) {
	name := samplesFile(SchemaVersion)
	if _, err := os.Stat(name); err != nil {
		t.Skipf("schema version %d isn't frozen yet", SchemaVersion)
	}
	all := readSamples(t, name)
	for _, table := range tables {
		if !slices.ContainsFunc(all, func(s sample) bool { return s.Table == table.tableName() }) {
			t.Errorf("%s has no sample of %s: raise SchemaVersion", name, table.tableName())
		}
	}
}

// TestRecordSamples records a version with -record, once; the file is never written over.
// Without the flag it shows that what would be recorded has every field of today's
// types, filled and empty.
func TestRecordSamples(t *testing.T) {
	var out bytes.Buffer
	for _, table := range tables {
		for _, s := range samplesOf(t, table.(sampled)) {
			line, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			out.Write(append(line, '\n'))
		}
	}
	if *recordVersion == 0 {
		return
	}
	f, err := os.OpenFile(samplesFile(*recordVersion), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(out.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// samplesOf makes samples of today's type of a table: an empty record, and two that
// have every field filled.
func samplesOf(t *testing.T, table sampled) (all []sample) {
	t.Helper()
	none, _, err := table.decodeSample(must(encode(map[string]any{})))
	if err != nil {
		t.Fatal(err)
	}
	for round := range 3 {
		rec := reflect.New(reflect.TypeOf(none)).Elem()
		if round > 0 {
			n := round * 1000
			fill(t, rec, &n)
			if empty := emptyFields(rec, table.tableName()); len(empty) > 0 {
				t.Fatalf("not filled: %v", empty)
			}
		}
		stored := must(encode(rec.Interface()))
		shown, err := recordJSON(table.tableNumber(), stored, true)
		if err != nil {
			t.Fatal(err)
		}
		again, key, err := table.decodeSample(stored)
		if err != nil {
			t.Fatal(err)
		}
		if round > 0 && !reflect.DeepEqual(again, rec.Interface()) {
			t.Errorf("%s don't come back as they were: %+v became %+v", table.tableName(), rec, again)
		}
		all = append(all, sample{table.tableName(), key, hex.EncodeToString(stored), shown})
	}
	return all
}

// fill gives a value and all that is in it values that differ from each other.
func fill(t *testing.T, v reflect.Value, n *int) {
	t.Helper()
	*n++
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Date(2026, 1, 1, 0, 0, *n, *n%7, time.UTC)))
		return
	case cbor.RawMessage:
		v.SetBytes(must(encode(map[string]any{"n": *n})))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("text %d ☃", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(*n) * int64(1-2*(*n%2))) // of either sign
		if v.Kind() == reflect.Int64 && *n > 2000 {
			v.SetInt(math.MaxInt64 - int64(*n))
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(*n)%250 + 1)
		if v.Kind() == reflect.Uint64 {
			v.SetUint(math.MaxUint64 - uint64(*n))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(t, v.Index(i), n)
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(t, v.Index(i), n)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, elem := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(t, key, n)
		fill(t, elem, n)
		v.SetMapIndex(key, elem)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), n)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), n)
		}
	default:
		t.Fatalf("fill doesn't know how to fill a %v", v.Type())
	}
}

// emptyFields lists the fields of a record, and of what is in it, that are not filled.
func emptyFields(v reflect.Value, at string) (empty []string) {
	if v.IsZero() {
		return []string{at}
	}
	switch v.Kind() {
	case reflect.Pointer:
		return emptyFields(v.Elem(), at)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return nil
		}
		for i := range v.NumField() {
			empty = append(empty, emptyFields(v.Field(i), at+"."+strings.ToLower(v.Type().Field(i).Name))...)
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			empty = append(empty, emptyFields(v.Index(i), fmt.Sprintf("%s[%d]", at, i))...)
		}
	}
	return empty
}
