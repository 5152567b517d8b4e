package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/payments"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func openAt(t *testing.T, dir string, now time.Time) *Bank {
	t.Helper()
	b, err := Open(Options{Dir: dir, Clock: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func request(key string) payments.SessionRequest {
	price := market.Money{Amount: 900, Currency: "USD"}
	return payments.SessionRequest{
		IdempotencyKey: key, Reference: "chk_1", PaymentID: "pay_1",
		Lines: []payments.Line{{Name: "Agent", Quantity: 1, UnitPrice: price}}, Total: price,
		Email: "buyer@example.test", SuccessURL: "https://shop.test/o/1", CancelURL: "https://shop.test/checkout",
	}
}

// history makes a bank with three sessions (open, paid, expired) and returns its journal.
func history(t *testing.T) []byte {
	t.Helper()
	dir := t.TempDir()
	b := openAt(t, dir, noon)
	for _, key := range []string{"open", "paid", "expired"} {
		if _, err := b.CreateSession(t.Context(), request(key)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.changeOpen(b.keys["paid"].ID, func(s *session) entry { return b.payment(s, "Visa ending in 4242") }); err != nil {
		t.Fatal(err)
	}
	b.clock = func() time.Time { return noon.Add(time.Hour) }
	if _, err := b.Session(t.Context(), b.keys["expired"].ID); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	journal, err := os.ReadFile(filepath.Join(dir, "journal"))
	if err != nil {
		t.Fatal(err)
	}
	return journal
}

// checkBank reports a finished session without the webhook that tells of it: the two
// are one entry, and none was delivered here.
func checkBank(t *testing.T, what string, b *Bank) {
	t.Helper()
	told := map[string]bool{}
	for _, d := range b.outbox {
		told[d.event().Session.ID] = true
	}
	for id, s := range b.sessions {
		if done := s.Status != payments.SessionOpen; done != told[id] {
			t.Errorf("%s: session %s is %s and its webhook is due: %t", what, id, s.Status, told[id])
		}
		if b.keys[s.Key] != s {
			t.Errorf("%s: the key of session %s leads elsewhere", what, id)
		}
	}
}

// cuts are the places that differ: inside of each line, and around its end.
func cuts(journal []byte) []int {
	at := []int{0}
	for end := range journal {
		if journal[end] == '\n' {
			last := at[len(at)-1]
			at = append(at, last+4, (last+end)/2, end, end+1)
		}
	}
	return at
}

// A crash leaves any prefix of the journal. Each opens, and opens the same again after
// being compacted.
func TestOpensAfterCrashAnywhere(t *testing.T) {
	journal := history(t)
	for _, n := range cuts(journal) {
		dir := t.TempDir()
		path := filepath.Join(dir, "journal")
		if err := os.WriteFile(path, journal[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		what := fmt.Sprintf("journal cut at byte %d", n)
		first := openAt(t, dir, noon)
		checkBank(t, what, first)
		first.Close()
		second := openAt(t, dir, noon)
		checkBank(t, what+", opened twice", second)
		if len(first.sessions) != len(second.sessions) || len(first.outbox) != len(second.outbox) || first.own != second.own {
			t.Errorf("%s: %d sessions and %d webhooks became %d and %d", what,
				len(first.sessions), len(first.outbox), len(second.sessions), len(second.outbox))
		}
	}
}

func TestGarbageAtTheEndIsSkipped(t *testing.T) {
	journal := history(t)
	for name, tail := range map[string]string{
		"zeros": strings.Repeat("\x00", 512), "half a line": `00000000 {"sess`, "lines of garbage": "abc\n\n\ndef\n", "wrong sum": "00000000 {}\n",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "journal"), append(bytes.Clone(journal), tail...), 0o600); err != nil {
			t.Fatal(err)
		}
		if b := openAt(t, dir, noon); len(b.sessions) != 3 || len(b.outbox) != 2 {
			t.Errorf("%s: got %d sessions and %d webhooks, want 3 and 2", name, len(b.sessions), len(b.outbox))
		}
	}
}

func TestDamageIsReported(t *testing.T) {
	journal := history(t)
	journal[len(journal)/2] ^= 1
	dir := t.TempDir()
	path := filepath.Join(dir, "journal")
	if err := os.WriteFile(path, journal, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(Options{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "damaged at byte") {
		t.Errorf("got %v, want an error that names the file and the place", err)
	}
	if kept, err := os.ReadFile(path); err != nil || !bytes.Equal(kept, journal) {
		t.Errorf("the damaged file was changed (%v)", err)
	}
}

func TestOldSessionsAreForgotten(t *testing.T) {
	journal := history(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "journal"), journal, 0o600); err != nil {
		t.Fatal(err)
	}
	b := openAt(t, dir, noon.Add(keepFinished+2*time.Hour))
	if len(b.sessions) != 1 || b.keys["open"] == nil {
		t.Errorf("%d sessions are left, want only the open one", len(b.sessions))
	}
	if len(b.outbox) != 2 {
		t.Errorf("%d webhooks are left, want both: they were never accepted", len(b.outbox))
	}
}

func TestSessionThatCannotBeWrittenIsNotRemembered(t *testing.T) {
	b := openAt(t, t.TempDir(), noon)
	b.journal.f.Close()
	_, err := b.CreateSession(t.Context(), request("lost"))
	if !market.Is(err, market.Unavailable) || errors.Is(err, payments.ErrOutcomeUnknown) {
		t.Errorf("got %v, want Unavailable with a known outcome", err)
	}
	if len(b.sessions) != 0 {
		t.Error("a session that could not be journaled is remembered")
	}
}

// A full disk writes half a line. It is taken back, and when there is room again the
// bank goes on without a restart.
func TestFullDiskLeavesNoHalfLine(t *testing.T) {
	dir := t.TempDir()
	b := openAt(t, dir, noon)
	if _, err := b.journal.f.WriteString(`1234abcd {"sess`); err != nil {
		t.Fatal(err)
	}
	if err := b.journal.takeBack(syscall.ENOSPC); err != syscall.ENOSPC {
		t.Errorf("got %v, want the cause", err)
	}
	if _, err := b.CreateSession(t.Context(), request("later")); err != nil {
		t.Fatal(err)
	}
	b.Close()
	if again := openAt(t, dir, noon); again.keys["later"] == nil {
		t.Error("what was written after the full disk is lost")
	}
}

// A sync that failed may have lost pages for good, so nothing is promised any more.
func TestFailedSyncEndsTheJournal(t *testing.T) {
	b := openAt(t, t.TempDir(), noon)
	b.journal.fail(syscall.EIO)
	if _, err := b.CreateSession(t.Context(), request("later")); !errors.Is(err, syscall.EIO) || !market.Is(err, market.Unavailable) {
		t.Errorf("got %v, want Unavailable because of EIO", err)
	}
}
