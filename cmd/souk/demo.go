package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"runtime/debug"
	"slices"

	"github.com/souk-market/souk/internal/catalog"
)

type demoCmd struct {
	settingsFlags
	Catalog string `placeholder:"FILE" help:"Listings to add to the demo's own: a file or folder as souk import takes it. Again changes nothing."`
}

func (c *demoCmd) Run(ctx context.Context) error {
	cfg, all, err := c.load(map[string]string{"data": "souk-demo"})
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
	people, err := h.openDemo(ctx)
	if err == nil && c.Catalog != "" {
		err = h.addCatalog(ctx, c.Catalog)
	}
	if err != nil {
		return errors.Join(err, h.close())
	}
	debug.FreeOSMemory() // hashing passwords and importing leave some 100 MB of garbage
	return h.serve(ctx, serveOptions{devMail: true, ready: func(baseURL string) {
		fmt.Printf(demoWelcome, baseURL, listPeople(people), filepath.Join(cfg.Data, demoAccountsFile), cfg.Data)
	}})
}

// addCatalog imports a file or folder, as souk import does.
func (h *house) addCatalog(ctx context.Context, name string) error {
	in, err := openInput(name)
	if err != nil {
		return err
	}
	defer in.close()
	o := catalog.ImportOptions{Currency: h.cfg.Currency}
	if in.folder == nil {
		if o.Price, err = priceRule("", h.cfg.Currency); err != nil {
			return err
		}
	}
	return h.importListings(ctx, in, o)
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
