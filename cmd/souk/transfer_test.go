package main

import (
	"testing"
	"time"
)

func TestTransfer(t *testing.T) {
	now := time.Unix(0, 0)
	tr := &transfer{now: func() time.Time { return now }}
	const mb = 1 << 20
	for _, step := range []struct {
		after       time.Duration
		done, total int64 // MB
		want        string
	}{
		{0, 0, 100, "0 B of 100.0 MB"},
		{500 * time.Millisecond, 5, 100, "5.0 MB of 100.0 MB"}, // too soon for a rate
		{500 * time.Millisecond, 10, 100, "10.0 MB of 100.0 MB, 10.0 MB/s, 9.0 s left"},
		{4 * time.Second, 50, 0, "50.0 MB, 10.0 MB/s"},
		{30 * time.Second, 50, 100, "50.0 MB of 100.0 MB"}, // stalled
		{5 * time.Second, 85, 100, "85.0 MB of 100.0 MB, 1.0 MB/s, 15 s left"},
		{15 * time.Second, 100, 100, "100.0 MB of 100.0 MB, 1.0 MB/s"},
	} {
		now = now.Add(step.after)
		if got := tr.note(step.done*mb, step.total*mb); got != step.want {
			t.Errorf("at %s: %q, want %q", now.Sub(time.Unix(0, 0)), got, step.want)
		}
	}
}

func TestAmountsAndSpans(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 kB", 1 << 20: "1.0 MB", 1023 << 10: "1.0 MB", 5 << 30: "5.0 GB", 3 << 50: "3.0 PB", 2 << 60: "2048.0 PB"} {
		if got := amount(n); got != want {
			t.Errorf("%d bytes are %q, want %q", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		0: "0 s", 900 * time.Microsecond: "0 s", 340 * time.Millisecond: "340 ms", 1240 * time.Millisecond: "1.2 s", 75 * time.Second: "75 s",
		10 * time.Minute: "10 min", 5 * time.Hour: "5 h", 72 * time.Hour: "3 d",
	} {
		if got := span(d); got != want {
			t.Errorf("%d ns are %q, want %q", d, got, want)
		}
	}
}
