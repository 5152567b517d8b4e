package store_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"slices"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// comparison reads everything of a tenant in every way and compares it with the model.
type comparison struct {
	db       *store.DB
	tenant   market.TenantID
	want     shelf
	records  int // compared
	problems []string
}

func (c *comparison) run() {
	err := c.db.View(context.Background(), c.tenant, func(tx *store.ReadTx) error {
		return errors.Join(c.agents(tx), c.names(tx), c.indexes(tx), c.categories(tx), c.sellers(tx), c.ledger(tx), c.jobs(tx))
	})
	if err != nil {
		c.problems = append(c.problems, err.Error())
	}
	c.operations()
}

func (c *comparison) same(what string, want, got any) {
	if !reflect.DeepEqual(want, got) { // Diff is slow where there is none
		c.problems = append(c.problems, fmt.Sprintf("%s of %s differs:\n%s", what, c.tenant, gocmp.Diff(want, got)))
	}
}

func (c *comparison) agents(tx *store.ReadTx) error {
	everybody := sorted(c.want, func(market.Agent) bool { return true }, func(a, b market.Agent) int { return 0 })
	var got []market.Agent
	for a, err := range store.Agents.All(tx, "") {
		if err != nil {
			return err
		}
		got = append(got, a)
	}
	c.records += len(everybody)
	c.same("all", everybody, got)
	return nil
}

func (c *comparison) names(tx *store.ReadTx) error {
	slugs := map[string]bool{}
	for _, a := range c.want.agents {
		slugs[a.Slug] = true
		bySlug, err := store.AgentBySlug.Load(tx, a.Slug)
		c.same("slug "+a.Slug, a, bySlug)
		if err != nil {
			return err
		}
		if a.ExternalID == "" {
			continue
		}
		byExt, err := store.AgentByExternal.Load(tx, a.ExternalID)
		c.same("external ID "+a.ExternalID, a, byExt)
		if err != nil {
			return err
		}
	}
	for i := range 10 {
		if slug := fmt.Sprint("slug", i); !slugs[slug] {
			if _, err := store.AgentBySlug.Load(tx, slug); !market.Is(err, market.NotFound) {
				return fmt.Errorf("the slug %s that nobody has: %w", slug, err)
			}
		}
	}
	return nil
}

func mostPopular(a, b market.Agent) int { return cmp.Compare(b.Popularity, a.Popularity) }
func newest(a, b market.Agent) int      { return cmp.Compare(b.Updated.UnixMilli(), a.Updated.UnixMilli()) }
func visible(a market.Agent) bool       { return a.Visible() }

func (c *comparison) indexes(tx *store.ReadTx) error {
	popular := sorted(c.want, visible, mostPopular)
	n, err := store.PopularAgents.Count(tx, store.All{})
	c.same("the number of popular agents", len(popular), n)
	return errors.Join(err,
		c.sameIndex("popular", popular, store.PopularAgents.Scan(tx, store.All{}, "")),
		c.sameIndex("newest", sorted(c.want, visible, newest), store.NewestAgents.Scan(tx, store.All{}, "")))
}

func (c *comparison) categories(tx *store.ReadTx) error {
	wantCounts := map[market.Category]int{}
	for _, category := range []market.Category{"", "a", "tool", "toolbox"} {
		in := sorted(c.want, func(a market.Agent) bool { return a.Visible() && a.Category == category }, mostPopular)
		if err := c.sameIndex("category "+string(category), in, store.AgentsInCategory.Scan(tx, category, "")); err != nil {
			return err
		}
		if len(in) > 0 {
			wantCounts[category] = len(in)
		}
	}
	counts, err := store.Counts(tx, store.AgentsInCategory)
	c.same("the counts of categories", wantCounts, counts)
	return err
}

func (c *comparison) sellers(tx *store.ReadTx) error {
	for _, seller := range []market.SellerID{"sel_1", "sel_2"} {
		of := sorted(c.want, func(a market.Agent) bool { return a.Seller == seller }, func(a, b market.Agent) int { return 0 })
		n, err := store.AgentsOfSeller.Count(tx, seller)
		c.same("the number of agents of "+string(seller), len(of), n)
		if err := errors.Join(err, c.sameIndex("seller "+string(seller), of, store.AgentsOfSeller.Scan(tx, seller, ""))); err != nil {
			return err
		}
	}
	return nil
}

func (c *comparison) ledger(tx *store.ReadTx) error {
	for _, account := range modelAccounts {
		b, err := store.BalanceOf(tx, account, "USD")
		c.same("the balance of "+string(account), c.want.balances[account], b.Amount.Amount)
		if err != nil {
			return err
		}
	}
	causes := map[string]bool{}
	for p, err := range store.Postings.All(tx, "") {
		if err != nil {
			return err
		}
		causes[p.Cause] = true
	}
	c.records += len(c.want.causes)
	c.same("the postings", c.want.causes, causes)
	return nil
}

func (c *comparison) jobs(tx *store.ReadTx) error {
	want := map[store.JobState]int{store.JobQueued: 0, store.JobRunning: 0, store.JobDead: 0}
	dead := map[int]bool{}
	for payload, j := range c.want.jobs {
		want[j.state]++
		if j.state == store.JobDead {
			dead[payload] = true
		}
	}
	got, err := store.JobCounts(tx)
	c.same("the number of jobs", want, got)
	if err != nil {
		return err
	}
	jobs, err := store.DeadJobs(tx, 1_000)
	gotDead := map[int]bool{}
	for _, j := range jobs {
		var payload int
		if err := j.Decode(&payload); err != nil {
			return err
		}
		gotDead[payload] = true
	}
	c.records += len(c.want.jobs)
	c.same("the dead jobs", dead, gotDead)
	return err
}

// operations asks for everything again that has been done.
func (c *comparison) operations() {
	for id, want := range c.want.done {
		res, err := c.db.Update(context.Background(), c.tenant, store.Op{ID: id}, func(tx *store.Tx) error {
			return fmt.Errorf("operation %s of %s runs again", id, c.tenant)
		})
		if err != nil || !res.Repeated || string(res.Value) != want {
			c.problems = append(c.problems, fmt.Sprintf("operation %s of %s, asked for again: %+v, %v; want %q", id, c.tenant, res, err, want))
		}
		c.records++
	}
}

// sameIndex compares an index with the agents that should be in it.
func (c *comparison) sameIndex(what string, want []market.Agent, rows iter.Seq2[store.Row[market.Agent], error]) error {
	var got []market.Agent
	for row, err := range rows {
		if err != nil {
			return err
		}
		got = append(got, row.Record)
	}
	c.records += len(want)
	c.same(what, want, got)
	return nil
}

// sorted returns the agents that are in an index in its order; equal ones by ID.
func sorted(s shelf, in func(market.Agent) bool, order func(a, b market.Agent) int) (agents []market.Agent) {
	for _, a := range s.agents {
		if in(a) {
			agents = append(agents, a)
		}
	}
	slices.SortFunc(agents, func(a, b market.Agent) int { return cmp.Or(order(a, b), cmp.Compare(a.ID, b.ID)) })
	return agents
}
