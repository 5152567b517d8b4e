package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"

	"github.com/souk-market/souk/internal/catalog"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

type demoCmd struct{ settingsFlags }

// sampleListings are some real agents, so that a fresh demo has something on its shelf.
//
//go:embed demo.tsv
var sampleListings []byte

func (c *demoCmd) Run(ctx context.Context) error {
	cfg, all, err := c.load(map[string]string{"data": "souk-demo-data"})
	if err != nil {
		return err
	}
	if isDefault(all, "addr") && taken(cfg.Addr) {
		cfg.Addr = "127.0.0.1:0"
	}
	h, err := openHouse(cfg)
	if err != nil {
		return err
	}
	if err := h.stockDemo(ctx); err != nil {
		return errors.Join(err, h.close())
	}
	people, err := h.openDemo(ctx)
	if err != nil {
		return errors.Join(err, h.close())
	}
	return h.serve(ctx, serveOptions{devMail: true, ready: func(baseURL string) {
		fmt.Printf(demoWelcome, baseURL, listPeople(people), filepath.Join(cfg.Data, demoAccountsFile), cfg.Data)
	}})
}

const demoWelcome = `
Souk is open at %[1]s

  Buy      put agents into the cart, check out with any e-mail address,
           pay with card 4242 4242 4242 4242 (4000 0000 0000 0002 declines),
           any date to come and any CVC.
  Sign in  at %[1]s/sign-in as one of these (also in %[3]s):
%[2]s  Mail     what Souk sends is readable at %[1]s/dev/mail
  Data     %[4]s, kept until you delete it
  Stop     Ctrl+C

`

func isDefault(all []Setting, name string) bool {
	return slices.ContainsFunc(all, func(s Setting) bool { return s.Name == name && s.Origin == "default" })
}

// taken reports whether somebody listens at an address already.
func taken(addr string) bool {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return true
	}
	l.Close()
	return false
}

// stockDemo fills an empty shelf with the sample listings.
func (h *house) stockDemo(ctx context.Context) error {
	n := 0
	err := h.db.View(ctx, market.MainTenant, func(tx *store.ReadTx) (err error) {
		n, err = store.PopularAgents.Count(tx, store.All{})
		return err
	})
	if err != nil || n > 0 {
		return err
	}
	_, err = h.catalog.Import(ctx, bytes.NewReader(sampleListings), catalog.ImportOptions{Price: catalog.DefaultPriceRule})
	return err
}
