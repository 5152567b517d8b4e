package storetest

import (
	"slices"
	"testing"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// Contract holds an engine to what store promises its callers, whatever the engine and
// whether it misbehaves within the contract or not. open opens an empty database that is
// checked and closed when the test ends; it sets what Options it needs beyond those given.
// What the contract says of time (the limit of a transaction, a transaction inside of
// another) and of disks is for the tests of each engine.
func Contract(t *testing.T, open func(t testing.TB, o store.Options) *store.DB) {
	for _, promise := range []struct {
		name string
		test func(*contract)
	}{
		{"what Update returned is there", (*contract).committedIsThere},
		{"a view is one moment", (*contract).viewIsOneMoment},
		{"a transaction reads its own writes", (*contract).ownWrites},
		{"a transaction that fails leaves nothing", (*contract).failureLeavesNothing},
		{"a transaction that writes nothing makes no commit", (*contract).nothingWritten},
		{"a transaction is valid inside its function only", (*contract).validInside},
		{"Insert writes only where nothing is", (*contract).insertIsNew},
		{"a Conflict that is caught leaves nothing half written", (*contract).caughtConflict},
		{"Put and Delete keep indexes and counts", (*contract).indexesFollow},
		{"tenants are apart", (*contract).tenantsApart},
		{"empty names and values", (*contract).emptyValues},
		{"an operation takes effect once", (*contract).operationOnce},
		{"an unknown outcome is asked for again", (*contract).unknownOutcome},
		{"an unknown outcome is asked for again, also by many", (*contract).unknownManyTimes},
		{"an unknown outcome is asked for again, whoever cancels", (*contract).unknownAndCanceled},
		{"transactions are serializable", (*contract).serializable},
		{"of racing inserts one wins", (*contract).raceOneWins},
		{"counts are right with 64 callers", (*contract).countsWithManyCallers},
		{"transactions that fail disturb no others", (*contract).failuresDisturbNobody},
		{"limits hold to the byte", (*contract).limits},
		{"scans are ordered and go on after a cursor", (*contract).scans},
		{"a scan isn't disturbed by writes of its transaction", (*contract).scanWhileWriting},
		{"a scan passes over what its transaction deletes", (*contract).scanOfWhatGoes},
		{"a canceled context is refused", (*contract).canceled},
		{"who cancels is told whether it was committed", (*contract).canceledAnywhere},
		{"the feed is complete and in order", (*contract).feed},
		{"the feed is complete beside failures, for slow and fast", (*contract).feedBesideFailures},
		{"a store made read-only acknowledges nothing more", (*contract).readOnly},
		{"money is acknowledged when a replica has it", (*contract).acknowledged},
		{"a closed store is unavailable", (*contract).closed},
	} {
		t.Run(promise.name, func(t *testing.T) { promise.test(&contract{t, open}) })
	}
}

type contract struct {
	*testing.T
	open func(t testing.TB, o store.Options) *store.DB
}

const main = market.MainTenant

// update runs fn and fails the test when it can't be committed.
func (t *contract) update(db *store.DB, tenant market.TenantID, fn func(tx *store.Tx) error) store.Result {
	t.Helper()
	res, err := db.Update(t.Context(), tenant, store.Op{}, fn)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func (t *contract) view(db *store.DB, tenant market.TenantID, fn func(tx *store.ReadTx) error) {
	t.Helper()
	if err := db.View(t.Context(), tenant, fn); err != nil {
		t.Fatal(err)
	}
}

func agent(id, slug string, popularity int64) *market.Agent {
	return &market.Agent{
		ID: market.AgentID("agt_" + id), Seller: "sel_1", Slug: slug, Name: slug, Category: "tool",
		Popularity: popularity, State: market.ListingPublished, Release: market.Release{File: market.File{OnDemand: true}},
	}
}

func event(id string) *market.ProviderEvent { return &market.ProviderEvent{ID: id} }

// shelf lists the slugs of the popular agents, and fails when the counts disagree.
func (t *contract) shelf(tx store.Reader) (slugs []string) {
	t.Helper()
	for row, err := range store.PopularAgents.Scan(tx, store.All{}, "") {
		if err != nil {
			t.Fatal(err)
		}
		slugs = append(slugs, row.Record.Slug)
	}
	if n, err := store.PopularAgents.Count(tx, store.All{}); err != nil || n != len(slugs) {
		t.Errorf("the count is %d (%v) for %v", n, err, slugs)
	}
	return slugs
}

func (t *contract) wantShelf(tx store.Reader, want ...string) {
	t.Helper()
	if got := t.shelf(tx); !slices.Equal(got, want) {
		t.Errorf("on the shelf: %v, want %v", got, want)
	}
}

func wantKind(t testing.TB, err error, want market.Kind) {
	t.Helper()
	if !market.Is(err, want) {
		t.Errorf("the error is %v, want one that is %v", err, want)
	}
}
