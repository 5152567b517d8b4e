package store

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
)

// secret says what of a table isn't for every eye.
type secret struct {
	fields  []string // of the record, by their stored names; "a.b" is a field in a field
	inKey   bool     // the record's key is one of them, and so stands in every index, too
	indexes []byte   // indexes over one of them
}

// secrets are the fields that open something to whoever has them: a signed-in browser, a
// cart, a receipt, a license; and hashes of such things. TestSecretsAreMarked looks for
// fields that are named like secrets and aren't here.
var secrets = map[tableID]secret{
	tableAccounts:  {fields: []string{"password"}},
	tableSessions:  {fields: []string{"id"}, inKey: true},
	tableCarts:     {fields: []string{"id"}, inKey: true},
	tableCheckouts: {fields: []string{"receipt", "cart"}, indexes: []byte{CheckoutByReceipt.n}},
	// The page of a session leads to the receipt once it is paid.
	tablePayments: {fields: []string{"session", "url"}, indexes: []byte{PaymentBySession.n}},
	tableLicenses: {fields: []string{"key", "hash"}, indexes: []byte{LicenseByHash.n}},
}

// secretNames are the names under which what has no type of its own, such as a job's
// payload, may hold secrets.
var secretNames = regexp.MustCompile(`(?i)key|secret|passw|token|receipt|cart|hash|session`)

func isSecretKey(table tableID, kind byte) bool {
	s := secrets[table]
	return s.inKey || kind != recordKeys && slices.Contains(s.indexes, kind&^countOf)
}

const mask = "(masked)"

const fingerprintSize = 16

func fingerprint(b []byte) []byte {
	sum := sha256.Sum256(b)
	return sum[:fingerprintSize]
}

// maskedKey returns the printed parts of a key, or in the place of secret ones a hash
// that tells one key from another.
func maskedKey(table tableID, kind byte, parts string) string {
	if !isSecretKey(table, kind) {
		return parts
	}
	return "masked:" + hex.EncodeToString(fingerprint([]byte(parts))[:6])
}

// inspectMode reads any record without its type.
var inspectMode = must(cbor.DecOptions{
	MaxNestedLevels: 1<<16 - 1, MaxArrayElements: 1 << 16, MaxMapPairs: 1 << 16, UTF8: cbor.UTF8DecodeInvalid,
}.DecMode())

// recordJSON prints a stored record as it is stored, whatever of it today's types know:
// an object with the stored names in alphabetical order. Bytes are a text where they are
// one, and else hexadecimal after "0x".
func recordJSON(table tableID, b []byte, showSecrets bool) (json.RawMessage, error) {
	var v any
	if err := inspectMode.Unmarshal(b, &v); err != nil {
		return nil, fmt.Errorf("store: decoding: %w", err)
	}
	rec, ok := jsonValue(v).(map[string]any)
	if !ok {
		return nil, fmt.Errorf("store: decoding: a record is a map, and this is %T", v)
	}
	if !showSecrets {
		maskRecord(table, rec)
	}
	out, err := json.Marshal(rec)
	if err != nil {
		return nil, fmt.Errorf("store: printing: %w", err)
	}
	return out, nil
}

func maskRecord(table tableID, rec map[string]any) {
	for _, name := range secrets[table].fields {
		maskField(rec, strings.Split(name, "."))
	}
	if table == tableJobs {
		rec["payload"] = maskNames(rec["payload"])
	}
}

// maskField masks the field at a path of names, in each element of a list on the way. An
// empty field opens nothing and stays.
func maskField(v any, path []string) {
	switch v := v.(type) {
	case map[string]any:
		field, ok := v[path[0]]
		if !ok || field == "" {
			return
		}
		if len(path) == 1 {
			v[path[0]] = mask
			return
		}
		maskField(field, path[1:])
	case []any:
		for i := range v {
			maskField(v[i], path)
		}
	}
}

// maskNames masks what has a secret's name, at any depth.
func maskNames(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, field := range v {
			if secretNames.MatchString(name) {
				v[name] = mask
			} else {
				v[name] = maskNames(field)
			}
		}
	case []any:
		for i := range v {
			v[i] = maskNames(v[i])
		}
	}
	return v
}

// jsonValue makes of a decoded CBOR value one that JSON can hold.
func jsonValue(v any) any {
	switch v := v.(type) {
	case map[any]any:
		m := make(map[string]any, len(v))
		for name, field := range v {
			m[fmt.Sprint(jsonValue(name))] = jsonValue(field)
		}
		return m
	case []any:
		for i := range v {
			v[i] = jsonValue(v[i])
		}
	case []byte:
		return textOrHex(v)
	case cbor.ByteString:
		return textOrHex([]byte(v))
	case cbor.Tag:
		return jsonValue(v.Content)
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Sprint(v)
		}
	}
	return v
}

func textOrHex(b []byte) string {
	if s := string(b); isPrintable(s) && !strings.HasPrefix(s, "0x") {
		return s
	}
	return "0x" + hex.EncodeToString(b)
}

func isPrintable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}
