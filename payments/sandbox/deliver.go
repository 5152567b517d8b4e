package sandbox

import (
	"bytes"
	"container/heap"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/souk-market/souk/payments"
)

const (
	parallel      = 8 // webhooks under way at once
	firstPause    = time.Second
	longestPause  = time.Minute
	deliveryLimit = 10 * time.Second // for one attempt
	grace         = time.Second      // for attempts under way when Run is to end
)

// delivery is a webhook on its way. It is in the outbox until it was accepted.
type delivery struct {
	*message
	attempts int
	queued   bool // it is in the agenda or under way
}

// appointment is something to do at a time: a session that expires, or a delivery.
type appointment struct {
	at       time.Time
	session  string
	delivery *delivery
}

// agenda is a heap of appointments, the earliest first.
type agenda []appointment

func (a agenda) Len() int           { return len(a) }
func (a agenda) Less(i, j int) bool { return a[i].at.Before(a[j].at) }
func (a agenda) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)        { *a = append(*a, x.(appointment)) }
func (a *agenda) Pop() any {
	last := len(*a) - 1
	x := (*a)[last]
	(*a)[last] = appointment{}
	*a = (*a)[:last]
	return x
}

func (a *agenda) add(at time.Time, session string, d *delivery) {
	heap.Push(a, appointment{at, session, d})
}

// Faults make the bank misbehave as real ones do, for tests. They are set from Go
// only, and never by anything that comes over HTTP.
type Faults struct {
	// Drop loses an event: the bank believes it delivered and sends nothing.
	Drop func(payments.Event) bool
	// Copies are sent of each event beside the first.
	Copies int
	// Delay holds an event back. Later events overtake those held back longer.
	Delay func(payments.Event) time.Duration
	// LoseAnswers is how many of the next CreateSession calls take effect and then
	// answer ErrOutcomeUnknown.
	LoseAnswers int
	// Away makes CreateSession and Session answer Unavailable, without effect.
	Away bool
}

// SetFaults replaces the faults. The zero value is a bank that behaves.
func (b *Bank) SetFaults(f Faults) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = f
}

func (b *Bank) answerLost() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.faults.LoseAnswers == 0 {
		return false
	}
	b.faults.LoseAnswers--
	return true
}

// SetWebhookURL says where webhooks go. Until it is known they wait.
func (b *Bank) SetWebhookURL(url string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hook = url
	for _, d := range b.outbox {
		if !d.queued {
			d.queued = true
			b.agenda.add(b.now(), "", d)
		}
	}
	b.poke()
}

// ClockMoved makes Run look again at what is due. It is needed after each jump of a
// virtual clock, whose time Run can't sleep by.
func (b *Bank) ClockMoved() { b.poke() }

// Pending is the number of webhooks that were not accepted yet.
func (b *Bank) Pending() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.outbox)
}

func (b *Bank) poke() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// post puts a webhook into the outbox. b.mu is held.
func (b *Bank) post(m *message) {
	d := &delivery{message: m, queued: true}
	at := b.now()
	if delay := b.faults.Delay; delay != nil {
		at = at.Add(delay(m.event()))
	}
	b.outbox[m.ID] = d
	b.agenda.add(at, "", d)
}

// event reads the message back, for Faults.
func (m *message) event() payments.Event {
	var e wireEvent
	if err := json.Unmarshal(m.Body, &e); err != nil {
		panic(err) // the body was made by newMessage, and the journal has checksums
	}
	return e.public()
}

// Run delivers webhooks and lets sessions expire, until ctx ends. Deliveries under way
// then have a second to finish, and Run returns nil. One Run at a time.
func (b *Bank) Run(ctx context.Context) error {
	var senders sync.WaitGroup
	defer senders.Wait()
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })

	slots := make(chan struct{}, parallel)
	for ctx.Err() == nil {
		slots <- struct{}{} // each is free again within deliveryLimit
		d, wait := b.next()
		if d == nil {
			<-slots
			b.idle(ctx, wait)
			continue
		}
		senders.Go(func() {
			defer func() { <-slots }()
			b.deliver(sending, d)
		})
	}
	return nil
}

// idle waits until wait is over, a poke comes, or ctx ends.
func (b *Bank) idle(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-b.wake:
	case <-timer.C:
	}
}

// next takes the next delivery that is due, expiring sessions on the way. With none due
// it returns how long to wait at most.
func (b *Bank) next() (*delivery, time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.agenda) > 0 {
		first := b.agenda[0]
		if wait := first.at.Sub(b.now()); wait > 0 {
			return nil, wait
		}
		heap.Pop(&b.agenda)
		switch d := first.delivery; {
		case d == nil:
			if _, err := b.present(first.session); err != nil {
				b.agenda.add(b.now().Add(longestPause), first.session, nil)
				b.log.Error("sandbox: a payment page could not expire", "session", first.session, "err", err)
			}
		case b.outbox[d.ID] != d: // accepted before a restart; only replay leaves it here
		case b.hook == "":
			d.queued = false // SetWebhookURL queues it again
		default:
			return d, 0
		}
	}
	return nil, time.Hour
}

// deliver tries once, and either strikes d from the outbox or queues it again.
func (b *Bank) deliver(ctx context.Context, d *delivery) {
	err := b.send(ctx, d)
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		// Not waited for on disk: if a crash forgets it, the event comes twice, and
		// receivers have to bear that anyway.
		err = b.change(entry{Delivered: d.ID})
	}
	if err == nil {
		return
	}
	d.attempts++
	pause := longestPause
	if d.attempts < 8 {
		pause = min(firstPause<<(d.attempts-1), longestPause)
	}
	b.agenda.add(b.now().Add(pause), "", d)
	b.poke()
	if ctx.Err() == nil {
		b.log.Warn("sandbox: a webhook was not accepted and will be sent again",
			"event", d.ID, "attempt", d.attempts, "pause", pause, "err", err)
	}
}

func (b *Bank) send(ctx context.Context, d *delivery) error {
	b.mu.Lock()
	url, faults := b.hook, b.faults
	b.mu.Unlock()
	if err := b.journal.sync(); err != nil {
		return err
	}
	if faults.Drop != nil && faults.Drop(d.event()) {
		return nil
	}
	for range 1 + faults.Copies {
		if err := b.postOnce(ctx, url, d.Body); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bank) postOnce(ctx context.Context, url string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Souk-Sandbox")
	req.Header.Set(SignatureHeader, Sign(b.now(), body, b.secrets...))
	res, err := b.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)); err != nil {
		return err
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return fmt.Errorf("it answered %s", res.Status)
	}
	return nil
}

// newClient has connections of its own. It follows no redirect: a webhook's address
// is configured, and an answer that points elsewhere is a mistake to be seen.
func newClient() *http.Client {
	return &http.Client{
		Timeout:       deliveryLimit,
		Transport:     &http.Transport{MaxIdleConnsPerHost: parallel, IdleConnTimeout: time.Minute},
		CheckRedirect: func(*http.Request, []*http.Request) error { return errRedirect },
	}
}

var errRedirect = errors.New("the webhook's address redirects; configure the final one")
