package web_test

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

var located = regexp.MustCompile(`<loc>([^<]*)</loc>`)

// places are the paths that a sitemap has.
func (b *bazaar) places(path string) (paths []string) {
	b.t.Helper()
	for _, m := range located.FindAllStringSubmatch(b.browser().get(path).body, -1) {
		paths = append(paths, strings.TrimPrefix(m[1], b.URL))
	}
	return paths
}

// TestSitemapsOfManyAgents has more agents than a sitemap takes, some of them not on the
// shelf. Each that is stands in one sitemap, also after one has left and one has come.
func TestSitemapsOfManyAgents(t *testing.T) {
	b := open(t, false)
	put := func(tx *store.Tx, n int, state market.ListingState) error {
		a := b.paid
		a.ID, a.Slug, a.State = market.AgentID(fmt.Sprintf("agt_%05d", n)), fmt.Sprint("many-", n), state
		return store.Agents.Put(tx, &a)
	}
	const many = 4_100
	for first := 0; first < many; first += 100 {
		b.write(market.MainTenant, func(tx *store.Tx) (err error) {
			for n := first; n < first+100 && err == nil; n++ {
				state := market.ListingPublished
				if n%10 == 0 {
					state = market.ListingPaused
				}
				err = put(tx, n, state)
			}
			return err
		})
	}
	want := map[string]bool{"/agents/free-thing": true, "/agents/paid-thing": true}
	for n := range many {
		want[fmt.Sprint("/agents/many-", n)] = n%10 != 0
	}
	b.wantMapped(want)
	b.write(market.MainTenant, func(tx *store.Tx) error {
		return errors.Join(put(tx, 2_001, market.ListingPaused), put(tx, many+1, market.ListingPublished))
	})
	want["/agents/many-2001"], want[fmt.Sprint("/agents/many-", many+1)] = false, true
	b.wantMapped(want)
}

// wantMapped wants those of the agents' pages that are true in the sitemaps, each once.
func (b *bazaar) wantMapped(want map[string]bool) {
	b.t.Helper()
	maps := b.places("/sitemap.xml")
	if len(maps) != 4 || maps[3] != "/sitemaps/4.xml" {
		b.t.Fatalf("the index has %q", maps)
	}
	var got, all []string
	for _, path := range maps[1:] {
		got = append(got, b.places(path)...)
	}
	for path, is := range want {
		if is {
			all = append(all, path)
		}
	}
	slices.Sort(got)
	slices.Sort(all)
	if !slices.Equal(got, all) {
		b.t.Errorf("%d agents are in sitemaps, want %d", len(got), len(all))
	}
}
