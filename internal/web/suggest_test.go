package web_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// suggested are the texts that /suggest answers with.
func (b *bazaar) suggested(q string) (texts []string) {
	b.t.Helper()
	a := b.browser().get("/suggest?q=" + q)
	var got struct{ Items []struct{ Text string } }
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.StatusCode != http.StatusOK {
		b.t.Fatalf("%s, %v: %s", a.Status, err, a.body)
	}
	for _, i := range got.Items {
		texts = append(texts, i.Text)
	}
	return texts
}

// TestSuggestionsAreOfNow: an agent that was withdrawn or renamed is suggested no more, or by
// its new name, though the index hasn't heard of it.
func TestSuggestionsAreOfNow(t *testing.T) {
	b := open(t, false)
	if got := b.suggested("thing"); len(got) != 2 {
		t.Fatalf("suggestions are %q", got)
	}
	b.halt()
	_, err := b.db.Update(context.Background(), market.MainTenant, store.Op{}, func(tx *store.Tx) error {
		gone, err := store.Agents.Load(tx, b.free.ID)
		if err != nil {
			return err
		}
		other, err := store.Agents.Load(tx, b.paid.ID)
		if err != nil {
			return err
		}
		gone.State, other.Name = market.ListingSuspended, "Renamed Thing"
		if err := store.Agents.Put(tx, &gone); err != nil {
			return err
		}
		return store.Agents.Put(tx, &other)
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := b.suggested("thing"); len(got) != 1 || got[0] != "Renamed Thing" {
		t.Errorf("suggestions are %q, want the one that is on the shelf, by its name of now", got)
	}
}
