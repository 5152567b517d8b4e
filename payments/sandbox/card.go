package sandbox

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// outcome is what the bank does with a card.
type outcome int

const (
	succeeds outcome = iota
	declined
	insufficientFunds
	asksHolder // a second page, where the holder approves or denies
)

// testCards are the only numbers taken. They are those that Stripe documents for the
// same outcomes, because people know them by heart.
var testCards = map[string]struct {
	brand   string
	outcome outcome
}{
	"4242424242424242": {"Visa", succeeds},
	"5555555555554444": {"Mastercard", succeeds},
	"4000000000000002": {"Visa", declined},
	"4000000000009995": {"Visa", insufficientFunds},
	"4000002500003155": {"Visa", asksHolder},
}

// card is what the buyer typed. The number is held no longer than the request.
type card struct {
	number, expiry, cvc string
}

// problems are what is wrong with a card, said to the buyer, each beside its field.
type problems struct {
	Number, Expiry, CVC string
}

func (p problems) any() bool { return p != problems{} }

// check returns what is wrong with c. With nothing wrong the number is a test card's.
func (c card) check(now time.Time) problems {
	return problems{Number: c.checkNumber(), Expiry: c.checkExpiry(now), CVC: c.checkCVC()}
}

func (c card) digits() string {
	return strings.NewReplacer(" ", "", "-", "", "\u00a0", "").Replace(c.number)
}

func (c card) checkNumber() string {
	n := c.digits()
	switch {
	case n == "":
		return "Enter a card number, for example 4242 4242 4242 4242."
	case !allDigits(n) || len(n) < 12 || len(n) > 19:
		return "A card number has 12 to 19 digits, and nothing else but spaces."
	case !luhn(n):
		return "This is not a card number: its check digit is wrong. Is a digit mistyped?"
	case !known(n):
		return "This is not one of the test cards. It was not kept; use a number from the list, never a real card."
	}
	return ""
}

func known(n string) bool {
	_, ok := testCards[n]
	return ok
}

// luhn checks the last digit of a card number (ISO/IEC 7812-1, annex B).
func luhn(n string) bool {
	sum := 0
	for i := range len(n) {
		d := int(n[len(n)-1-i] - '0')
		if i%2 == 1 {
			d *= 2
			if d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}

// checkExpiry takes "12/30", "12 / 2030" and "1230". A card is good to the end of its
// month.
func (c card) checkExpiry(now time.Time) string {
	const form = "Enter the month and year as MM / YY, for example 12 / %02d."
	example := fmt.Sprintf(form, (now.Year()+3)%100)
	text := strings.ReplaceAll(c.expiry, " ", "")
	month, year, ok := strings.Cut(text, "/")
	if !ok && len(text) == 4 {
		month, year = text[:2], text[2:]
	}
	if len(year) == 2 {
		year = "20" + year
	}
	if !allDigits(month) || !allDigits(year) || len(month) > 2 || len(year) != 4 {
		return example
	}
	m, _ := strconv.Atoi(month)
	y, _ := strconv.Atoi(year)
	if m < 1 || m > 12 {
		return fmt.Sprintf("There is no month %s. %s", month, example)
	}
	if !time.Date(y, time.Month(m)+1, 1, 0, 0, 0, 0, time.UTC).After(now) {
		return "This card has expired. Enter a date that is still to come."
	}
	if y > now.Year()+20 {
		return "No card is good for more than 20 years. " + example
	}
	return ""
}

func (c card) checkCVC() string {
	if n := strings.TrimSpace(c.cvc); !allDigits(n) || len(n) != 3 {
		return "Enter the three digits of the security code; any three will do."
	}
	return ""
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// label is all that is kept of a checked card.
func (c card) label() string {
	n := c.digits()
	return testCards[n].brand + " ending in " + n[len(n)-4:]
}

func (c card) outcome() outcome { return testCards[c.digits()].outcome }
