package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/souk-market/souk/internal/market"
)

// print writes a replica's status for people, in 80 columns but for addresses.
func (s *replicaStatus) print(w io.Writer, now time.Time) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", s.URL)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "  %-11s %s\n", name, hang(fmt.Sprintf(format, args...), 14))
	}
	line("State", "%s", s.stateText())
	line("Position", "commit %d, in file %d of generation %d", s.Position.LSN, s.Position.TXID, s.Position.Generation)
	if !s.Position.Time.IsZero() {
		line("Last file", "%s, %s ago", clock(s.Position.Time), span(now.Sub(s.Position.Time)))
	}
	line("Lag", "%s, %s", count(int(s.LagCommits), "commit", "commits"), span(time.Duration(s.LagSeconds*float64(time.Second))))
	if s.LastError != "" {
		line("Last error", "%s", plain(s.LastError))
	}
	line("Encrypted", "%s", s.keyText())
	line("Requests", "%d put, %d get, %d list, %d delete; %s sent, %s received", s.Requests.Put, s.Requests.Get, s.Requests.List, s.Requests.Delete,
		amount(int64(s.Requests.BytesOut)), amount(int64(s.Requests.BytesIn)))
	line("Drill", "%s", s.drillText())
	if s.SurveyError != "" {
		line("Content", "it can't be looked through: %s", plain(s.SurveyError))
	}
	if s.Held != nil {
		s.Held.print(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (s *replicaStatus) stateText() string {
	switch {
	case s.Fenced:
		return "fenced: another server has taken over, and this one doesn't write to it any more"
	case s.State == market.ReplicaBroken:
		return "broken"
	case !s.Shipping && s.LagCommits > 0:
		return "behind: no server is running that ships the rest"
	case s.State == market.ReplicaLagging:
		return "lagging"
	}
	return "healthy"
}

func (s *replicaStatus) keyText() string {
	switch {
	case s.Encrypted == "":
		return "no"
	case s.ReadsItself:
		return "with key " + s.Encrypted
	}
	return "with key " + s.Encrypted + ", of which this server has the server key only"
}

func (s *replicaStatus) drillText() string {
	text := "never"
	if d := s.LastDrill; d != nil {
		text = fmt.Sprintf("%s on %s", d.State, clock(d.Started))
		if d.State == market.DrillPassed {
			text += fmt.Sprintf(" (RPO %s, RTO %s)", span(time.Duration(d.RPO*float64(time.Second))), span(time.Duration(d.RTO*float64(time.Second))))
		}
	}
	if !s.NextDrill.IsZero() {
		text += "; next " + clock(s.NextDrill)
	}
	return text
}

// print writes what a replica holds as a table.
func (h *holding) print(b *strings.Builder) {
	const row = "  %-14s %8s  %10s  %-19s  %s\n"
	fmt.Fprintf(b, "\n"+row, "CONTENT", "FILES", "SIZE", "FROM (UTC)", "TO (UTC)")
	for _, l := range append(h.Levels, h.Segments, h.Blobs) {
		from, to := "-", "-"
		if l.Files > 0 {
			from, to = minute(l.Oldest), minute(l.Newest)
		}
		fmt.Fprintf(b, row, l.Name, fmt.Sprint(l.Files), amount(l.Bytes), from, to)
	}
	fmt.Fprintf(b, "  %-14s %8s  %10s\n", "all", "", amount(h.Bytes))
	if !h.From.IsZero() {
		fmt.Fprintf(b, "\n  %-11s from %s to %s\n", "Restorable", clock(h.From), clock(h.To))
	}
}

// hang breaks a text into lines of at most 78 columns, of which all but the first are
// indented.
func hang(text string, indent int) string {
	lines := strings.Split(strings.TrimSuffix(wrapTo(text, 78-indent), "\n"), "\n")
	return strings.Join(lines, "\n"+strings.Repeat(" ", indent))
}
