package mail

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/souk-market/souk/internal/market"
)

func openOutbox(t *testing.T, dir string) *Outbox {
	t.Helper()
	o, err := OpenOutbox(dir, clock)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func send(t *testing.T, s Sender, m Message) {
	t.Helper()
	if err := s.Send(context.Background(), m); err != nil {
		t.Fatal(err)
	}
}

func TestOutboxIsIdempotent(t *testing.T) {
	o := openOutbox(t, filepath.Join(t.TempDir(), "outbox"))
	m := receipt("job_1")
	send(t, o, m)
	m.Text = "Another text under the same ID."
	send(t, o, m)
	all := everything(t, o)
	if len(all) != 1 || all[0].Text != receipt("job_1").Text {
		t.Errorf("%d mails, the first says %q", len(all), all[0].Text)
	}
}

func TestOutboxListsNewestFirst(t *testing.T) {
	o := openOutbox(t, t.TempDir())
	const n = 7
	for _, i := range []int{3, 0, 6, 1, 5, 4, 2} {
		m := receipt(fmt.Sprintf("job_%d", 9-i)) // neither the order of the names nor of the writes
		m.Date = noon.Add(time.Duration(i/2) * time.Minute)
		m.Subject = fmt.Sprint("mail ", i)
		send(t, o, m)
	}
	var subjects []string
	cursor := ""
	for range n {
		page, err := o.List(context.Background(), cursor, 2)
		if err != nil || page.Total != n || len(page.Items) > 2 {
			t.Fatalf("page %+v, %v", page, err)
		}
		for _, item := range page.Items {
			subjects = append(subjects, item.Subject)
			if item.To != receipt("x").To || item.Date.IsZero() {
				t.Errorf("item %+v", item)
			}
		}
		if cursor = page.Next; cursor == "" {
			break
		}
		if len(subjects) == 2 { // a mail arrives, and the last one shown goes
			m := receipt("job_new")
			m.Date = noon.Add(time.Hour)
			send(t, o, m)
			if err := os.Remove(o.path(page.Items[1].ID)); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := []string{"mail 6", "mail 4", "mail 5", "mail 2", "mail 3", "mail 0", "mail 1"}
	if !slices.Equal(subjects, want) {
		t.Errorf("listed %q, want %q", subjects, want)
	}
}

func TestOutboxListLimits(t *testing.T) {
	o := openOutbox(t, t.TempDir())
	page, err := o.List(context.Background(), "", 10)
	if err != nil || len(page.Items) != 0 || page.Next != "" || page.Total != 0 {
		t.Errorf("an empty outbox: %+v, %v", page, err)
	}
	for i := range 60 {
		send(t, o, receipt(fmt.Sprint("job_", i)))
	}
	page, err = o.List(context.Background(), "", 0)
	if err != nil || len(page.Items) != 50 || page.Total != 60 || page.Next == "" {
		t.Errorf("%d items of %d, %v; want 50", len(page.Items), page.Total, err)
	}
	for _, cursor := range []string{"x", "1", "/", "x/job_1"} {
		if _, err := o.List(context.Background(), cursor, 1); !market.Is(err, market.Invalid) {
			t.Errorf("cursor %q: %v, want Invalid", cursor, err)
		}
	}
}

func TestOutboxOpen(t *testing.T) {
	dir := t.TempDir()
	o := openOutbox(t, filepath.Join(dir, "outbox"))
	if err := os.WriteFile(filepath.Join(dir, "secret.eml"), []byte("From: a@b\r\n\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"job_1", "../secret", "/etc/passwd", "", ".", "job_1.eml", "a/b", "a\x00b"} {
		if _, err := o.Open(context.Background(), id); !market.Is(err, market.NotFound) {
			t.Errorf("Open(%q): %v, want NotFound", id, err)
		}
	}
}

func TestOutboxAfterACrash(t *testing.T) {
	dir := t.TempDir()
	o := openOutbox(t, dir)
	send(t, o, receipt("job_1"))
	for name, content := range map[string]string{tempStart + "123": "half", "notes.txt": "a person's"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o = openOutbox(t, dir)
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	hidden, err := filepath.Glob(filepath.Join(dir, ".*"))
	if err != nil {
		t.Fatal(err)
	}
	if len(everything(t, o)) != 1 || len(names) != 2 || len(hidden) != 0 {
		t.Errorf("left: %v %v", names, hidden)
	}
}

func TestOutboxPermissions(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "outbox")
	o := openOutbox(t, dir)
	send(t, o, receipt("job_1"))
	for path, want := range map[string]os.FileMode{dir: 0o700, o.path("job_1"): 0o600} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", path, got, want)
		}
	}
}

func TestOutboxRefusedByTheDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "outbox")
	o := openOutbox(t, dir)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := o.Send(context.Background(), receipt("job_1")); !market.Is(err, market.Unavailable) {
		t.Errorf("got %v, want Unavailable", err)
	}
}
