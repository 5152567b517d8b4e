package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/souk-market/souk/internal/catalog"
	"github.com/souk-market/souk/internal/control"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// doing is a command that does a task of one kind, which holds its flags and arguments.
type doing[T any, P interface {
	*T
	task
}] struct {
	settingsFlags
	Task T `embed:""`
}

func (c *doing[T, P]) Run(ctx context.Context) error { return c.do(ctx, P(&c.Task)) }

// shellOperator is who acts through the operator's shell.
func shellOperator() *market.Account {
	return &market.Account{Roles: []market.Role{market.RoleOperator}}
}

type agentCmd struct {
	Show   doing[agentShowTask, *agentShowTask]     `cmd:"" help:"Print an agent with its offers, versions and former addresses."`
	Rename doing[agentRenameTask, *agentRenameTask] `cmd:"" help:"Give an agent another slug; the old address leads to the new one."`
	Forget doing[agentForgetTask, *agentForgetTask] `cmd:"" help:"End that a former slug leads to an agent, so that others may have it."`
	State  doing[agentStateTask, *agentStateTask]   `cmd:"" help:"Bring an agent into another state: publish, unlist, pause, suspend, archive or remove it."`
	Set    doing[agentSetTask, *agentSetTask]       `cmd:"" help:"Say what an agent's attributes are."`
	Pick   doing[agentPickTask, *agentPickTask]     `cmd:"" help:"Recommend an agent on the home page, or no longer."`
	Yank   doing[agentYankTask, *agentYankTask]     `cmd:"" help:"Withdraw a version: nobody can buy it, and who owns it keeps it and is shown why."`
}

func newAgentCmd() (c agentCmd) {
	for _, f := range []*settingsFlags{
		&c.Show.settingsFlags, &c.Rename.settingsFlags, &c.Forget.settingsFlags, &c.State.settingsFlags, &c.Set.settingsFlags, &c.Pick.settingsFlags, &c.Yank.settingsFlags,
	} {
		*f = taskFlags()
	}
	return c
}

// agentName is the argument of commands about one agent.
type agentName struct {
	Agent string `arg:"" help:"The agent's slug, one from before, or its ID, agt_…."`
}

// find returns the agent in whatever state it is.
func (n agentName) find(ctx context.Context, h *house) (a market.Agent, err error) {
	err = h.db.View(ctx, market.MainTenant, func(tx *store.ReadTx) error {
		if a, err = store.AgentBySlug.Load(tx, n.Agent); market.Is(err, market.NotFound) {
			a, err = store.Agents.Load(tx, market.AgentID(n.Agent))
		}
		if !market.Is(err, market.NotFound) {
			return err
		}
		r, err := store.Redirects.Load(tx, n.Agent)
		if err == nil {
			a, err = store.Agents.Load(tx, r.Agent)
		}
		if market.Is(err, market.NotFound) {
			return market.Errorf(market.NotFound, "There is no agent %.100q. A slug is the last part of its page's address.", n.Agent)
		}
		return err
	})
	return a, err
}

type agentShowTask struct{ agentName }

func (*agentShowTask) name() string { return "agent show" }

func (t *agentShowTask) run(ctx context.Context, h *house, c *control.Console) error {
	a, err := t.find(ctx, h)
	if err != nil {
		return err
	}
	releases, err := h.catalog.Releases(ctx, shellOperator(), a.ID)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(c.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "NAME\t%s\nID\t%s\nSLUG\t%s\nCATEGORY\t%s\nSTATE\t%s\n", plain(a.Name), a.ID, a.Slug, a.Category, withReason(string(a.State), a.Reason))
	if !a.Picked.IsZero() {
		fmt.Fprintf(w, "PICKED\t%s\n", a.Picked.UTC().Format(time.RFC3339))
	}
	for _, o := range a.Offers() {
		fmt.Fprintf(w, "OFFER\t%s\n", strings.TrimSpace(o.Price.String()+" "+plain(o.Name)))
	}
	for _, r := range releases {
		fmt.Fprintf(w, "VERSION\t%s\n", withReason(strings.TrimSpace(r.Version+" "+r.Channel)+" "+string(r.State), r.Reason))
	}
	if err := h.formerSlugs(ctx, a.ID, func(slug string) { fmt.Fprintf(w, "FORMER SLUG\t%s\n", slug) }); err != nil {
		return err
	}
	return w.Flush()
}

func withReason(text, reason string) string {
	if reason == "" {
		return text
	}
	return text + ": " + plain(reason)
}

func (h *house) formerSlugs(ctx context.Context, id market.AgentID, each func(slug string)) error {
	return h.db.View(ctx, market.MainTenant, func(tx *store.ReadTx) error {
		for r, err := range store.Redirects.All(tx, "") {
			if err != nil {
				return err
			}
			if r.Agent == id {
				each(r.Slug)
			}
		}
		return nil
	})
}

type agentRenameTask struct {
	agentName
	Slug string `arg:"" help:"The new slug: lower-case letters, digits and single hyphens."`
}

func (*agentRenameTask) name() string { return "agent rename" }

func (t *agentRenameTask) run(ctx context.Context, h *house, c *control.Console) error {
	a, err := t.find(ctx, h)
	if err != nil {
		return err
	}
	if a.Slug == t.Slug {
		return say(c, "%s has this slug already.", a.Slug)
	}
	if err := h.catalog.Rename(ctx, shellOperator(), a.ID, t.Slug); err != nil {
		return err
	}
	return say(c, "%s is %s now, and /agents/%s leads there.", a.Slug, t.Slug, a.Slug)
}

type agentForgetTask struct {
	agentName
	Slug string `arg:"" help:"The former slug."`
}

func (*agentForgetTask) name() string { return "agent forget" }

func (t *agentForgetTask) run(ctx context.Context, h *house, c *control.Console) error {
	a, err := t.find(ctx, h)
	if err != nil {
		return err
	}
	if err := h.catalog.GiveUpSlug(ctx, shellOperator(), a.ID, t.Slug); err != nil {
		return err
	}
	return say(c, "/agents/%s doesn't lead to %s any more.", t.Slug, a.Slug)
}

type agentStateTask struct {
	agentName
	State  string `arg:"" enum:"in_review,changes_requested,approved,published,unlisted,paused,suspended,removed,archived" help:"published, unlisted (for who has its address), paused, suspended, archived, removed, in_review, changes_requested or approved."`
	Reason string `placeholder:"TEXT" help:"Why; kept with the agent. Needed for suspended, removed and changes_requested."`
}

func (*agentStateTask) name() string { return "agent state" }

func (t *agentStateTask) run(ctx context.Context, h *house, c *control.Console) error {
	a, err := t.find(ctx, h)
	if err != nil {
		return err
	}
	if err := h.catalog.Move(ctx, shellOperator(), a.ID, market.ListingState(t.State), t.Reason); err != nil {
		return err
	}
	return say(c, "%s was %s and is %s now.", a.Slug, a.State, t.State)
}

type agentPickTask struct {
	agentName
	Undo bool `help:"Recommend it no longer."`
}

func (*agentPickTask) name() string { return "agent pick" }

func (t *agentPickTask) run(ctx context.Context, h *house, c *control.Console) error {
	a, err := t.find(ctx, h)
	if err != nil {
		return err
	}
	if err := h.catalog.Pick(ctx, shellOperator(), a.ID, !t.Undo); err != nil {
		return err
	}
	if t.Undo {
		return say(c, "%s isn't among the picks.", a.Slug)
	}
	return say(c, "%s is among the picks.", a.Slug)
}

type agentYankTask struct {
	agentName
	Version string `arg:"" help:"The version, as souk agent show prints it."`
	Channel string `placeholder:"NAME" help:"The version's channel, like beta. Default: stable."`
	Reason  string `required:"" placeholder:"TEXT" help:"Why; who owns the version is shown it."`
}

func (*agentYankTask) name() string { return "agent yank" }

func (t *agentYankTask) run(ctx context.Context, h *house, c *control.Console) error {
	a, err := t.find(ctx, h)
	if err != nil {
		return err
	}
	release, err := t.release(ctx, h.catalog, a.ID)
	if err != nil {
		return err
	}
	if err := h.catalog.Yank(ctx, shellOperator(), a.ID, release, t.Reason); err != nil {
		return err
	}
	return say(c, "Version %s of %s is withdrawn.", t.Version, a.Slug)
}

// release is the ID of the version that is to be withdrawn.
func (t *agentYankTask) release(ctx context.Context, shelf *catalog.Catalog, id market.AgentID) (market.ReleaseID, error) {
	list, err := shelf.Releases(ctx, shellOperator(), id)
	if err != nil {
		return "", err
	}
	for _, r := range list {
		if r.Version == t.Version && (r.Channel == t.Channel || r.Channel == "" && t.Channel == "stable") {
			return r.ID, nil
		}
	}
	return "", market.Errorf(market.NotFound, "There is no such version. souk agent show %s lists them, with their channels.", t.Agent)
}

// say prints a sentence.
func say(c *control.Console, format string, args ...any) error {
	_, err := fmt.Fprintf(c.Out, format+"\n", args...)
	return err
}
