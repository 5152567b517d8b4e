package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/souk-market/souk/internal/account"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

type accountCmd struct {
	Add accountAddCmd `cmd:"" help:"Make an account. The marketplace must not be running."`
}

type accountAddCmd struct {
	settingsFlags
	Email         string `required:"" placeholder:"ADDRESS" help:"The e-mail address to sign in with."`
	Name          string `placeholder:"NAME" help:"The person's name."`
	Seller        string `placeholder:"NAME" help:"Make the account a seller under this name."`
	Operator      bool   `help:"Let the account run the marketplace."`
	Verified      bool   `help:"You know that the person reads mail at this address: show them what was bought with it."`
	PasswordStdin bool   `help:"Read the password from the first line of standard input. Default: one is made and printed."`
}

func (c *accountAddCmd) Run(ctx context.Context) error {
	cfg, _, err := c.load(nil)
	if err != nil {
		return err
	}
	password := account.NewPassword()
	if c.PasswordStdin {
		if password, err = firstLine(os.Stdin); err != nil {
			return err
		}
	}
	db, err := store.Open(store.Options{Dir: filepath.Join(cfg.Data, "store"), Logger: cfg.logger()})
	if err != nil {
		return err
	}
	people := account.New(account.Config{Store: db, Tenant: market.MainTenant, Logger: cfg.logger()})
	a, err := people.Create(ctx, account.NewAccount{
		Email: c.Email, Name: c.Name, Password: password, Verified: c.Verified, Operator: c.Operator, Seller: c.Seller,
	})
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	fmt.Printf("There is an account for %s now (%s).\n", a.Email, a.ID)
	if !c.PasswordStdin {
		fmt.Printf("Its password is %s\n", password)
	}
	return nil
}

// firstLine reads a line without its end.
func firstLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, 4<<10)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("souk: reading the password: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}
