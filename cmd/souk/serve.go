package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/souk-market/souk/internal/api"
	"github.com/souk-market/souk/internal/edge"
	"github.com/souk-market/souk/internal/jobs"
	"github.com/souk-market/souk/internal/licensing"
	"github.com/souk-market/souk/internal/mail"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/monitor"
	"github.com/souk-market/souk/internal/notify"
	"github.com/souk-market/souk/internal/order"
	"github.com/souk-market/souk/internal/web"
	"github.com/souk-market/souk/payments"
	"github.com/souk-market/souk/payments/sandbox"
	"github.com/souk-market/souk/payments/stripe"
)

type serveCmd struct {
	settingsFlags
	Takeover bool `help:"Take over from the server that writes to the replica this directory was restored from: its part of the replica is sealed, and it stops selling."`
}

func (c *serveCmd) Run(ctx context.Context) error {
	cfg, _, err := c.load(nil)
	if err != nil {
		return err
	}
	if c.Takeover {
		if err := catchUp(ctx, cfg); err != nil {
			return err
		}
	}
	h, err := openHouse(cfg)
	if err != nil {
		return err
	}
	h.takeOver = c.Takeover
	return h.serve(ctx, serveOptions{})
}

// serveOptions are what the demo does otherwise.
type serveOptions struct {
	devMail bool
	// ready is called when the marketplace answers at its address.
	ready func(baseURL string)
}

// part is something that runs while the marketplace does.
type part struct {
	name string
	run  func(ctx context.Context) error
}

// serve runs the marketplace until ctx ends, and closes the house. Parts start in
// order and stop in the reverse one, each before the next is told to: first the edge
// finishes its requests, last the replicas ship what the others have still written.
func (h *house) serve(ctx context.Context, o serveOptions) error {
	limitGarbage(leastGarbage)
	err := h.replicate(ctx)
	var f *front
	if err == nil {
		f, err = h.openFront()
	}
	var parts []part
	if err == nil {
		parts, err = h.wire(f, o)
	}
	if err != nil {
		return errors.Join(err, f.close(), h.close())
	}
	parts = append(parts, part{"garbage", paceGarbage}, part{"edge", f.Run})
	run := startAll(ctx, append(parts, h.listen()...))
	h.log.Info("the marketplace is open", "address", f.baseURL, "sandbox", !h.cfg.Stripe.SecretKey.IsSet(), "version", version())
	if o.ready != nil {
		o.ready(f.baseURL)
	}
	<-run.ctx.Done()
	h.log.Info("stopping")
	err = run.stop()
	if err = errors.Join(err, h.close()); err == nil {
		h.log.Info("stopped")
	}
	return err
}

// replicate opens the replicas. From here on the house has its duty, and purchases wait
// for the first replica where they are to.
func (h *house) replicate(ctx context.Context) error {
	h.duty = newDuty(h.db, h.log)
	if err := h.addReplicas(); err != nil {
		return err
	}
	if h.cfg.Sync.Orders {
		h.acks = newAcks(h.cfg.Sync, h.replicas[0], h.log)
		h.db.RequireAck(h.acks.require)
		h.db.RefuseMoney(h.acks.refuse)
	}
	if err := h.openReplicas(ctx); err != nil {
		return err
	}
	if h.acks != nil {
		h.acks.lookAtFence()
	}
	return nil
}

// crew are parts that run.
type crew struct {
	ctx   context.Context // ends when they have to stop
	stops []func()
	end   context.CancelCauseFunc
}

// startAll starts parts in their order. They have to stop when ctx ends, or when one of
// them does by itself.
func startAll(ctx context.Context, parts []part) *crew {
	r := &crew{}
	r.ctx, r.end = context.WithCancelCause(ctx)
	for _, p := range parts {
		r.stops = append(r.stops, start(r.ctx, r.end, p))
	}
	return r
}

// stop stops the parts in the reverse order, and returns why one of them ended by itself.
func (r *crew) stop() error {
	for i := len(r.stops) - 1; i >= 0; i-- {
		r.stops[i]()
	}
	cause := context.Cause(r.ctx)
	r.end(nil)
	if cause == nil || errors.Is(cause, context.Canceled) {
		return nil
	}
	return cause
}

// start runs a part with a context of its own, so that parts stop one after the other,
// and returns how to stop it and wait. A part that ends by itself ends everything.
func start(all context.Context, failed context.CancelCauseFunc, p part) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(all))
	var wg sync.WaitGroup
	wg.Go(func() {
		err := p.run(ctx)
		if ctx.Err() == nil && err == nil {
			err = errors.New("ended unexpectedly")
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			failed(fmt.Errorf("%s: %w", p.name, err))
		}
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

// wire makes the parts of the marketplace, in the order of their start, and gives its
// address the ways in.
func (h *house) wire(f *front, o serveOptions) (parts []part, err error) {
	cfg := h.cfg
	provider, bank, err := h.provider(f)
	if err != nil {
		return nil, err
	}
	shop := order.New(order.Config{
		Store: h.db, Tenant: market.MainTenant, Blobs: h.blobs, Provider: provider, BaseURL: f.baseURL,
		Commission: cfg.CommissionBP, Currency: cfg.Currency, Logger: h.log,
	})
	mailer, outbox, err := h.mailer(shop, f.baseURL)
	if err != nil {
		return nil, err
	}
	if !o.devMail {
		outbox = nil
	}
	pages := web.New(web.Config{
		Name: cfg.Name, BaseURL: f.baseURL, Catalog: h.catalog, Shop: shop, Accounts: h.people,
		Blobs: h.blobs, Provider: provider, Outbox: outbox, Pages: h.pages, Media: h.media, Logger: h.log,
	})
	runner := jobs.New(h.db, market.MainTenant, mailer.Handlers(), h.log)
	h.drills = h.newDrills(h.replicators())
	watch := h.monitor(runner)
	f.show(h.guard(routes(pages, h.api(f.baseURL), watch, bank), watch, f.baseURL))

	for _, s := range h.replicas {
		parts = append(parts, part{"replica", func(ctx context.Context) error { return s.run(ctx, h.duty) }})
	}
	if h.acks != nil {
		parts = append(parts, part{"acknowledgements", func(ctx context.Context) error { return h.acks.run(ctx, h.alarm) }})
	}
	if h.attached != nil {
		parts = append(parts, part{"download", h.detach})
	}
	parts = append(parts, part{"search", h.index.Run})
	if bank != nil {
		parts = append(parts, part{"sandbox", bank.Run})
	}
	return append(parts,
		h.duty.while(part{"jobs", func(ctx context.Context) error { return h.runJobs(ctx, shop, runner) }}),
		h.duty.while(part{"reconcile", func(ctx context.Context) error { return h.maintain(ctx, shop) }}),
		h.duty.while(part{"files", h.collectFiles}),
		h.duty.while(part{"related agents", h.catalog.KeepRelated}),
		h.duty.while(part{"drills", h.drills.Run}),
	), nil
}

// api is the ways in for programs.
func (h *house) api(baseURL string) http.Handler {
	return api.New(api.Config{
		Catalog: h.catalog, Licenses: &licensing.Desk{Store: h.db, Tenant: market.MainTenant},
		BaseURL: func() string { return baseURL }, Currency: h.cfg.Currency, Version: version(), Logger: h.log,
	})
}

// front is the address of the marketplace. What answers there can be exchanged.
type front struct {
	*edge.Server
	baseURL string
	handler atomic.Pointer[http.Handler]
}

// openFront listens. Whoever comes before show is asked to wait.
func (h *house) openFront() (*front, error) {
	f := &front{}
	var err error
	f.Server, err = h.edge(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := f.handler.Load(); h != nil {
			(*h).ServeHTTP(w, r)
			return
		}
		notYet(w, r)
	}))
	if err != nil {
		return nil, err
	}
	if err := f.Listen(); err != nil {
		return nil, err
	}
	if f.baseURL = h.cfg.BaseURL; f.baseURL == "" {
		f.baseURL = f.URL()
	}
	return f, nil
}

func (f *front) show(h http.Handler) { f.handler.Store(&h) }

func (f *front) close() error {
	if f == nil {
		return nil
	}
	return f.Server.Close()
}

// notYet answers while there is nothing that could.
func notYet(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if r.URL.Path == "/healthz" { // a restart would mend nothing
		w.Write([]byte("ok\n"))
		return
	}
	w.Header().Set("Retry-After", "5")
	http.Error(w, "The marketplace is starting. Please try again in a moment.", http.StatusServiceUnavailable)
}

func (h *house) edge(handler http.Handler) (*edge.Server, error) {
	return edge.New(edge.Config{
		Addr: h.cfg.Addr, Domains: h.cfg.Domains, HTTPAddr: h.cfg.HTTPAddr, Email: h.cfg.ACMEEmail,
		ACMEDirectory: h.cfg.ACMEDirectory, TrustedRoots: h.cfg.ACMERoots, TLSDir: filepath.Join(h.cfg.Data, "tls"), Logger: h.log,
	}, handler)
}

// provider is Stripe when there are keys for it, and else the sandbox.
func (h *house) provider(f *front) (payments.Provider, *sandbox.Bank, error) {
	if key := h.cfg.Stripe.SecretKey; key.IsSet() {
		var secrets []string
		for _, s := range h.cfg.Stripe.WebhookSecrets {
			secrets = append(secrets, s.Reveal())
		}
		p, err := stripe.New(stripe.Config{SecretKey: key.Reveal(), WebhookSecrets: secrets, Live: h.cfg.Stripe.Live, Logger: h.log})
		return p, nil, err
	}
	bank, err := sandbox.Open(sandbox.Options{
		Dir: filepath.Join(h.cfg.Data, "sandbox"), Logger: h.log, Client: loopbackClient(f.Addr()),
	})
	if err != nil {
		return nil, nil, err
	}
	h.bank = bank
	bank.SetBaseURL(f.baseURL)
	bank.SetWebhookURL(f.URL() + "/webhooks/" + bank.Name())
	return bank, bank, nil
}

// loopbackClient sends the sandbox's webhooks to our own listener under its public
// name, for which there may be no DNS yet. It reaches nothing else, so it needn't verify
// the certificate, which may be a private authority's or still on its way; what the bank
// sends is signed.
func loopbackClient(listener net.Addr) *http.Client {
	var dialer net.Dialer
	return &http.Client{
		Timeout: 10 * time.Second,
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, network, listener.String())
			},
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// mailer sends by SMTP when a server is configured, and else into the outbox.
func (h *house) mailer(shop *order.Shop, baseURL string) (*notify.Mailer, *mail.Outbox, error) {
	m := &notify.Mailer{Shop: shop, Name: h.cfg.Name, BaseURL: baseURL, Logger: h.log, From: mail.Address{Name: h.cfg.Name, Email: "souk@" + mailHost(baseURL)}}
	m.Operator.Email = h.cfg.Mail.Operator
	if from := h.cfg.Mail.From; from.Address != "" {
		m.From = mail.Address{Name: from.Name, Email: from.Address}
	}
	if s := h.cfg.Mail.SMTP; s.Host != "" {
		sender, err := mail.NewSMTP(mail.SMTPOptions{
			Host: s.Host, Port: s.Port, Username: s.Username, Password: s.Password.Reveal(), ImplicitTLS: s.ImplicitTLS,
		})
		m.Sender = sender
		return m, nil, err
	}
	outbox, err := mail.OpenOutbox(filepath.Join(h.cfg.Data, "outbox"), time.Now)
	m.Sender = outbox
	return m, outbox, err
}

// routes puts the ways in side by side. Pages have a mux of their own, and go through no
// other before: each costs a request half a microsecond.
func routes(pages, rest http.Handler, watch *monitor.Monitor, bank *sandbox.Bank) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/api/", rest)
	watch.Register(mux)
	beside := []string{"/api", "/healthz", "/readyz", "/metrics"}
	if bank != nil {
		mux.Handle("/sandbox/", bank)
		beside = append(beside, "/sandbox")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, top := range beside {
			if rest, ok := strings.CutPrefix(r.URL.Path, top); ok && (rest == "" || rest[0] == '/') {
				mux.ServeHTTP(w, r)
				return
			}
		}
		pages.ServeHTTP(w, r)
	})
}

// runJobs runs the job queue. On a restored directory it first asks the payment
// provider what became of open payments: until then nothing leaves the machine.
func (h *house) runJobs(ctx context.Context, shop *order.Shop, runner *jobs.Runner) error {
	for h.db.Node().Fenced {
		err := shop.ReconcileAll(ctx)
		if err == nil {
			err = h.db.Unfence()
		}
		if err == nil {
			h.log.Info("the restored directory agrees with the payment provider; mail goes out again")
			break
		}
		h.log.Error("a restored directory stays fenced until the payment provider has been asked", "err", err)
		if !sleep(ctx, time.Minute) {
			return nil
		}
	}
	return runner.Run(ctx)
}

// maintain does what is due every minute.
func (h *house) maintain(ctx context.Context, shop *order.Shop) error {
	for {
		if err := errors.Join(shop.Reconcile(ctx), h.people.Prune(ctx), h.db.CutLog()); err != nil && ctx.Err() == nil {
			h.log.Error("reconciling", "err", err)
		}
		if !sleep(ctx, time.Minute) {
			return nil
		}
	}
}

// sleep waits, and reports whether ctx is still going.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// formAction are the places that a form may lead to besides the address that the visitor
// has typed. The public address is one, for a visitor may have come by another ("localhost"
// for 127.0.0.1), and the sandbox's page is there.
func (c Config) formAction(baseURL string) []string {
	if c.Stripe.SecretKey.IsSet() {
		return []string{baseURL, "https://checkout.stripe.com"}
	}
	return []string{baseURL}
}
