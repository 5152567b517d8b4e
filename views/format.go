package views

import (
	"fmt"
	"strconv"
	"time"

	"golang.org/x/text/language"
	"golang.org/x/text/language/display"
)

// Number is a count with its thousands grouped: "11,602".
func Number(n int) string {
	if n < 0 {
		return "−" + groupDigits(strconv.Itoa(-n))
	}
	return groupDigits(strconv.Itoa(n))
}

func groupDigits(digits string) string {
	if len(digits) <= 3 {
		return digits
	}
	return groupDigits(digits[:len(digits)-3]) + "," + digits[len(digits)-3:]
}

// Rough is a count to two or three digits, for places where more says nothing: "1.2k", "53M".
func Rough(n int64) string {
	unit, f := "", float64(n)
	for _, u := range []string{"k", "M", "bn"} {
		if f < 999.5 {
			break
		}
		f /= 1000
		unit = u
	}
	if unit != "" && f < 9.95 {
		return strconv.FormatFloat(f, 'f', 1, 64) + unit
	}
	return strconv.FormatFloat(f, 'f', 0, 64) + unit
}

// plural is the count with its noun: plural(1, "agent", "agents") is "1 agent".
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return Number(n) + " " + many
}

// Size is a file's size in decimal units, as download pages and shops give it: "18.4 kB".
func Size(bytes int64) string {
	if bytes < 1000 {
		return fmt.Sprintf("%d B", bytes)
	}
	f, unit := float64(bytes), ""
	for _, u := range []string{"kB", "MB", "GB", "TB"} {
		f /= 1000
		unit = u
		if f < 999.5 {
			break
		}
	}
	if f < 9.95 {
		return strconv.FormatFloat(f, 'f', 1, 64) + " " + unit
	}
	return strconv.FormatFloat(f, 'f', 0, 64) + " " + unit
}

// When is a date known to the day or only to the month. Its zero value is "not known".
type When struct {
	Time      time.Time
	MonthOnly bool
}

// Known reports whether w is a date at all.
func (w When) Known() bool { return !w.Time.IsZero() }

// String is the date as people read it: "23 Nov 2026", "Nov 2026".
func (w When) String() string {
	switch {
	case !w.Known():
		return ""
	case w.MonthOnly:
		return w.Time.Format("Jan 2006")
	}
	return w.Time.Format("2 Jan 2006")
}

// machine is the date as the time element's datetime wants it.
func (w When) machine() string {
	if w.MonthOnly {
		return w.Time.Format("2006-01")
	}
	return w.Time.Format("2006-01-02")
}

// moment is a date and time of day, in UTC: "23 Nov 2026, 10:44 UTC".
func moment(t time.Time) string { return t.UTC().Format("2 Jan 2006, 15:04") + " UTC" }

func (m Mail) machineTime() string { return m.Time.UTC().Format(time.RFC3339) }

// Country is the English name of a country given by its code of two letters (ISO 3166-1), as
// the Unicode CLDR has it: "Germany" for "DE". A code that it doesn't know stays as it is.
func Country(code string) string {
	r, err := language.ParseRegion(code)
	if err != nil || !r.IsCountry() {
		return code
	}
	if name := display.English.Regions().Name(r); name != "" {
		return name
	}
	return code
}
