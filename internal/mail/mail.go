// Package mail sends one message to one person: through an SMTP server in production,
// into a folder of files (the outbox) in the demo and in tests.
//
// It promises that nothing a stranger typed becomes a header, that a repeated Send of
// the same message can be recognized (its Message-ID follows from its ID), that no
// message names the machine or the library it came from, and that errors tell what may
// succeed later (market.Unavailable) from what never will (market.Invalid).
//
// It leaves to others what a message says (internal/notify), and when and how often to
// try (internal/jobs). SMTP can't promise exactly once: when the connection dies between
// the server's acceptance and its answer, the next attempt is a second copy with the
// same Message-ID.
package mail

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/mail"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/souk-market/souk/internal/market"
	gomail "github.com/wneessen/go-mail"
)

// Sender takes a message on: when Send returns nil, the message is with the server or
// on disk. Errors: Invalid (this message will never go: stop), Unavailable (try again
// later).
type Sender interface {
	Send(ctx context.Context, m Message) error
}

// Address is a person's mail address.
type Address struct {
	Name  string // as shown; may be empty
	Email string // local@domain, without brackets or comment
}

// String returns the address as it stands in a header.
func (a Address) String() string { return (&mail.Address{Name: a.Name, Address: a.Email}).String() }

func (a Address) domain() string { return a.Email[strings.LastIndexByte(a.Email, '@')+1:] }

// Message is one mail to one person.
type Message struct {
	// ID names the message for ever, usually the ID of the job that sends it: up to 100
	// letters, digits, '.', '_' and '-', the first a letter or digit.
	ID      string
	From    Address // its domain also ends the Message-ID, so it is ASCII
	To      Address
	ReplyTo Address // none when zero
	Subject string  // one line, up to 250 characters; runs of spaces count as one
	Text    string  // required: what is read aloud, quoted and searched
	HTML    string  // optional alternative
	// Headers are further headers (List-Unsubscribe, …): one line each, none of those
	// that the fields here and the MIME structure set.
	Headers map[string]string
	Date    time.Time // the sender's clock when zero
}

// Limits of a message.
const (
	maxID      = 100
	maxEmail   = 254       // RFC 5321 4.5.3.1.3 less the brackets, in bytes
	maxLocal   = 64        // RFC 5321 4.5.3.1.1
	maxName    = 200       // characters
	maxSubject = 250       // characters
	maxHeader  = 900       // bytes; RFC 5322 2.1.1 ends a line at 998
	maxBody    = 512 << 10 // bytes of Text and HTML together; Gmail clips at 100 KiB
)

// reserved are the headers that follow from a Message's fields, or that only mail
// servers write. "Content-" and "Resent-" are reserved as prefixes.
var reserved = map[string]bool{
	"from": true, "sender": true, "to": true, "cc": true, "bcc": true, "reply-to": true, "subject": true,
	"date": true, "message-id": true, "mime-version": true, "return-path": true, "received": true,
	"dkim-signature": true, "auto-submitted": true,
}

// MessageID returns the RFC 5322 Message-ID, without its brackets.
func (m Message) MessageID() string { return m.ID + "@" + m.From.domain() }

// Validate reports what would keep the message from ever being sent. Errors: Invalid,
// with the field.
func (m Message) Validate() error {
	if !validID(m.ID) {
		return market.FieldErrorf("id", "A message's ID has 1 to %d letters, digits, dots, underscores and hyphens.", maxID)
	}
	if err := m.validateAddresses(); err != nil {
		return err
	}
	if err := oneLine("subject", m.Subject); err != nil {
		return err
	}
	if n := utf8.RuneCountInString(m.Subject); n == 0 || n > maxSubject {
		return market.FieldErrorf("subject", "A subject has 1 to %d characters.", maxSubject)
	}
	if err := m.validateBody(); err != nil {
		return err
	}
	for name, value := range m.Headers {
		if err := validateHeader(name, value); err != nil {
			return err
		}
	}
	return nil
}

func validID(id string) bool {
	if id == "" || len(id) > maxID || strings.ContainsAny(id[:1], "._-") {
		return false
	}
	return strings.IndexFunc(id, func(r rune) bool { return !isAlphanumeric(r) && !strings.ContainsRune("._-", r) }) < 0
}

func isAlphanumeric(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

func (m Message) validateAddresses() error {
	if err := m.From.validate("from"); err != nil {
		return err
	}
	if !isASCII(m.From.Email) {
		return market.FieldErrorf("from", "The sender's address is written in ASCII (a domain as xn--…).")
	}
	if m.ReplyTo != (Address{}) {
		if err := m.ReplyTo.validate("reply_to"); err != nil {
			return err
		}
	}
	return m.To.validate("to")
}

// validate accepts what can be written as local@domain without quotes. Quoted local
// parts and address literals are legal and used by nobody who buys something.
func (a Address) validate(field string) error {
	if err := oneLine(field, a.Name+a.Email); err != nil {
		return err
	}
	if utf8.RuneCountInString(a.Name) > maxName {
		return market.FieldErrorf(field, "A name has up to %d characters.", maxName)
	}
	parsed, err := mail.ParseAddress("<" + a.Email + ">")
	at := strings.LastIndexByte(a.Email, '@')
	if err != nil || parsed.Address != a.Email || len(a.Email) > maxEmail || at > maxLocal || !validDomain(a.domain()) {
		return market.FieldErrorf(field, "This is not a mail address: it looks like name@example.com.")
	}
	return nil
}

func validDomain(domain string) bool {
	for label := range strings.SplitSeq(domain, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, r := range label {
			if r != '-' && !unicode.In(r, unicode.L, unicode.M, unicode.N) {
				return false
			}
		}
	}
	return true
}

func (m Message) validateBody() error {
	if strings.TrimSpace(m.Text) == "" {
		return market.FieldErrorf("text", "A message has a text.")
	}
	if len(m.Text)+len(m.HTML) > maxBody {
		return market.FieldErrorf("text", "A message has up to %d KiB.", maxBody>>10)
	}
	if !utf8.ValidString(m.Text) || !utf8.ValidString(m.HTML) {
		return market.FieldErrorf("text", "A message is written in UTF-8.")
	}
	return nil
}

func validateHeader(name, value string) error {
	lower := strings.ToLower(name)
	if name == "" || strings.IndexFunc(name, func(r rune) bool { return !isAlphanumeric(r) && r != '-' }) >= 0 {
		return market.FieldErrorf("headers", "A header's name has letters, digits and hyphens.")
	}
	if reserved[lower] || strings.HasPrefix(lower, "content-") || strings.HasPrefix(lower, "resent-") {
		return market.FieldErrorf("headers", "The header %s follows from the message.", name)
	}
	if len(name)+len(value) > maxHeader || strings.TrimSpace(value) == "" {
		return market.FieldErrorf("headers", "The header %s has a value of up to %d bytes.", name, maxHeader)
	}
	return oneLine("headers", value)
}

// oneLine refuses every control character, line separators and broken UTF-8: whatever a
// mail program or server on the way may read as the end of a line. Bidirectional
// overrides go with them; they make one address look like another.
func oneLine(field, s string) error {
	bad := func(r rune) bool {
		return unicode.IsControl(r) || r == utf8.RuneError || unicode.In(r, unicode.Zl, unicode.Zp) ||
			'\u202a' <= r && r <= '\u202e' || '\u2066' <= r && r <= '\u2069'
	}
	if strings.IndexFunc(s, bad) >= 0 {
		return market.FieldErrorf(field, "This must be a single line without control characters.")
	}
	return nil
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}

// compose makes the RFC 5322 form of a valid message.
func compose(m Message, now time.Time) *gomail.Msg {
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	msg.SetMessageIDWithValue(m.MessageID())
	msg.SetDateWithValue(m.date(now))
	msg.FromMailAddress(m.From.parsed())
	msg.SetAddrHeaderFromMailAddress(gomail.HeaderTo, m.To.parsed())
	if m.ReplyTo != (Address{}) {
		msg.ReplyToMailAddress(m.ReplyTo.parsed())
	}
	msg.SetGenHeader(gomail.HeaderSubject, headerText(m.Subject))
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no out-of-office answers
	for name, value := range m.Headers {
		msg.SetGenHeader(gomail.Header(name), headerText(value))
	}
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	if m.HTML != "" {
		msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	}
	return msg
}

func (m Message) date(now time.Time) time.Time {
	if m.Date.IsZero() {
		return now.UTC()
	}
	return m.Date.UTC()
}

func (a Address) parsed() *mail.Address { return &mail.Address{Name: a.Name, Address: a.Email} }

// headerText collapses spaces, at which lines are folded. A text that looks like an
// encoded word (RFC 2047) is encoded itself, or the reader would decode what a stranger
// wrote.
func headerText(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if !strings.Contains(s, "=?") {
		return s
	}
	const perWord = 42 // bytes, so that a word stays under the 75 characters of RFC 2047
	var words []string
	for s != "" {
		n := min(perWord, len(s))
		for n < len(s) && !utf8.RuneStart(s[n]) {
			n--
		}
		words = append(words, "=?utf-8?b?"+base64.StdEncoding.EncodeToString([]byte(s[:n]))+"?=")
		s = s[n:]
	}
	return strings.Join(words, " ")
}

func write(w io.Writer, msg *gomail.Msg) error {
	if _, err := msg.WriteTo(w); err != nil {
		return fmt.Errorf("mail: composing: %w", err)
	}
	return nil
}
