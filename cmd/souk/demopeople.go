package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/souk-market/souk/internal/account"
	"github.com/souk-market/souk/internal/market"
)

// demoPerson is an account of the demo.
type demoPerson struct {
	account.NewAccount
	can string // what to try with it
}

// demoPeople are the demo's accounts, without passwords.
func demoPeople() []demoPerson {
	return []demoPerson{
		{account.NewAccount{Email: "buyer@demo.example", Name: "Basma Buyer", Verified: true}, "sees what was bought with this address"},
		{account.NewAccount{Email: "seller@demo.example", Name: "Samir Seller", Verified: true, Seller: "Atlas Workshop"}, "sells five of the agents"},
		{account.NewAccount{Email: "operator@demo.example", Name: "Olga Operator", Verified: true, Operator: true}, "has the operator's role"},
	}
}

// demoAccountsFile is in the data directory: who can read that can read everything.
const demoAccountsFile = "demo-accounts.txt"

// openDemo makes what a fresh demo lacks: its accounts, then its catalogue, whose first
// seller belongs to one of them. It returns the accounts with their passwords, which are drawn
// once for a data directory and then kept in a file of it. What the file says is made true at
// every start.
func (h *house) openDemo(ctx context.Context) ([]demoPerson, error) {
	people := demoPeople()
	if err := fillPasswords(filepath.Join(h.cfg.Data, demoAccountsFile), people); err != nil {
		return nil, err
	}
	for _, p := range people {
		if _, err := h.ensurePerson(ctx, p.NewAccount); err != nil {
			return nil, fmt.Errorf("souk: the account %s: %w", p.Email, err)
		}
	}
	return people, h.stockDemo(ctx)
}

// ensurePerson makes an account, or gives the one that is there the password again.
func (h *house) ensurePerson(ctx context.Context, n account.NewAccount) (market.Account, error) {
	a, err := h.people.ByEmail(ctx, n.Email)
	if market.Is(err, market.NotFound) {
		return h.people.Create(ctx, n)
	}
	if err != nil {
		return a, err
	}
	same, err := h.people.Knows(ctx, &a, n.Password)
	if err == nil && !same {
		err = h.people.SetPassword(ctx, a.ID, n.Password)
	}
	return a, err
}

// fillPasswords gives each person the password that a file has for them, and draws those
// that it hasn't and writes them there.
func fillPasswords(name string, people []demoPerson) error {
	known, err := readPasswords(name)
	if err != nil {
		return err
	}
	text, fresh := "# Accounts of the demo, made when it was first started: address, password.\n", false
	for i := range people {
		p := &people[i]
		if p.Password = known[p.Email]; p.Password == "" {
			p.Password, fresh = account.NewPassword(), true
		}
		text += p.Email + " " + p.Password + "\n"
	}
	if !fresh {
		return nil
	}
	return writeSecret(name, text)
}

func readPasswords(name string) (map[string]string, error) {
	known := map[string]string{}
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return known, nil
	}
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 2 {
			known[f[0]] = f[1]
		}
	}
	return known, nil
}

// writeSecret writes a file that only its owner can read, whole or not at all.
func writeSecret(name, text string) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".demo-") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails once it has been renamed, as it should
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

// listPeople sets accounts out for the terminal.
func listPeople(people []demoPerson) string {
	var b strings.Builder
	for _, p := range people {
		fmt.Fprintf(&b, "           %-22s %s   %s\n", p.Email, p.Password, p.can)
	}
	return b.String()
}
