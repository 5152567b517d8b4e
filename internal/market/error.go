package market

import (
	"errors"
	"fmt"
	"strings"
)

// Kind says what a caller can do about an error. The set is closed: ways in map each
// kind to one status (internal/web, internal/api) and nothing else looks inside.
type Kind uint8

const (
	// Internal is a fault of ours. It is the kind of every error that is not an *Error.
	Internal Kind = iota
	// Invalid: the input breaks a rule; the message says which and what would do.
	Invalid
	// NotFound: no such thing, or none that this caller may know of.
	NotFound
	// Conflict: the thing exists or has moved on; reading again shows how.
	Conflict
	// Unauthorized: who are you?
	Unauthorized
	// Forbidden: known, and not allowed.
	Forbidden
	// TooLarge: over a stated limit.
	TooLarge
	// RateLimited: too many of these; later is fine.
	RateLimited
	// Unavailable: a dependency, the disk or the load; the same call may succeed later.
	Unavailable
)

var kindNames = [...]string{"internal", "invalid", "not_found", "conflict", "unauthorized", "forbidden",
	"too_large", "rate_limited", "unavailable"}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Error is an error that a person will read.
type Error struct {
	Kind    Kind
	Message string // a sentence for the person: what happened and what to do
	Field   string // the input it belongs to, when there is one ("email")
	Err     error  // the cause, for the log only
}

// Errorf makes an *Error with a sentence for the person.
func Errorf(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// FieldErrorf makes an Invalid *Error about one input field.
func FieldErrorf(field, format string, args ...any) *Error {
	return &Error{Kind: Invalid, Field: field, Message: fmt.Sprintf(format, args...)}
}

// Because returns a copy of e with its cause.
func (e *Error) Because(err error) *Error {
	c := *e
	c.Err = err
	return &c
}

func (e *Error) Error() string {
	if e.Err != nil {
		return strings.TrimSuffix(e.Message, ".") + ": " + e.Err.Error()
	}
	return e.Message
}

func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of the first *Error in err's chain, Internal when there is none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// Is reports whether err is of the given kind.
func Is(err error, kind Kind) bool { return err != nil && KindOf(err) == kind }

// Message returns the sentence a person may see: the message of the first *Error in
// the chain, and for every other error one that gives nothing away.
func Message(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Message
	}
	return "Something went wrong on our side. Nothing was charged or changed by this request; please try again."
}
