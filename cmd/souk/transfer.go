package main

import (
	"fmt"
	"time"
)

// transfer words how far a transfer of bytes is: how many of how many, how fast it was
// over the last seconds, and how long the rest takes at that.
type transfer struct {
	now     func() time.Time
	samples []sample // of the last rateOver, the oldest first
}

// sample is how many bytes were done at a moment.
type sample struct {
	at   time.Time
	done int64
}

const (
	rateOver  = 15 * time.Second
	rateAfter = time.Second // before that a rate says nothing
	rateEvery = 200 * time.Millisecond
)

func newTransfer() *transfer { return &transfer{now: time.Now} }

// note is the state in words, total 0 when it isn't known.
func (t *transfer) note(done, total int64) string {
	text := amount(done)
	if total > 0 {
		text += " of " + amount(total)
	}
	rate := t.rate(done)
	if rate <= 0 {
		return text
	}
	text += fmt.Sprintf(", %s/s", amount(int64(rate)))
	if left := total - done; left > 0 {
		text += fmt.Sprintf(", %s left", span(time.Duration(float64(left)/rate*float64(time.Second)).Round(time.Second)))
	}
	return text
}

// rate is in bytes a second; 0 while it isn't known.
func (t *transfer) rate(done int64) float64 {
	now := t.now()
	if n := len(t.samples); n == 0 || now.Sub(t.samples[n-1].at) >= rateEvery {
		t.samples = append(t.samples, sample{now, done})
	}
	for len(t.samples) > 2 && now.Sub(t.samples[1].at) >= rateOver {
		t.samples = t.samples[1:]
	}
	first := t.samples[0]
	if took := now.Sub(first.at); took >= rateAfter {
		return float64(done-first.done) / took.Seconds()
	}
	return 0
}
