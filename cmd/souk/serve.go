package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"sync"
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
	"github.com/souk-market/souk/internal/replica"
	"github.com/souk-market/souk/internal/web"
	"github.com/souk-market/souk/payments"
	"github.com/souk-market/souk/payments/sandbox"
	"github.com/souk-market/souk/payments/stripe"
)

type serveCmd struct{ settingsFlags }

func (c *serveCmd) Run(ctx context.Context) error {
	cfg, _, err := c.load(nil)
	if err != nil {
		return err
	}
	h, err := openHouse(cfg)
	if err != nil {
		return err
	}
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
	parts, addr, err := h.wire(o)
	if err != nil {
		return errors.Join(err, h.close())
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var stops []func()
	for _, p := range parts {
		stops = append(stops, start(ctx, cancel, p))
	}
	h.log.Info("the marketplace is open", "address", addr, "sandbox", !h.cfg.Stripe.SecretKey.IsSet(), "version", version())
	if o.ready != nil {
		o.ready(addr)
	}
	<-ctx.Done()
	h.log.Info("stopping")
	for i := len(stops) - 1; i >= 0; i-- {
		stops[i]()
	}
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		err = cause
	}
	if err = errors.Join(err, h.close()); err == nil {
		h.log.Info("stopped")
	}
	return err
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

// wire makes the parts of the marketplace, in the order of their start, and listens.
func (h *house) wire(o serveOptions) (parts []part, baseURL string, err error) {
	cfg := h.cfg
	var handler http.Handler // known when the address is
	server, err := h.edge(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	if err != nil {
		return nil, "", err
	}
	if err := server.Listen(); err != nil {
		return nil, "", err
	}
	defer func() {
		if err != nil {
			server.Close()
		}
	}()
	if baseURL = cfg.BaseURL; baseURL == "" {
		baseURL = server.URL()
	}
	provider, bank, err := h.provider(baseURL, server)
	if err != nil {
		return nil, "", err
	}
	shop := order.New(order.Config{
		Store: h.db, Tenant: market.MainTenant, Blobs: h.blobs, Provider: provider, BaseURL: baseURL,
		Commission: cfg.CommissionBP, Currency: cfg.Currency, Logger: h.log,
	})
	mailer, outbox, err := h.mailer(shop, baseURL)
	if err != nil {
		return nil, "", err
	}
	if !o.devMail {
		outbox = nil
	}
	replicas, err := h.replicas()
	if err != nil {
		return nil, "", err
	}
	pages := web.New(web.Config{
		Name: cfg.Name, BaseURL: baseURL, Catalog: h.catalog, Shop: shop, Accounts: h.people,
		Blobs: h.blobs, Provider: provider, Outbox: outbox, Logger: h.log,
	})
	rest := api.New(api.Config{
		Catalog: h.catalog, Licenses: &licensing.Desk{Store: h.db, Tenant: market.MainTenant},
		BaseURL: func() string { return baseURL }, Currency: cfg.Currency, Version: version(), Logger: h.log,
	})
	runner := jobs.New(h.db, market.MainTenant, mailer.Handlers(), h.log)
	h.drills = h.newDrills(replicas)
	watch := h.monitor(replicas, runner)
	handler = h.guard(routes(pages, rest, watch, bank), watch, baseURL)

	for _, r := range replicas {
		parts = append(parts, part{"replica", r.Run})
	}
	parts = append(parts, part{"search", h.index.Run}, part{"drills", h.drills.Run})
	if bank != nil {
		parts = append(parts, part{"sandbox", bank.Run})
	}
	parts = append(parts,
		part{"jobs", func(ctx context.Context) error { return h.runJobs(ctx, shop, runner) }},
		part{"reconcile", func(ctx context.Context) error { return h.maintain(ctx, shop) }},
		part{"files", h.collectFiles},
		part{"edge", server.Run},
	)
	return append(parts, h.listen()...), baseURL, nil
}

func (h *house) edge(handler http.Handler) (*edge.Server, error) {
	return edge.New(edge.Config{
		Addr: h.cfg.Addr, Domains: h.cfg.Domains, HTTPAddr: h.cfg.HTTPAddr, Email: h.cfg.ACMEEmail,
		ACMEDirectory: h.cfg.ACMEDirectory, TrustedRoots: h.cfg.ACMERoots, TLSDir: filepath.Join(h.cfg.Data, "tls"), Logger: h.log,
	}, handler)
}

// provider is Stripe when there are keys for it, and else the sandbox.
func (h *house) provider(baseURL string, server *edge.Server) (payments.Provider, *sandbox.Bank, error) {
	if key := h.cfg.Stripe.SecretKey; key.IsSet() {
		var secrets []string
		for _, s := range h.cfg.Stripe.WebhookSecrets {
			secrets = append(secrets, s.Reveal())
		}
		p, err := stripe.New(stripe.Config{SecretKey: key.Reveal(), WebhookSecrets: secrets, Live: h.cfg.Stripe.Live, Logger: h.log})
		return p, nil, err
	}
	bank, err := sandbox.Open(sandbox.Options{
		Dir: filepath.Join(h.cfg.Data, "sandbox"), Logger: h.log, Client: loopbackClient(server.Addr()),
	})
	if err != nil {
		return nil, nil, err
	}
	h.bank = bank
	bank.SetBaseURL(baseURL)
	bank.SetWebhookURL(server.URL() + "/webhooks/" + bank.Name())
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

func (h *house) replicas() ([]*replica.Replicator, error) {
	var all []*replica.Replicator
	for _, r := range h.cfg.Replicas {
		client, err := replica.OpenClient(r.URL, h.log)
		if err != nil {
			return nil, err
		}
		all = append(all, replica.New(h.db, h.blobs, client, replica.Options{TakeOver: true, DataDir: h.cfg.Data, Interval: r.Interval, SnapshotEvery: r.SnapshotEvery, SpoolDir: filepath.Join(h.cfg.Data, "spool"), Logger: h.log}))
	}
	return all, nil
}

// routes puts the ways in side by side.
func routes(pages, rest http.Handler, watch *monitor.Monitor, bank *sandbox.Bank) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", pages)
	mux.Handle("/api/", rest)
	watch.Register(mux)
	if bank != nil {
		mux.Handle("/sandbox/", bank)
	}
	return mux
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
