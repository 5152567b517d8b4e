package views

import (
	"context"
	"fmt"
	"strings"
)

// Letter is what the mail after a purchase says: ReceiptMail(ctx, Letter{...}).
type Letter struct {
	Site    Site // Name, BaseURL and Sandbox
	Receipt Receipt
	Path    string // of the receipt page: "/o/…"
}

// ReceiptMail writes the mail of a paid checkout: its subject, its text, and the same as
// HTML with the styles inline, since mail programs read no others. Keys stand in the mail;
// files are reached through the receipt page.
func ReceiptMail(ctx context.Context, l Letter) (subject, text, html string, err error) {
	var b strings.Builder
	if err := receiptMail(l).Render(ctx, &b); err != nil {
		return "", "", "", fmt.Errorf("views: writing the mail of %s: %w", l.Receipt.Number, err)
	}
	return l.subject(), l.text(), b.String(), nil
}

// names are those of everything bought, in order.
func (l Letter) names() []string {
	var names []string
	for _, g := range l.Receipt.Groups {
		for _, line := range g.Lines {
			names = append(names, line.Name)
		}
	}
	return names
}

func (l Letter) subject() string {
	names := l.names()
	what := "your order"
	switch {
	case len(names) == 1:
		what = names[0]
	case len(names) > 1:
		what = names[0] + " and " + Number(len(names)-1) + " more"
	}
	return "Your receipt " + l.Receipt.Number + ": " + what
}

func (l Letter) url() string { return l.Site.absolute(l.Path) }

func (l Letter) text() string {
	var b strings.Builder
	r := l.Receipt
	fmt.Fprintf(&b, "Thank you for buying at %s. Your files and keys are here:\n%s\n\n", l.Site.Name, l.url())
	fmt.Fprintf(&b, "Order %s, %s\n", r.Number, When{Time: r.Date})
	for _, g := range r.Groups {
		fmt.Fprintf(&b, "\nSold by %s\n", g.Seller.Name)
		for _, line := range g.Lines {
			fmt.Fprintf(&b, "- %s: %s\n", strings.TrimSpace(line.Name+" "+line.Version), plainSpace(Price(English, line.Price)))
			for _, key := range line.Keys {
				fmt.Fprintf(&b, "  Licence key: %s\n", key)
			}
			for _, s := range line.Setup {
				fmt.Fprintf(&b, "  %s: %s\n", snippetLabel(s), s.Code)
			}
			for _, t := range r.termsOf(line) {
				fmt.Fprintf(&b, "  %s: %s\n", t.Term, t.Value)
			}
			for _, f := range line.Files {
				fmt.Fprintf(&b, "  %s, %s, SHA-256 %s\n", f.Name, Size(f.Size), f.SHA256)
			}
		}
	}
	fmt.Fprintf(&b, "\nTotal: %s", plainSpace(Amount(English, r.Total)))
	if r.TaxNote != "" {
		b.WriteString(" (" + r.TaxNote + ")")
	}
	b.WriteString("\n")
	if refunds := r.refunds(); refunds != "" {
		b.WriteString("\nRefunds: " + refunds + "\n")
	}
	if l.Site.Sandbox {
		b.WriteString("\nThis payment was a test: no real money moved.\n")
	}
	b.WriteString("\nWhoever has the address above can open these goods, so keep it to yourself.\n")
	return b.String()
}

// plainSpace takes the no-break spaces out, which mail in plain text shows as odd marks
// where it is quoted by old programs.
func plainSpace(s string) string { return strings.ReplaceAll(s, "\u00a0", " ") }
