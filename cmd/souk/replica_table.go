package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/replica"
)

// print writes a replica's status for people, in 80 columns but for addresses.
func (s *replicaStatus) print(w io.Writer, now time.Time) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", s.URL)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "  %-11s %s\n", name, hang(fmt.Sprintf(format, args...), 14))
	}
	line("State", "%s", s.stateText())
	if p := s.Position; p != nil && p.TXID > 0 {
		line("Position", "commit %d, in file %d of generation %d, cut %s (%s ago)", p.LSN, p.TXID, p.Generation, clock(p.Time), span(now.Sub(p.Time)))
	} else {
		line("Position", "unknown: it hasn't been opened, or nothing has been shipped yet")
	}
	line("Lag", "%s, %s", count(int(s.LagCommits), "commit", "commits"), span(inSeconds(s.LagSeconds)))
	if at := s.LastContact; at != nil {
		line("Contact", "it has answered %s ago", span(now.Sub(*at)))
	}
	if s.LastError != "" && s.LastError != s.Fenced {
		line("Last error", "%s%s", errorAge(s.LastErrorAt, now), plain(s.LastError))
	}
	if s.Sync != "" {
		line("Sync", "%s", s.Sync)
	}
	line("Encrypted", "%s", s.keyText())
	if c := s.Capabilities; c != nil && !c.CreateIfAbsent {
		text := "none: the place can't create only where nothing is, so nobody may take over, and one server at most may write to it"
		if s.Confirms {
			text += "; a second one would overwrite purchases that were confirmed"
		}
		line("Fence", "%s", text)
	}
	line("Requests", "%d put, %d get, %d list, %d delete; %s sent, %s received", s.Requests.Put, s.Requests.Get, s.Requests.List, s.Requests.Delete,
		amount(int64(s.Requests.BytesOut)), amount(int64(s.Requests.BytesIn)))
	line("Drill", "%s", s.drillText())
	if s.SurveyError != "" {
		line("Content", "it can't be looked through: %s", plain(s.SurveyError))
	}
	if r := s.Restorable; r != nil {
		line("Restorable", "%s", restorableText(r))
	}
	if f := s.Forecast; f != nil {
		line("Forecast", "%s stored in a month; each month %d put, %d get, %d list, %d delete, %s sent, if it goes on as in the last %s before the newest file",
			amount(f.BytesStored), f.RequestsPerMonth.Put, f.RequestsPerMonth.Get, f.RequestsPerMonth.List, f.RequestsPerMonth.Delete,
			amount(f.BytesOutPerMonth), span(time.Duration(f.Assumptions.Hours*float64(time.Hour))))
	}
	if c := s.Collected; c != nil {
		line("Retention", "%s", retentionText(c, now))
	}
	s.printContent(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

func inSeconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func errorAge(at *time.Time, now time.Time) string {
	if at == nil {
		return ""
	}
	return span(now.Sub(*at)) + " ago: "
}

func restorableText(r *replica.Restorable) string {
	text := fmt.Sprintf("from %s to %s", clock(r.From), clock(r.To))
	if !r.MediumFrom.IsZero() {
		text += fmt.Sprintf(", every 5 minutes from %s", clock(r.MediumFrom))
	}
	if !r.FineFrom.IsZero() {
		text += fmt.Sprintf(", every second from %s", clock(r.FineFrom))
	}
	return text
}

// retentionText says what the last run of retention did, and what it could not do.
func retentionText(c *replica.Collection, now time.Time) string {
	text := fmt.Sprintf("%s ago: deleted %d files, %d segments, %d files for sale; %s", span(now.Sub(c.At)), c.Files, c.Segments, c.Blobs, amount(c.Bytes))
	if c.Refused > 0 {
		text += fmt.Sprintf(". The storage refused to delete %s (an object lock, or no permission): tried again after a day", count(c.Refused, "object", "objects"))
	}
	if c.Held != "" {
		text += ". " + plain(c.Held)
	}
	if c.Error != "" {
		text += ". Broken off, and tried again: " + plain(c.Error)
	}
	return text
}

func (s *replicaStatus) stateText() string {
	switch {
	case s.Fenced != "":
		return "fenced: " + plain(s.Fenced)
	case s.Away != "":
		return "away: " + plain(s.Away)
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
	case s.CanRead:
		return "with key " + s.Encrypted
	}
	return "with key " + s.Encrypted + ", of which this server has the server key only"
}

func (s *replicaStatus) drillText() string {
	text := "never"
	if d := s.LastDrill; d != nil {
		text = fmt.Sprintf("%s on %s", d.State, clock(d.Started))
		if d.State == market.DrillPassed {
			text += fmt.Sprintf(" (RPO %s, RTO %s)", span(inSeconds(d.RPO)), span(inSeconds(d.RTO)))
		}
	}
	if !s.NextDrill.IsZero() {
		text += "; next " + clock(s.NextDrill)
	}
	return text
}

// printContent writes what the replica holds as a table.
func (s *replicaStatus) printContent(b *strings.Builder) {
	if s.Listed == nil {
		return
	}
	const row = "  %-14s %8s  %10s  %-19s  %s\n"
	fmt.Fprintf(b, "\n"+row, "CONTENT", "FILES", "SIZE", "FROM (UTC)", "TO (UTC)")
	all := s.Segments.Bytes + s.Blobs.Bytes
	for _, l := range append(s.Levels, s.snapshotLevel()) {
		all += l.Bytes
		from, to := "-", "-"
		if l.Files > 0 {
			from, to = minute(l.Oldest), minute(l.Newest)
		}
		fmt.Fprintf(b, row, l.Name, fmt.Sprint(l.Files), amount(l.Bytes), from, to)
	}
	const short = "  %-14s %8s  %10s\n"
	fmt.Fprintf(b, short, "their segments", fmt.Sprint(s.Segments.Count), amount(s.Segments.Bytes))
	fmt.Fprintf(b, short, "files for sale", fmt.Sprint(s.Blobs.Count), amount(s.Blobs.Bytes))
	fmt.Fprintf(b, short, "all", "", amount(all))
}

// snapshotLevel sums up the snapshots.
func (s *replicaStatus) snapshotLevel() replica.LevelStatus {
	l := replica.LevelStatus{Name: "snapshots", Files: len(s.Snapshots)}
	for _, sn := range s.Snapshots {
		l.Bytes += sn.Bytes
		if l.Oldest.IsZero() || sn.Time.Before(l.Oldest) {
			l.Oldest = sn.Time
		}
		if sn.Time.After(l.Newest) {
			l.Newest = sn.Time
		}
	}
	return l
}

// hang breaks a text into lines of at most 78 columns, of which all but the first are
// indented.
func hang(text string, indent int) string {
	lines := strings.Split(strings.TrimSuffix(wrapTo(text, 78-indent), "\n"), "\n")
	return strings.Join(lines, "\n"+strings.Repeat(" ", indent))
}
