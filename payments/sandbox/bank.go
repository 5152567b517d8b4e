package sandbox

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/payments"
)

// Name is the provider's name: webhooks go to /webhooks/sandbox.
const Name = "sandbox"

// keepFinished is how long finished sessions, and their idempotency keys, are known.
// Older ones are left out when the journal is compacted.
const keepFinished = 90 * 24 * time.Hour

// Options say how to open a bank.
type Options struct {
	// Dir holds the journal. It is made when it isn't there.
	Dir string

	// Secrets sign webhooks, each with its own signature, and any of them verifies:
	// two during a rotation. With none the bank makes one and keeps it in its journal.
	Secrets []string

	Clock  func() time.Time // time.Now when nil; for a virtual clock see ClockMoved
	Logger *slog.Logger     // slog.Default() when nil
	Client *http.Client     // delivers webhooks; with a time limit of 10 s and no redirects when nil
}

// Bank is a payment provider (payments.Provider), its page (http.Handler, to be mounted
// at /sandbox/) and the sender of its webhooks (Run).
type Bank struct {
	clock  func() time.Time
	log    *slog.Logger
	client *http.Client
	mux    *http.ServeMux
	wake   chan struct{} // capacity 1: something may be due

	// mu guards what follows. Each change is appended to the journal before it is
	// applied, both under mu, so that replay meets changes in the same order. Waiting
	// for the disk happens outside it.
	mu       sync.Mutex
	journal  *journal
	own      string // the secret the bank made for itself
	secrets  []string
	sessions map[string]*session // by ID; a session is replaced, never written to
	keys     map[string]*session // by idempotency key
	outbox   map[string]*delivery
	agenda   agenda
	base     string
	hook     string
	faults   Faults
}

// Open reads the journal in o.Dir and compacts it. Nothing is delivered before Run.
func Open(o Options) (*Bank, error) {
	b := &Bank{
		clock:    o.Clock,
		log:      o.Logger,
		client:   o.Client,
		wake:     make(chan struct{}, 1),
		secrets:  slices.Clone(o.Secrets),
		sessions: map[string]*session{},
		keys:     map[string]*session{},
		outbox:   map[string]*delivery{},
	}
	if b.clock == nil {
		b.clock = time.Now
	}
	if b.log == nil {
		b.log = slog.Default()
	}
	if b.client == nil {
		b.client = newClient()
	}
	b.mux = b.routes()
	if err := b.load(o.Dir); err != nil {
		return nil, fmt.Errorf("sandbox: opening the bank in %s: %w", o.Dir, err)
	}
	return b, nil
}

func (b *Bank) load(dir string) error {
	if slices.Contains(b.secrets, "") {
		return errors.New("a webhook secret is empty")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	path := filepath.Join(dir, "journal")
	if err := replayFile(path, b.apply); err != nil {
		return err
	}
	if b.own == "" {
		b.own = "sbx_" + market.NewSecret()
	}
	if len(b.secrets) == 0 {
		b.secrets = []string{b.own}
	}
	var err error
	b.journal, err = createJournal(path, b.compacted(b.now()))
	return err
}

// compacted is the shortest list of entries that leads to the present state.
func (b *Bank) compacted(now time.Time) []entry {
	entries := []entry{{Secret: b.own}}
	for id, s := range b.sessions {
		if !s.Finished.IsZero() && now.Sub(s.Finished) > keepFinished {
			delete(b.sessions, id)
			delete(b.keys, s.Key)
		}
	}
	sessions := make([]*session, 0, len(b.sessions))
	for _, s := range b.sessions {
		sessions = append(sessions, s)
	}
	slices.SortFunc(sessions, func(x, y *session) int {
		return cmp.Or(x.Created.Compare(y.Created), strings.Compare(x.ID, y.ID))
	})
	for _, s := range sessions {
		entries = append(entries, entry{Session: s})
	}
	for _, d := range b.outbox {
		entries = append(entries, entry{Event: d.message})
	}
	return entries
}

// Close waits for the disk and ends the bank. Run must have returned.
func (b *Bank) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.journal.close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("sandbox: closing the bank: %w", err)
	}
	return nil
}

// SetBaseURL says where the bank's page is reached: scheme and host, no path
// ("https://shop.example"). Until it is known, Session.URL is a path alone.
func (b *Bank) SetBaseURL(base string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.base = strings.TrimSuffix(base, "/")
}

// now is in UTC and without a monotonic reading, as it comes back from the journal.
func (b *Bank) now() time.Time { return b.clock().UTC().Round(0) }

// change journals e and then applies it. b.mu is held. It is on disk after b.journal.sync.
func (b *Bank) change(e entry) error {
	if err := b.journal.append(e); err != nil {
		return err
	}
	b.apply(e)
	return nil
}

// apply is the one place where state changes, when something happens and on replay.
// b.mu is held, except on replay.
func (b *Bank) apply(e entry) {
	if e.Secret != "" {
		b.own = e.Secret
	}
	if s := e.Session; s != nil {
		if b.sessions[s.ID] == nil {
			b.agenda.add(s.Expires, s.ID, nil)
		}
		b.sessions[s.ID], b.keys[s.Key] = s, s
	}
	if e.Event != nil {
		b.post(e.Event)
	}
	delete(b.outbox, e.Delivered)
	b.poke()
}

// Name returns "sandbox".
func (b *Bank) Name() string { return Name }

// Live returns false: no money moves here.
func (b *Bank) Live() bool { return false }

// CreateSession makes a payment page. See payments.Provider.
func (b *Bank) CreateSession(ctx context.Context, req payments.SessionRequest) (payments.Session, error) {
	if err := req.Validate(); err != nil {
		return payments.Session{}, err
	}
	if err := ctx.Err(); err != nil {
		return payments.Session{}, away(err)
	}
	s, err := b.create(req)
	if err != nil {
		return payments.Session{}, err
	}
	if err := b.journal.sync(); err != nil {
		return payments.Session{}, unknown(err)
	}
	if b.answerLost() {
		return payments.Session{}, unknown(errors.New("the answer was lost"))
	}
	return s, nil
}

func (b *Bank) create(req payments.SessionRequest) (payments.Session, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.faults.Away {
		return payments.Session{}, away(errors.New("the bank is away"))
	}
	if s := b.keys[req.IdempotencyKey]; s != nil {
		if s.Fingerprint != fingerprint(req) {
			return payments.Session{}, market.Errorf(market.Conflict,
				"The idempotency key %q was used for another payment.", req.IdempotencyKey)
		}
		s, err := b.present(s.ID)
		if err != nil {
			return payments.Session{}, err
		}
		return s.public(b.base), nil
	}
	now := b.now()
	if err := checkExpiry(req.ExpiresAt, now); err != nil {
		return payments.Session{}, err
	}
	s := newSession(req, now)
	if err := b.change(entry{Session: s}); err != nil {
		return payments.Session{}, away(err)
	}
	return s.public(b.base), nil
}

// checkExpiry refuses what Stripe would refuse, so that no shop finds out only there.
func checkExpiry(at, now time.Time) error {
	// A second is granted, because times lose their fractions on the way.
	if life := at.Sub(now); !at.IsZero() && (life <= payments.MinSessionLife-time.Second || life > payments.MaxSessionLife) {
		return market.FieldErrorf("expires_at", "A payment page can be open for %s to %s; %s was asked for.",
			payments.MinSessionLife, payments.MaxSessionLife, life.Round(time.Second))
	}
	return nil
}

// Session returns the present state. See payments.Provider.
func (b *Bank) Session(ctx context.Context, id string) (payments.Session, error) {
	b.mu.Lock()
	base, gone := b.base, b.faults.Away
	s, err := b.present(id)
	b.mu.Unlock()
	if gone {
		return payments.Session{}, away(errors.New("the bank is away"))
	}
	if err != nil {
		return payments.Session{}, err
	}
	// What is told must not be forgotten in a crash, so what was seen has to be on disk.
	if err := b.journal.sync(); err != nil {
		return payments.Session{}, away(err)
	}
	return s.public(base), nil
}

// present returns the session as it is now: an open one whose time has run out is
// expired first, whoever looks. b.mu is held.
func (b *Bank) present(id string) (*session, error) {
	s := b.sessions[id]
	if s == nil {
		return nil, market.Errorf(market.NotFound, "The sandbox has no payment %q.", id)
	}
	now := b.now()
	if s.Status != payments.SessionOpen || now.Before(s.Expires) {
		return s, nil
	}
	expired := s.expired(now)
	err := b.change(entry{Session: expired, Event: newMessage(payments.EventSessionExpired, expired, now)})
	if err != nil {
		return nil, away(err)
	}
	return expired, nil
}

// ParseWebhook verifies and reads a webhook. See payments.Provider.
func (b *Bank) ParseWebhook(ctx context.Context, header http.Header, body []byte) (payments.Event, error) {
	if err := verify(header, body, b.secrets, b.now()); err != nil {
		return payments.Event{}, err
	}
	var e wireEvent
	if err := json.Unmarshal(body, &e); err != nil || e.ID == "" {
		return payments.Event{}, market.Errorf(market.Invalid, "The webhook is signed, and not an event of the sandbox.").Because(err)
	}
	if e.Live {
		return e.public(), market.Errorf(market.Conflict, "The event %s is about real money, and the sandbox has none.", e.ID)
	}
	return e.public(), nil
}

func away(err error) error {
	return market.Errorf(market.Unavailable, "The sandbox bank can't be reached just now. Nothing was charged; please try again.").Because(err)
}

func unknown(err error) error {
	return market.Errorf(market.Unavailable, "The sandbox bank did not answer in time. Please try again; you will not pay twice.").
		Because(fmt.Errorf("%w: %w", payments.ErrOutcomeUnknown, err))
}
