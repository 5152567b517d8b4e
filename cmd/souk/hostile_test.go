package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// TestOutputThatCantBeWritten: it is said, once, by a failing command.
func TestOutputThatCantBeWritten(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skipf("this system has no device that is always full: %v", err)
	}
	defer full.Close()
	data := filepath.Join(t.TempDir(), "data")
	stock(t, data, nil)
	commands := []string{"check", "inspect agents", "inspect --log", "ledger balances", "ledger export", "jobs list", "compact"}
	refused := func(when string) {
		t.Helper()
		for _, command := range commands {
			c := into(t, full, append(strings.Fields(command), "--data", data)...)
			status, errs := c.wait(), c.errs.String()
			if status != 1 || strings.Count(errs, "\n") != 1 || !strings.HasPrefix(errs, "souk: The output can't be written") || !strings.Contains(errs, "no space left") {
				t.Errorf("%s: souk %s: status %d, %q", when, command, status, errs)
			}
		}
	}
	refused("closed")
	server := open(t, data)
	refused("running")
	server.Stop()
}

// TestWhatIsNotThereIsQuoted: a key from elsewhere could do anything to a terminal.
func TestWhatIsNotThereIsQuoted(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	stock(t, data, nil)
	key := "\x1b[2J" + strings.Repeat("a", 300)
	for _, command := range []string{"inspect orders", "jobs show"} {
		_, errs, status := souk(t, append(strings.Fields(command), key, "--data", data)...)
		if status != 1 || !strings.Contains(errs, `"\x1b[2Jaaa`) || len(errs) > 200 {
			t.Errorf("souk %s: status %d, %q", command, status, errs)
		}
	}
}

// TestSecondInterrupt ends a command whose output nobody reads.
func TestSecondInterrupt(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	stock(t, data, nil)
	unread, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer unread.Close()
	defer out.Close()
	c := into(t, out, "inspect", "agents", "--pretty", "--data", data)
	if _, err := unread.Read(make([]byte, 1)); err != nil { // waits for the command to write
		t.Fatal(err)
	}
	waitFor(t, "the end of the command", func() bool {
		select {
		case err := <-c.done:
			c.done <- err
			return true
		default:
			c.cmd.Process.Signal(os.Interrupt)
			return false
		}
	})
}

// TestDamagedFile: a command that meets a damaged file of the database says what to do.
func TestDamagedFile(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	stock(t, data, nil)
	mustSouk(t, "compact", "--data", data)
	tables, err := filepath.Glob(filepath.Join(data, "store", "*.sst"))
	if err != nil || len(tables) != 1 {
		t.Fatalf("%v (%v)", tables, err)
	}
	content, err := os.ReadFile(tables[0])
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)/3] ^= 1
	if err := os.WriteFile(tables[0], content, 0o600); err != nil {
		t.Fatal(err)
	}
	told := func(when string) {
		t.Helper()
		out, errs, status := souk(t, "inspect", "agents", "--data", data)
		_, said, _ := strings.Cut("\n"+errs, "\nsouk: ")
		if status != 1 || !strings.HasPrefix(said, "A file of the database in") || !strings.Contains(said, "restore from the replica into a new one.") || strings.Count(said, "\n") != 1 {
			t.Errorf("%s: status %d, %q after %d bytes", when, status, errs, len(out))
		}
		if strings.Contains(errs, "stack trace") {
			t.Errorf("%s: the log has a stack trace", when)
		}
	}
	told("closed")
	if out, _, status := souk(t, "check", "--data", data); status != 1 || strings.Count(out, "\n") != 1 || !strings.Contains(out, tables[0]) {
		t.Errorf("check: status %d, %q", status, out)
	}
	server := open(t, data)
	told("running")
	server.Stop()
	if log := server.Log(); !strings.Contains(log, tables[0]) || strings.Contains(log, "stack trace") {
		t.Errorf("the server's log: %.2000s", log)
	}
}

// TestCommandLinesThatCantBeMeant are refused before anything is opened.
func TestCommandLinesThatCantBeMeant(t *testing.T) {
	for command, want := range map[string]string{
		"inspect orders --limit=-1":                                "--limit",
		"inspect --log --limit=99999999999999999999":               "--limit",
		"inspect --log --after=-3":                                 "is no LSN",
		"inspect --log orders":                                     "--log shows the whole",
		"inspect --log --after x":                                  "is no LSN",
		"inspect orders ord_1 --prefix ord_":                       "not both",
		"jobs list --limit=-1":                                     "--limit",
		"jobs retry":                                               "Say which job",
		"jobs retry job_1 --all-dead":                              "Say which job",
		"jobs retry job_1 --kind x":                                "Say which job",
		"ledger export --from 2026-13-01":                          "is no date",
		"ledger export --to tomorrow":                              "is no date",
		"ledger export --from 2026-12-02 --to 2026-12-01":          "--to 2026-12-01 lies before --from 2026-12-02",
		"ledger export --from 2026-12-02T10:00:00Z --to 2026-12-1": "is no date",
	} {
		_, errs, status := souk(t, append(strings.Fields(command), "--data", t.TempDir())...)
		if status != 2 || !strings.Contains(errs, want) {
			t.Errorf("souk %s: status %d, %s", command, status, errs)
		}
	}
}

// TestBalancesAreInTheOrderOfTheirAccounts, which isn't that of their keys.
func TestBalancesAreInTheOrderOfTheirAccounts(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	stock(t, data, func(_ *house, tx *store.Tx) error {
		at := tx.Now()
		var errs []error
		for cause, c := range map[string]market.Currency{"test:1": "USD", "test:2": "EUR"} {
			errs = append(errs, store.Post(tx, &market.Posting{ID: market.NewPostingID(at), Cause: cause, At: at, Entries: []market.Entry{
				{Account: market.ProviderAccount("sandbox"), Amount: market.Money{Amount: 900, Currency: c}},
				{Account: market.CommissionAccount, Amount: market.Money{Amount: -900, Currency: c}},
			}}))
		}
		return errors.Join(errs...)
	})
	var got []string
	for _, line := range jsonLines(t, mustSouk(t, "ledger", "balances", "--json", "--data", data)) {
		got = append(got, line["account"].(string)+" "+line["currency"].(string))
	}
	want := []string{"assets:provider:sandbox EUR", "assets:provider:sandbox USD", "income:commission EUR", "income:commission USD"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// detailed is an error that has more to say to %+v, as Pebble's have.
type detailed struct{ error }

func (d detailed) Format(f fmt.State, _ rune) {
	fmt.Fprint(f, d.Error())
	if f.Flag('+') {
		fmt.Fprint(f, "\nstack trace")
	}
}

func TestLogHasErrorsOnOneLine(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: errorText}))
	log.Error("reading", "err", detailed{errors.New("a\nb")}, "n", 3, "nothing", nil)
	if got := out.String(); !strings.Contains(got, `err="a\nb" n=3 nothing=<nil>`) || strings.Count(got, "\n") != 1 {
		t.Errorf("%q", got)
	}
}
