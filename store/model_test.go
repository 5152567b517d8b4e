package store_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// world is the model of a database after one commit: plain maps, never changed again.
type world map[market.TenantID]shelf

// shelf is the model of a tenant.
type shelf struct {
	agents   map[market.AgentID]market.Agent
	causes   map[string]bool // of postings
	balances map[market.LedgerAccount]int64
	jobs     map[int]modelJob  // by their payload
	done     map[string]string // results of operations
}

type modelJob struct {
	state store.JobState
	due   time.Time
}

var modelTenants = []market.TenantID{"a", "ab", "ten_main"}

func emptyWorld() world {
	w := world{}
	for _, tenant := range modelTenants {
		w[tenant] = shelf{
			map[market.AgentID]market.Agent{}, map[string]bool{}, map[market.LedgerAccount]int64{},
			map[int]modelJob{}, map[string]string{},
		}
	}
	return w
}

// with returns the world with another shelf of a tenant.
func (w world) with(tenant market.TenantID, s shelf) world {
	next := maps.Clone(w)
	next[tenant] = s
	return next
}

func (s shelf) clone() shelf {
	return shelf{maps.Clone(s.agents), maps.Clone(s.causes), maps.Clone(s.balances), maps.Clone(s.jobs), maps.Clone(s.done)}
}

// write is one write of a transaction, decided before it runs: fn may run twice.
type write struct {
	what  string
	agent market.Agent
	n     int // of a posting's cause, or a job's payload
}

// outcome is what the store made of a write.
type outcome struct {
	kind  market.Kind // of the error, which a use-case may catch; Internal for none
	now   time.Time
	taken []int // payloads of the jobs that work has claimed
}

// modelLease is how long work claims a job.
const modelLease = time.Hour

var modelAccounts = []market.LedgerAccount{"assets:a", "assets:b", "assets:c"}

func randomWrite(rng *rand.Rand, payload func() int) write {
	pick := rng.IntN
	switch pick(10) {
	case 0:
		return write{what: "post", n: pick(30)}
	case 1:
		return write{what: "enqueue", n: payload()}
	case 2:
		return write{what: "work"}
	}
	a := market.Agent{
		ID: market.AgentID(fmt.Sprintf("agt_%02d", pick(14))), Slug: fmt.Sprint("slug", pick(10)), Name: fmt.Sprint(pick(100)),
		Category: market.Category([]string{"", "a", "tool", "toolbox"}[pick(4)]), Popularity: int64(pick(4)),
		Seller:  market.SellerID([]string{"sel_1", "sel_2"}[pick(2)]),
		State:   []market.ListingState{market.ListingPublished, market.ListingPublished, market.ListingPaused, market.ListingDraft}[pick(4)],
		Updated: time.Unix(int64(pick(5)), int64(pick(2))*1_234_567).UTC(), Release: market.Release{File: market.File{OnDemand: true}},
	}
	if pick(3) > 0 {
		a.ExternalID = fmt.Sprint("pypi:", pick(8))
	}
	if pick(8) == 0 { // over several blocks of the disk
		a.Summary = strings.Repeat(a.Name, 2_000+pick(4_000))
	}
	return write{what: []string{"insert", "put", "put", "delete"}[pick(4)], agent: a}
}

// run does a write on the store.
func (w write) run(tx *store.Tx) (o outcome, err error) {
	a := w.agent
	o.now = tx.Now()
	switch w.what {
	case "insert":
		err = store.Agents.Insert(tx, &a)
	case "put":
		err = store.Agents.Put(tx, &a)
	case "delete":
		err = store.Agents.Delete(tx, a.ID)
	case "post":
		err = store.Post(tx, w.posting(o.now))
	case "enqueue":
		err = store.Enqueue(tx, "work", w.n)
	case "work":
		o.taken, err = work(tx)
	}
	if o.kind = market.KindOf(err); o.kind == market.Conflict {
		err = nil
	}
	return o, err
}

func (w write) posting(at time.Time) *market.Posting {
	from, to := modelAccounts[w.n%3], modelAccounts[(w.n+1)%3]
	amount := func(n int64) market.Money { return market.Money{Amount: n, Currency: "USD"} }
	return &market.Posting{
		ID: market.NewPostingID(at), At: at, Cause: fmt.Sprint("gift:", w.n),
		Entries: []market.Entry{{Account: from, Amount: amount(-int64(w.n) - 1)}, {Account: to, Amount: amount(int64(w.n) + 1)}},
	}
}

// work claims up to three jobs, finishes the first, fails the second for good, and leaves
// the third running.
func work(tx *store.Tx) (taken []int, err error) {
	jobs, err := store.ClaimJobs(tx, []store.Claim{{Kind: "work", Max: 3, Lease: modelLease}})
	if err != nil {
		return nil, err
	}
	for i, j := range jobs {
		var payload int
		if err := j.Decode(&payload); err != nil {
			return nil, err
		}
		taken = append(taken, payload)
		switch i {
		case 0:
			err = store.FinishJob(tx, &j)
		case 1:
			err = store.FailJob(tx, &j, "for good", 1)
		}
		if err != nil {
			return nil, err
		}
	}
	return taken, nil
}

// apply does a write on the model. It reports whether that changed anything, and what is
// wrong with the store's outcome.
func (s shelf) apply(w write, o outcome) (changed bool, wrong string) {
	if w.what == "work" {
		return len(o.taken) > 0, s.work(o)
	}
	changed, conflict := s.applyPlain(w, o.now)
	if conflict != (o.kind == market.Conflict) {
		return changed, fmt.Sprintf("%s %+v %d: the store says %v, the model that it's a conflict: %t", w.what, w.agent, w.n, o.kind, conflict)
	}
	return changed, ""
}

func (s shelf) applyPlain(w write, now time.Time) (changed, conflict bool) {
	old, exists := s.agents[w.agent.ID]
	switch w.what {
	case "delete":
		delete(s.agents, w.agent.ID)
		return exists, false
	case "post":
		p := w.posting(now)
		if s.causes[p.Cause] {
			return false, true
		}
		s.causes[p.Cause] = true
		for _, e := range p.Entries {
			s.balances[e.Account] += e.Amount.Amount
		}
		return true, false
	case "enqueue":
		s.jobs[w.n] = modelJob{store.JobQueued, now}
		return true, false
	case "insert":
		if exists {
			return false, true
		}
	}
	for id, other := range s.agents {
		if id == old.ID && exists {
			continue
		}
		if other.Slug == w.agent.Slug || w.agent.ExternalID != "" && other.ExternalID == w.agent.ExternalID {
			return false, true
		}
	}
	s.agents[w.agent.ID] = w.agent
	return true, false
}

// work takes the jobs that the store has claimed: the longest due ones, as many as there
// are up to three.
func (s shelf) work(o outcome) (wrong string) {
	var due []time.Time
	for _, j := range s.jobs {
		if j.state != store.JobDead && !j.due.After(o.now) {
			due = append(due, j.due)
		}
	}
	slices.SortFunc(due, time.Time.Compare)
	if want := min(3, len(due)); len(o.taken) != want {
		return fmt.Sprintf("%d jobs were claimed, want %d", len(o.taken), want)
	}
	for i, payload := range o.taken {
		j, known := s.jobs[payload]
		if !known || j.state == store.JobDead || !j.due.Equal(due[i]) {
			return fmt.Sprintf("job %d was claimed, which is %+v; the longest due one is due at %v", payload, j, due[i])
		}
	}
	for i, payload := range o.taken {
		switch i {
		case 0:
			delete(s.jobs, payload)
		case 1:
			s.jobs[payload] = modelJob{state: store.JobDead}
		case 2:
			s.jobs[payload] = modelJob{store.JobRunning, o.now.Add(modelLease)}
		}
	}
	return ""
}

// transaction is some writes under one Update. Conflicts are caught, as a use-case may
// do; some transactions are dropped in the end; some are operations, and some of those
// have been done before.
type transaction struct {
	tenant market.TenantID
	op     store.Op
	writes []write
	result string
	drop   bool
	marker string // ID of an event that it alone writes; "" for none

	outcomes []outcome // of the last run of fn
	res      store.Result
	err      error
}

var errDropped = errors.New("dropped")

func randomTransaction(rng *rand.Rand, payload func() int) *transaction {
	t := &transaction{
		tenant: modelTenants[rng.IntN(len(modelTenants))],
		op:     store.Op{Class: store.Class(rng.IntN(3))},
		writes: make([]write, 1+rng.IntN(6)),
		result: fmt.Sprint(rng.Uint32()),
		drop:   rng.IntN(8) == 0,
	}
	for i := range t.writes {
		t.writes[i] = randomWrite(rng, payload)
	}
	if rng.IntN(2) == 0 {
		t.op.ID = fmt.Sprint("op", rng.IntN(60))
	}
	return t
}

// run is the function of the transaction's Update.
func (t *transaction) run(tx *store.Tx) error {
	t.outcomes = nil
	for _, w := range t.writes {
		o, err := w.run(tx)
		if err != nil {
			return fmt.Errorf("%s %+v: %w", w.what, w.agent, err)
		}
		t.outcomes = append(t.outcomes, o)
	}
	if t.marker != "" {
		if err := store.Events.Insert(tx, &market.ProviderEvent{ID: t.marker}); err != nil {
			return err
		}
	}
	tx.SetResult([]byte(t.result))
	if t.drop {
		return errDropped
	}
	return nil
}

// replay does the transaction on the model and compares each outcome. commits is false
// for one that leaves nothing behind.
func (t *transaction) replay(before world) (after world, commits bool, wrong []string) {
	s := before[t.tenant].clone()
	commits = t.op.ID != "" || t.marker != ""
	for i, o := range t.outcomes {
		changed, w := s.apply(t.writes[i], o)
		if w != "" {
			wrong = append(wrong, w)
		}
		commits = commits || changed
	}
	if t.drop {
		return before, false, wrong
	}
	if t.op.ID != "" {
		s.done[t.op.ID] = t.result
	}
	return before.with(t.tenant, s), commits, wrong
}
