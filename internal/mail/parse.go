package mail

import (
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"time"
)

// Received is a message as its reader sees it.
type Received struct {
	ID        string // the message's ID, when it came out of an Outbox
	MessageID string // without its brackets
	From, To  Address
	Subject   string
	Date      time.Time
	Text      string // lines end in "\n"
	HTML      string
	Header    mail.Header
}

// maxParts bounds the parts and the depth that Parse follows.
const maxParts = 20

// Parse reads the RFC 5322 form of a message such as this package writes: one sender,
// one recipient, a text, perhaps an HTML alternative. Other parts are left out.
func Parse(r io.Reader) (Received, error) {
	msg, err := mail.ReadMessage(r)
	if err != nil {
		return Received{}, fmt.Errorf("mail: parsing: %w", err)
	}
	received := Received{Header: msg.Header, MessageID: strings.Trim(msg.Header.Get("Message-ID"), "<>")}
	if err := received.readHeader(); err != nil {
		return Received{}, fmt.Errorf("mail: parsing: %w", err)
	}
	if err := received.readPart(msg.Header, msg.Body, 0); err != nil {
		return Received{}, fmt.Errorf("mail: parsing: %w", err)
	}
	return received, nil
}

func (r *Received) readHeader() (err error) {
	if r.From, err = addressIn(r.Header, "From"); err != nil {
		return err
	}
	if r.To, err = addressIn(r.Header, "To"); err != nil {
		return err
	}
	var words mime.WordDecoder
	if r.Subject, err = words.DecodeHeader(r.Header.Get("Subject")); err != nil {
		return err
	}
	r.Date, err = r.Header.Date()
	return err
}

func addressIn(h mail.Header, name string) (Address, error) {
	parsed, err := mail.ParseAddress(h.Get(name))
	if err != nil {
		return Address{}, fmt.Errorf("%s: %w", name, err)
	}
	return Address{Name: parsed.Name, Email: parsed.Address}, nil
}

// header is what a message and a part of one have in common.
type header interface{ Get(name string) string }

func (r *Received) readPart(h header, body io.Reader, depth int) error {
	kind, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		kind = "text/plain"
	}
	switch {
	case strings.HasPrefix(kind, "multipart/"):
		return r.readParts(multipart.NewReader(body, params["boundary"]), depth)
	case kind == "text/plain" && r.Text == "":
		r.Text, err = decode(h, body)
		return err
	case kind == "text/html" && r.HTML == "":
		r.HTML, err = decode(h, body)
		return err
	}
	return nil
}

func (r *Received) readParts(parts *multipart.Reader, depth int) error {
	if depth == maxParts {
		return fmt.Errorf("parts within parts, %d deep", depth)
	}
	for range maxParts {
		part, err := parts.NextRawPart()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := r.readPart(part.Header, part, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func decode(h header, body io.Reader) (string, error) {
	switch strings.ToLower(h.Get("Content-Transfer-Encoding")) {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	raw, err := io.ReadAll(body)
	return strings.ReplaceAll(string(raw), "\r\n", "\n"), err
}
