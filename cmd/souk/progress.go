package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// progress draws a bar on a terminal, and on anything else a line every few seconds.
type progress struct {
	out      io.Writer
	total    int64 // bytes; 0 when it isn't known
	terminal bool
	last     time.Time
	drawn    bool
}

const (
	barWidth     = 30
	barEvery     = 100 * time.Millisecond
	barLineEvery = 5 * time.Second
)

func newProgress(out *os.File, total int64) *progress {
	info, err := out.Stat()
	return &progress{out: out, total: total, terminal: err == nil && info.Mode()&os.ModeCharDevice != 0, last: time.Now()}
}

// show draws the state: how far of total, and a word on it.
func (p *progress) show(done int64, note string) {
	every := barLineEvery
	if p.terminal {
		every = barEvery
	}
	if time.Since(p.last) < every {
		return
	}
	p.last = time.Now()
	share := ""
	if p.total > 0 {
		n := int(min(done*barWidth/p.total, barWidth))
		share = fmt.Sprintf("[%s%s] %3d%% ", strings.Repeat("█", n), strings.Repeat("·", barWidth-n), min(done*100/p.total, 100))
	}
	if p.terminal {
		fmt.Fprintf(p.out, "\r\033[K%s%s", share, note)
		p.drawn = true
		return
	}
	fmt.Fprintf(p.out, "%s%s\n", share, note)
}

// print writes a line without spoiling the bar.
func (p *progress) print(line string) {
	p.done()
	fmt.Fprintln(p.out, line)
}

// done takes the bar away.
func (p *progress) done() {
	if p.drawn {
		fmt.Fprint(p.out, "\r\033[K")
		p.drawn = false
	}
}
