package mail

import (
	"bytes"
	"context"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/souk-market/souk/internal/market"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return noon }

func receipt(id string) Message {
	return Message{
		ID:      id,
		From:    Address{"Souk", "shop@market.example"},
		To:      Address{"Ada", "ada@buyer.example"},
		Subject: "Your receipt",
		Text:    "Thank you.\n\nYour key: SOUK-1234\n",
		HTML:    "<p>Thank you.</p>",
		Date:    noon,
	}
}

// target is a Sender and what has arrived through it, oldest first.
type target struct {
	Sender
	arrived func(t *testing.T) []Received
}

// targets are the implementations that every test of this file runs over.
var targets = map[string]func(t *testing.T) target{
	"outbox": func(t *testing.T) target {
		o, err := OpenOutbox(t.TempDir(), clock)
		if err != nil {
			t.Fatal(err)
		}
		return target{o, func(t *testing.T) []Received { return everything(t, o) }}
	},
	"smtp": func(t *testing.T) target {
		server := startServer(t, serverOptions{tls: true, password: "s3cret"})
		return target{server.sender(t, "s3cret"), server.received}
	},
}

// everything reads the whole outbox, oldest first, one mail a page.
func everything(t *testing.T, o *Outbox) []Received {
	t.Helper()
	var all []Received
	for cursor := ""; ; {
		page, err := o.List(context.Background(), cursor, 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range page.Items {
			received, err := o.Open(context.Background(), item.ID)
			if err != nil {
				t.Fatal(err)
			}
			all = append([]Received{received}, all...)
		}
		if cursor = page.Next; cursor == "" {
			return all
		}
	}
}

func overTargets(t *testing.T, test func(t *testing.T, to target)) {
	for name, start := range targets {
		t.Run(name, func(t *testing.T) { test(t, start(t)) })
	}
}

func TestWhatIsSentIsRead(t *testing.T) {
	messages := map[string]func(m *Message){
		"plain": func(m *Message) { m.HTML = "" },
		"html":  func(*Message) {},
		"unicode": func(m *Message) {
			m.Subject = "Ihre Rechnung № 7 – danke 🎉"
			m.Text = "Grüße, Öl & 日本語\n"
		},
		"names":      func(m *Message) { m.From.Name = "Märkte, \"Süd\" <x>"; m.To.Name = "O'Neil; 山田" },
		"no names":   func(m *Message) { m.From.Name, m.To.Name = "", "" },
		"long lines": func(m *Message) { m.Text = strings.Repeat("x", 3000) + "\n" + strings.Repeat("ü ", 3000) + "\n" },
		"dots":       func(m *Message) { m.Text = ".\n..\n.hidden\nFrom here on\n" },
		"trailing":   func(m *Message) { m.Text = "spaces at the end   \ntab\t\n" },
		"long subject": func(m *Message) {
			m.Subject = strings.TrimSpace(strings.Repeat("word ", 45))
		},
		"one long word": func(m *Message) { m.Subject = strings.Repeat("w", maxSubject) },
		"long unicode":  func(m *Message) { m.Subject = strings.Repeat("ß", maxSubject) },
		"encoded word":  func(m *Message) { m.Subject = "=?utf-8?q?Bcc:_x?= and " + strings.Repeat("=?ü?", 30) },
	}
	overTargets(t, func(t *testing.T, to target) {
		for name, change := range messages {
			m := receipt("job_" + strings.ReplaceAll(name, " ", "_"))
			change(&m)
			if err := to.Send(context.Background(), m); err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			all := to.arrived(t)
			var got Received
			for _, r := range all {
				if r.MessageID == m.MessageID() {
					got = r
				}
			}
			header := got.Header
			got.ID, got.Header = "", nil
			want := Received{MessageID: m.ID + "@market.example", From: m.From, To: m.To, Subject: m.Subject,
				Date: m.Date, Text: m.Text, HTML: m.HTML}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
			if len(header["Bcc"]) != 0 {
				t.Errorf("%s: a Bcc header appeared", name)
			}
		}
	})
}

func TestHeaders(t *testing.T) {
	overTargets(t, func(t *testing.T, to target) {
		m := receipt("job_1")
		m.ReplyTo = Address{"Seller", "seller@shop.example"}
		m.Headers = map[string]string{
			"List-Unsubscribe":      "<https://market.example/u/" + strings.Repeat("x", 200) + ">",
			"List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
		}
		if err := to.Send(context.Background(), m); err != nil {
			t.Fatal(err)
		}
		got := to.arrived(t)[0].Header
		for name, want := range map[string]string{
			"Reply-To": `"Seller" <seller@shop.example>`, "Auto-Submitted": "auto-generated",
			"List-Unsubscribe":      m.Headers["List-Unsubscribe"],
			"List-Unsubscribe-Post": m.Headers["List-Unsubscribe-Post"],
		} {
			if got := got.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
	})
}

func TestNothingNamesTheMachineOrTheLibrary(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	if err := write(&buf, compose(receipt("job_1"), noon)); err != nil {
		t.Fatal(err)
	}
	text := strings.ToLower(buf.String())
	for _, leak := range []string{strings.ToLower(host), "go-mail", "user-agent", "x-mailer"} {
		if strings.Contains(text, leak) {
			t.Errorf("%q is in the message:\n%s", leak, text)
		}
	}
}

func TestDateIsTheClocksWhenThereIsNone(t *testing.T) {
	overTargets(t, func(t *testing.T, to target) {
		m := receipt("job_1")
		m.Date = time.Time{}
		if err := to.Send(context.Background(), m); err != nil {
			t.Fatal(err)
		}
		if got := to.arrived(t)[0].Date; !got.Equal(noon) {
			t.Errorf("date %v, want %v", got, noon)
		}
	})
}

// injections are texts that a mail server or program may take for the end of a line.
var injections = map[string]string{
	"CRLF": "x\r\nBcc: thief@evil.example", "CR": "x\rBcc: thief@evil.example", "LF": "x\nBcc: thief@evil.example",
	"folded": "x\r\n Bcc: thief@evil.example", "NUL": "x\x00y", "tab": "x\ty", "escape": "x\x1b[2J", "next line": "x\u0085y",
	"line separator": "x\u2028y", "broken UTF-8": "x\xff\ny", "lone byte": "x\x85y", "override": "x\u202emoc.live@y",
}

func TestInjectionIsRefused(t *testing.T) {
	fields := map[string]func(m *Message, s string){
		"id":         func(m *Message, s string) { m.ID = s },
		"subject":    func(m *Message, s string) { m.Subject = s },
		"from name":  func(m *Message, s string) { m.From.Name = s },
		"from":       func(m *Message, s string) { m.From.Email = s + "@market.example" },
		"from end":   func(m *Message, s string) { m.From.Email = "shop@market.example" + s[1:] },
		"to name":    func(m *Message, s string) { m.To.Name = s },
		"to":         func(m *Message, s string) { m.To.Email = s },
		"to end":     func(m *Message, s string) { m.To.Email = "ada@buyer.example" + s[1:] },
		"reply name": func(m *Message, s string) { m.ReplyTo = Address{s, "x@y.example"} },
		"reply":      func(m *Message, s string) { m.ReplyTo.Email = s + "@market.example" },
		"header":     func(m *Message, s string) { m.Headers = map[string]string{"X-Order": s} },
		"header name": func(m *Message, s string) {
			m.Headers = map[string]string{"X-" + s: "1"}
		},
	}
	overTargets(t, func(t *testing.T, to target) {
		for field, set := range fields {
			for name, text := range injections {
				m := receipt("job_1")
				set(&m, text)
				if err := to.Send(context.Background(), m); !market.Is(err, market.Invalid) {
					t.Errorf("%s in %s: %v, want Invalid", name, field, err)
				}
			}
		}
		if n := len(to.arrived(t)); n != 0 {
			t.Errorf("%d mails went out", n)
		}
	})
}

func TestValidate(t *testing.T) {
	email := func(s string) func(*Message) { return func(m *Message) { m.To.Email = s } }
	header := func(name, value string) func(*Message) {
		return func(m *Message) { m.Headers = map[string]string{name: value} }
	}
	refused := map[string]func(*Message){
		"no id": func(m *Message) { m.ID = "" }, "traversal": func(m *Message) { m.ID = "../x" },
		"hidden file": func(m *Message) { m.ID = ".x" }, "long id": func(m *Message) { m.ID = strings.Repeat("x", 101) },
		"id with space": func(m *Message) { m.ID = "a b" }, "id with at": func(m *Message) { m.ID = "a@b" },
		"no to": email(""), "no at": email("ada"), "no domain": email("ada@"), "no local": email("@x.example"),
		"two": email("a@x.example,b@x.example"), "named": email("Ada <ada@x.example>"), "bracket": email("ada@x.example>"),
		"space": email("a da@x.example"), "quoted": email(`"a b"@x.example`), "literal": email("a@[127.0.0.1]"),
		"comment": email("a@x.example(hi)"), "long": email(strings.Repeat("a", 60) + "@" + strings.Repeat("x.", 100) + "example"),
		"long local": email(strings.Repeat("a", 65) + "@x.example"), "empty label": email("a@x..example"),
		"hyphen": email("a@-x.example"), "underscore": email("a@x_y.example"), "slash": email("a@x/y"),
		"unicode sender": func(m *Message) { m.From.Email = "shop@märkte.example" },
		"no subject":     func(m *Message) { m.Subject = "" },
		"long subject":   func(m *Message) { m.Subject = strings.Repeat("x", maxSubject+1) },
		"long name":      func(m *Message) { m.To.Name = strings.Repeat("x", maxName+1) },
		"no text":        func(m *Message) { m.Text = " \n" },
		"too much":       func(m *Message) { m.HTML = strings.Repeat("x", maxBody) },
		"broken text":    func(m *Message) { m.Text = "\xff" },
		"reserved":       header("Bcc", "x@y.example"), "reserved too": header("message-ID", "<x@y>"),
		"content": header("Content-Type", "text/html"), "colon": header("X:", "1"), "empty value": header("X-A", " "),
		"long value": header("X-A", strings.Repeat("x", maxHeader)), "resent": header("Resent-To", "x@y.example"),
	}
	for name, change := range refused {
		m := receipt("job_1")
		change(&m)
		if err := m.Validate(); !market.Is(err, market.Invalid) {
			t.Errorf("%s: %v, want Invalid", name, err)
		}
	}
	accepted := map[string]func(*Message){
		"plus": email("ada+souk@buyer.example"), "unicode": email("jürgen@märkte.example"), "local host": email("root@localhost"),
		"apostrophe": email("o'neil@x.example"), "dots": email("a.b.c@x-y.co.example"), "digits": email("1@163.example"),
		"header": header("X-Souk-Order", "ord_1"), "id": func(m *Message) { m.ID = "job_01jq.A-b" },
	}
	for name, change := range accepted {
		m := receipt("job_1")
		change(&m)
		if err := m.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzCompose holds that whatever passes Validate has exactly the headers it should.
func FuzzCompose(f *testing.F) {
	f.Add("Your receipt", "Ada", "ada@buyer.example", "1")
	for _, s := range injections {
		f.Add(s, s, "ada@buyer.example", s)
	}
	f.Add("=?utf-8?q?=0d=0aBcc:_x?=", "=?utf-8?q?=0d=0aBcc:_x?=", "ada@buyer.example", "=?utf-8?b?DQo=?=")
	f.Fuzz(func(t *testing.T, subject, name, email, extra string) {
		m := receipt("job_1")
		m.Subject, m.To, m.Headers = subject, Address{name, email}, map[string]string{"X-Extra": extra}
		if m.Validate() != nil {
			return
		}
		var buf bytes.Buffer
		if err := write(&buf, compose(m, noon)); err != nil {
			t.Fatal(err)
		}
		got, err := Parse(bytes.NewReader(buf.Bytes()))
		if err != nil {
			t.Fatalf("%v\n%s", err, buf.String())
		}
		want := map[string]bool{"From": true, "To": true, "Subject": true, "Date": true, "Message-Id": true,
			"Mime-Version": true, "Content-Type": true, "Auto-Submitted": true, "X-Extra": true}
		seen := map[string]bool{}
		for header, values := range got.Header {
			seen[header] = len(values) == 1
		}
		if !maps.Equal(seen, want) || got.To.Email != email || got.Text != m.Text {
			t.Errorf("read back %+v from\n%s", got, buf.String())
		}
	})
}
