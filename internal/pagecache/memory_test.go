package pagecache

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/souk-market/souk/internal/edge"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/store/storetest"
)

// wantWhole compares what the cache says of itself with what is in it.
func wantWhole(t *testing.T, c *Cache) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	n, links := 0, 0
	for _, q := range []*queue{&c.found, &c.absent} {
		var bytes int64
		for e := q.newest; e != nil; e = e.older {
			if c.pages[e.key] != e || e.queue != q {
				t.Fatalf("%v is in a queue and not kept", e.key)
			}
			n, bytes, links = n+1, bytes+e.size, links+len(e.links)
		}
		if bytes != q.bytes || q.bytes > q.limit {
			t.Fatalf("a queue has %d bytes, says %d and may have %d", bytes, q.bytes, q.limit)
		}
	}
	if n != len(c.pages) || c.reads.len() != links {
		t.Fatalf("%d pages are kept and %d are in queues; they have %d links, and %d are entered", len(c.pages), n, links, c.reads.len())
	}
	if len(c.flights) > 0 {
		t.Fatalf("%d renderings are left over", len(c.flights))
	}
}

// len is how many links are entered.
func (r *readers) len() (n int) {
	for _, l := range r.points {
		for ; l != nil; l = l.next {
			n++
		}
	}
	for _, group := range r.groups {
		for _, s := range group {
			for l := s.first; l != nil; l = l.next {
				n++
			}
		}
	}
	return n
}

// put asks for a page of so many bytes, and reports whether it was kept.
func put(t testing.TB, c *Cache, name string, status, size int) bool {
	t.Helper()
	_, kept, err := c.page(context.Background(), keyOf(name), func(tx store.Reader) (Page, error) {
		_, err := showAgents(&strings.Builder{}, store.AgentsInCategory.Scan(tx, "none", ""), 3)
		return Page{Status: status, Type: "text/html", Body: make([]byte, size)}, err
	})
	if err != nil {
		t.Fatal(err)
	}
	return kept
}

func TestMemoryIsBounded(t *testing.T) {
	db := storetest.Open(t)
	c := New(db, Options{Bytes: 256 << 10})
	rng := rand.New(rand.NewPCG(1, 1))
	for n := range 3_000 {
		name := fmt.Sprint(rng.IntN(200))
		put(t, c, name, http.StatusOK, rng.IntN(20_000))
		if e := c.lookUp(keyOf(name), 0); e != nil {
			c.in(e, edge.Coding(rng.IntN(int(edge.Codings))))
		}
		if n%100 == 0 {
			someCommit(t, db, rng)
			wantWhole(t, c)
		}
		if s := c.Stats(); s.Bytes > 256<<10 {
			t.Fatalf("%d bytes are kept", s.Bytes)
		}
	}
	if s := c.Stats(); s.Evictions == 0 || s.Pages < 10 {
		t.Errorf("%+v", s)
	}
}

func TestWhatIsAskedForStays(t *testing.T) {
	db := storetest.Open(t)
	c := New(db, Options{Bytes: 1 << 20})
	for range 2 {
		for n := range 10 {
			put(t, c, fmt.Sprint("loved ", n), http.StatusOK, 10_000)
		}
	}
	for n := range 2_000 { // a crawler
		put(t, c, fmt.Sprint("crawled ", n), http.StatusOK, 10_000)
		if n%50 == 0 {
			put(t, c, fmt.Sprint("loved ", n/50%10), http.StatusOK, 10_000)
		}
	}
	before := c.Stats().Misses
	for n := range 10 {
		put(t, c, fmt.Sprint("loved ", n), http.StatusOK, 10_000)
	}
	if missed := c.Stats().Misses - before; missed > 3 {
		t.Errorf("%d of 10 pages that are asked for were evicted for those of a crawler", missed)
	}
}

// TestNothingTakesNoRoom: pages that say that there is nothing evict each other alone.
func TestNothingTakesNoRoom(t *testing.T) {
	db := storetest.Open(t)
	c := New(db, Options{Bytes: 1 << 20})
	for n := range 20 {
		put(t, c, fmt.Sprint("agent ", n), http.StatusOK, 10_000)
	}
	for n := range 500 {
		put(t, c, fmt.Sprint("nothing ", n), http.StatusNotFound, 2_000)
	}
	if c.absent.bytes == 0 || c.absent.bytes > 1<<16 || c.found.len != 20 {
		t.Errorf("%d bytes of nothing, %d pages", c.absent.bytes, c.found.len)
	}
	if !put(t, c, "nothing 499", http.StatusNotFound, 2_000) {
		t.Error("the last one isn't kept")
	}
}

func TestWhatIsNotKept(t *testing.T) {
	for name, tc := range map[string]struct {
		name         string
		status, size int
	}{
		"a page over an eighth of the room":    {"x", http.StatusOK, 130_000},
		"a key over 512 bytes":                 {fmt.Sprintf("%0600d", 1), http.StatusOK, 100},
		"an answer that isn't a page":          {"x", http.StatusTeapot, 100},
		"nothing, over an eighth of its room":  {"x", http.StatusNotFound, 9_000},
		"a redirect that may go another way":   {"x", http.StatusFound, 0},
		"an error that the page function made": {"x", http.StatusInternalServerError, 100},
	} {
		t.Run(name, func(t *testing.T) {
			c := New(storetest.Open(t), Options{Bytes: 1 << 20})
			for range 2 {
				if put(t, c, tc.name, tc.status, tc.size) {
					t.Error("it was kept")
				}
			}
		})
	}
}

// TestReadersAreThoseTouched compares the index of readers with ReadSet.Touches over
// random read sets and keys.
func TestReadersAreThoseTouched(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	key := func() store.Key {
		k := make(store.Key, 1+rng.IntN(4))
		for i := range k {
			k[i] = byte(rng.IntN(3))
		}
		return k
	}
	r := newReaders()
	sets := map[*entry]*store.ReadSet{}
	for range 2_000 {
		if e := newEntry(Key{}, Page{}); rng.IntN(3) > 0 {
			sets[e] = someReads(rng, key)
			r.add(e, r.hashes(sets[e]), sets[e].Ranges)
		}
		for e := range sets {
			if rng.IntN(40) == 0 {
				r.remove(e)
				delete(sets, e)
			}
		}
		k := key()
		got := map[*entry]bool{}
		for _, e := range r.of(k) {
			got[e] = true
		}
		for e, reads := range sets {
			if got[e] != reads.Touches(k) {
				t.Fatalf("%x: %v, %+v", k, got[e], reads)
			}
			delete(got, e)
		}
		if len(got) > 0 {
			t.Fatalf("%x: %d pages that aren't there", k, len(got))
		}
	}
	for e := range sets {
		r.remove(e)
	}
	if len(r.points)+len(r.groups)+len(r.lengths)+len(r.sorted) > 0 {
		t.Errorf("of nothing it keeps %+v", r)
	}
}

func someReads(rng *rand.Rand, key func() store.Key) *store.ReadSet {
	s := &store.ReadSet{}
	for range rng.IntN(3) {
		s.Points = append(s.Points, key())
	}
	for range rng.IntN(3) {
		g := store.Range{Prefix: key()}
		g.From = append(g.From, g.Prefix...)
		if rng.IntN(2) == 0 {
			g.From = append(g.From, key()...)
		}
		if rng.IntN(2) == 0 {
			g.To = append(append(g.To, g.Prefix...), key()...)
		}
		s.Ranges = append(s.Ranges, g)
	}
	return s
}

// TestWhatIsCounted holds the bytes of a page to what is in memory of it.
func TestWhatIsCounted(t *testing.T) {
	db := storetest.Open(t)
	c := New(db, Options{Bytes: 1 << 20})
	if c.found.limit+c.absent.limit != 1<<20 {
		t.Errorf("there is room for %d and %d bytes", c.found.limit, c.absent.limit)
	}
	text := []byte(strings.Repeat("<p>text</p>", 1_000))
	name := strings.Repeat("k", 300)
	e, _, err := c.page(context.Background(), keyOf(name), func(tx store.Reader) (Page, error) {
		for n := range 200 {
			for range 2 {
				if _, err := store.Agents.Has(tx, agentID(n)); err != nil {
					return Page{}, err
				}
			}
		}
		return Page{Type: "text/html", Body: text}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(e.links) != 200 {
		t.Errorf("200 keys that were read twice have %d links", len(e.links))
	}
	plain := c.Stats().Bytes
	if least := int64(len(text) + 2*len(name) + 200*linkSize); plain < least {
		t.Errorf("%d bytes are counted, of %d at least", plain, least)
	}
	packed := c.in(e, edge.Gzip).body
	if again := c.in(e, edge.Gzip).body; &again[0] != &packed[0] {
		t.Error("it is packed for each request")
	}
	if got := c.Stats().Bytes; got != plain+int64(cap(packed)) {
		t.Errorf("with a variant of %d bytes %d are counted, before %d", cap(packed), got, plain)
	}
	wantWhole(t, c)
}

// TestVariantsMakeRoom has pages packed that fill the cache, and one that is dropped by then.
func TestVariantsMakeRoom(t *testing.T) {
	db := storetest.Open(t)
	c := New(db, Options{Bytes: 256 << 10})
	rng := rand.New(rand.NewPCG(3, 3))
	var pages []*entry
	for n := 0; c.Stats().Evictions == 0; n++ {
		text := make([]byte, 10_000) // that packs badly
		for i := range text {
			text[i] = byte(rng.Uint32())
		}
		e, _, err := c.page(context.Background(), keyOf(fmt.Sprint(n)), func(tx store.Reader) (Page, error) {
			_, err := store.Agents.Has(tx, agentID(1))
			return Page{Type: "text/html", Body: text}, err
		})
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, e)
	}
	if pages[0].links != nil {
		t.Error("a page that was evicted, and may be on its way to a slow client, holds on to others")
	}
	for _, e := range pages { // the first is evicted already
		for coding := range edge.Codings {
			if v := c.in(e, coding); len(v.body) == 0 {
				t.Errorf("no bytes in coding %d", coding)
			}
			wantWhole(t, c)
		}
	}
}

// TestAHitAfterACommitCounts: a page that is asked for after an unrelated commit stays, as
// others do.
func TestAHitAfterACommitCounts(t *testing.T) {
	db := storetest.Open(t)
	c := New(db, Options{})
	body(t, c, "moved/old")
	update(t, db, func(tx *store.Tx) error { return store.Agents.Put(tx, anAgent(1, 1, "tool")) })
	body(t, c, "moved/old")
	if e := c.pages[keyOf("moved/old")]; e == nil || !e.visited.Load() {
		t.Errorf("%+v isn't marked", e)
	}
}
