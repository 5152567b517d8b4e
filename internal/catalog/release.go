package catalog

import (
	"context"
	"io"
	"slices"

	"github.com/souk-market/souk/internal/blob"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// NewRelease is a version that a seller adds.
type NewRelease struct {
	Version     string // needed; not one that the channel has already
	Channel     string // "beta"; "" is stable
	Notes       string // Markdown
	Permissions []market.PermissionUse
	File        io.Reader // at most MaxReleaseFile bytes
	FileName    string
}

func (n *NewRelease) clean() (r market.AgentRelease, err error) {
	r = market.AgentRelease{
		Release: market.Release{Version: n.Version}, Channel: n.Channel, Notes: n.Notes, Permissions: n.Permissions, State: market.ReleaseLive,
	}
	if err := cleanRelease(&r); err != nil {
		return r, err
	}
	if r.Version == "" {
		return r, market.FieldErrorf("version", "A release has a version, as 1.2.0.")
	}
	if n.File == nil || !isFileName(n.FileName) {
		return r, market.FieldErrorf("file", "A release has a file with a name of 1 to %d bytes, without a folder.", market.MaxName)
	}
	return r, nil
}

// AddRelease adds a version to a listing, for its seller or the operator. It is live at
// once, and those of its channel that it is newer than, by SemVer, are superseded; the newest
// stable one that is live is the one that is sold. Errors: Invalid with the field, Conflict
// for a version that the channel has, NotFound also for those who may not.
func (c *Catalog) AddRelease(ctx context.Context, who *market.Account, blobs *blob.Store, id market.AgentID, n NewRelease) (r market.AgentRelease, err error) {
	fresh, err := n.clean()
	if err != nil {
		return r, err
	}
	ref, err := blobs.Put(ctx, n.File, MaxReleaseFile)
	if err != nil {
		return r, err
	}
	fresh.File = market.File{Name: n.FileName, SHA256: ref.Sum.String(), Size: ref.Size}
	err = c.change(ctx, who, id, func(tx *store.Tx, a *market.Agent) error {
		r = fresh
		r.ID, r.Agent, r.Released = market.NewReleaseID(tx.Now()), a.ID, tx.Now()
		return addRelease(tx, a, &r)
	})
	return r, err
}

func addRelease(tx *store.Tx, a *market.Agent, r *market.AgentRelease) error {
	list, err := wholeHistory(tx, a)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(list, func(o market.AgentRelease) bool { return o.Version == r.Version && o.Channel == r.Channel }) {
		return market.Errorf(market.Conflict, "There is a version %s already. What was released stays as it was; give the next one another number.", r.Version)
	}
	if len(list) == maxReleases {
		return market.Errorf(market.Conflict, "An agent has %d releases at most.", maxReleases)
	}
	list = append(list, *r)
	supersede(list)
	if err := nameBlobs(tx, []market.Blob{{SHA256: r.File.SHA256, Size: r.File.Size}}); err != nil {
		return err
	}
	if _, err := writeReleases(tx, list); err != nil {
		return err
	}
	*r = list[len(list)-1]
	sell(a, list)
	a.Updated = tx.Now()
	return store.Agents.Put(tx, a)
}

// wholeHistory is an agent's history, with the version that is sold in it also where that
// was never recorded.
func wholeHistory(tx store.Reader, a *market.Agent) ([]market.AgentRelease, error) {
	list, err := history(tx, a.ID)
	if err != nil || len(list) > 0 || a.Release.ID == "" || a.Release.File.OnDemand {
		return list, err
	}
	return []market.AgentRelease{{Release: a.Release, Agent: a.ID, State: market.ReleaseLive}}, nil
}

// Yank withdraws a version, for its seller or the operator: nobody can buy it any more, and
// who owns it keeps it and is shown the reason. What is sold is the newest of the others;
// where there is none, the listing must not be on sale (Conflict).
func (c *Catalog) Yank(ctx context.Context, who *market.Account, id market.AgentID, version market.ReleaseID, reason string) error {
	if err := cleanLine("reason", &reason, maxReason); err != nil {
		return err
	}
	if reason == "" {
		return market.FieldErrorf("reason", "Say why: who owns the version is shown the reason.")
	}
	return c.change(ctx, who, id, func(tx *store.Tx, a *market.Agent) error {
		list, err := wholeHistory(tx, a)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(list, func(r market.AgentRelease) bool { return r.ID == version })
		if at < 0 {
			return market.Errorf(market.NotFound, "This agent has no such release.")
		}
		r := &list[at]
		if r.State, err = r.State.To(market.ReleaseYanked); err != nil {
			return err
		}
		r.Reason = reason
		if _, left := sold(list); !left && a.Listed() {
			return market.Errorf(market.Conflict, "This is the only version on sale. Add a release first, or pause the listing.")
		}
		if _, err := writeReleases(tx, list); err != nil {
			return err
		}
		sell(a, list)
		return store.Agents.Put(tx, a)
	})
}

// Releases lists all versions of a listing, withdrawn ones with their reasons included, the
// newest first, for its seller or the operator.
func (c *Catalog) Releases(ctx context.Context, who *market.Account, id market.AgentID) (list []market.AgentRelease, err error) {
	err = c.Store.View(ctx, c.Tenant, func(tx *store.ReadTx) error {
		a, err := ownAgent(tx, who, id)
		if err != nil {
			return err
		}
		list, err = wholeHistory(tx, &a)
		return err
	})
	return list, err
}
