package market

import (
	"regexp"
	"slices"
	"testing"
	"time"
)

var idForm = regexp.MustCompile(`^[a-z]{3}_[0-7][0-9abcdefghjkmnpqrstvwxyz]{25}$`)

func TestIDsSortByTimeAndNeverCollide(t *testing.T) {
	const n = 100_000
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	seen := make(map[AgentID]bool, n)
	var last AgentID
	for i := range n {
		id := NewAgentID(start.Add(time.Duration(i) * time.Millisecond))
		if seen[id] || id <= last {
			t.Fatalf("ID %d is %s after %s (seen: %t)", i, id, last, seen[id])
		}
		seen[id], last = true, id
	}
	// In one millisecond they don't collide either.
	for range n {
		id := NewAgentID(start)
		if seen[id] {
			t.Fatalf("%s was drawn twice", id)
		}
		seen[id] = true
	}
}

func TestIDForm(t *testing.T) {
	ids := []string{
		string(NewAccountID(at)), string(NewSellerID(at)), string(NewAgentID(at)), string(NewOfferID(at)), string(NewReleaseID(at)), string(NewCheckoutID(at)),
		string(NewOrderID(at)), string(NewLineID(at)), string(NewPaymentID(at)), string(NewEntitlementID(at)), string(NewLicenseID(at)), string(NewPostingID(at)),
		string(NewJobID(at)), string(NewNodeID(at)),
	}
	prefixes := map[string]bool{}
	for _, id := range ids {
		if !idForm.MatchString(id) {
			t.Errorf("the ID %q has another form", id)
		}
		if prefixes[id[:4]] {
			t.Errorf("two kinds of IDs begin with %s", id[:4])
		}
		prefixes[id[:4]] = true
		if id[4:14] != ids[0][4:14] {
			t.Errorf("the time of %s is not that of %s", id, ids[0])
		}
	}
	// The times of a clock that was never set, of the last ULID, and of no bits at all.
	for _, c := range []struct {
		at   time.Time
		want string
	}{
		{time.Time{}, "0000000000"}, {time.UnixMilli(0), "0000000000"}, {time.UnixMilli(1), "0000000001"}, {time.UnixMilli(1<<48 - 1), "7zzzzzzzzz"},
	} {
		if got := string(NewAgentID(c.at))[4:14]; got != c.want {
			t.Errorf("the time %v is %s, want %s", c.at, got, c.want)
		}
	}
	if got := encodeID("x", [16]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}); got != "x_00041061050r3gg28a1c60t3gf" {
		t.Errorf("the bytes 0 to 15 are %s", got)
	}
}

func TestSecretsAreLongAndDiffer(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		for _, s := range []string{NewSecret(), string(NewCartID())[4:]} {
			if len(s) != 32 || seen[s] {
				t.Fatalf("the secret %q (seen: %t)", s, seen[s])
			}
			seen[s] = true
		}
	}
}

func TestOrderNumber(t *testing.T) {
	form := regexp.MustCompile(`^S-[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}$`)
	var all []string
	for range 1000 {
		n := NewOrderNumber()
		if !form.MatchString(n) {
			t.Fatalf("the number %q", n)
		}
		all = append(all, n)
	}
	slices.Sort(all)
	if got := len(slices.Compact(all)); got != 1000 {
		t.Errorf("only %d of 1000 numbers differ", got)
	}
}
