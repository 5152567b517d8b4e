package main

import (
	"fmt"
	"time"
)

// amount is a number of bytes for people, in powers of 1024.
func amount(n int64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	units, f := []string{"kB", "MB", "GB", "TB", "PB"}, float64(n)/(1<<10)
	for len(units) > 1 && f >= 999.95 {
		units, f = units[1:], f/(1<<10)
	}
	return fmt.Sprintf("%.1f %s", f, units[0])
}

// span is a length of time for people, with about two figures.
func span(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return "0 s"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	case d < 48*time.Hour:
		return fmt.Sprintf("%.0f h", d.Hours())
	}
	return fmt.Sprintf("%.0f d", d.Hours()/24)
}

// clock is a moment for people, in UTC.
func clock(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05") + " UTC"
}
