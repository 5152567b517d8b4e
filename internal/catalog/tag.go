package catalog

import (
	"context"
	"slices"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// newAlias is an alias in the form that is stored.
func newAlias(alias, tag market.Tag) (market.TagAlias, error) {
	a := market.TagAlias{Alias: market.Tag(market.Slug(string(alias))), Tag: market.Tag(market.Slug(string(tag)))}
	if a.Alias == "" || a.Tag == "" || a.Alias == a.Tag || len(a.Alias) > market.MaxTagLen || len(a.Tag) > market.MaxTagLen {
		return a, market.FieldErrorf("tag", "An alias is one tag of 1 to %d bytes that stands for another.", market.MaxTagLen)
	}
	return a, nil
}

const (
	tagScan  = 2_000 // agents looked at in one snapshot
	tagBatch = 80    // agents changed in one transaction
)

// MergeTags makes alias stand for tag, for agents to come and for those that have it, and
// returns how many it changed. What stood for alias stands for tag as well. Only the operator
// may. After an error merging again goes on where it stopped.
func (c *Catalog) MergeTags(ctx context.Context, who *market.Account, alias, tag market.Tag) (changed int, err error) {
	if err := operatorOnly(who); err != nil {
		return 0, err
	}
	merged, err := newAlias(alias, tag)
	if err != nil {
		return 0, err
	}
	_, err = c.Store.Update(ctx, c.Tenant, store.Op{Class: store.UserData}, func(tx *store.Tx) error { return putAlias(tx, merged) })
	for after, more := market.AgentID(""), true; more && err == nil; {
		var batch []market.AgentID
		if batch, after, more, err = c.tagged(ctx, merged.Alias, after); err == nil && len(batch) > 0 {
			err = c.retag(ctx, batch)
			changed += len(batch)
		}
	}
	return changed, err
}

// putAlias writes an alias so that one step leads from every alias to its tag.
func putAlias(tx *store.Tx, a market.TagAlias) error {
	al, err := readAliases(tx)
	if err != nil {
		return err
	}
	asked := a.Tag
	if end, ok := al[a.Tag]; ok {
		a.Tag = end
	}
	if a.Tag == a.Alias {
		return market.Errorf(market.Conflict, "%q stands for %q already. Take that back first.", asked, a.Alias)
	}
	for other, to := range al {
		if to == a.Alias {
			if err := store.TagAliases.Put(tx, &market.TagAlias{Alias: other, Tag: a.Tag}); err != nil {
				return err
			}
		}
	}
	return store.TagAliases.Put(tx, &a)
}

// tagged returns up to tagBatch agents after one that have a tag, and where to go on.
func (c *Catalog) tagged(ctx context.Context, tag market.Tag, after market.AgentID) (ids []market.AgentID, next market.AgentID, more bool, err error) {
	err = c.Store.View(ctx, c.Tenant, func(tx *store.ReadTx) error {
		looked := 0
		for a, err := range store.Agents.All(tx, after) {
			if err != nil {
				return err
			}
			if looked == tagScan || len(ids) == tagBatch {
				more = true
				return nil
			}
			if looked, next = looked+1, a.ID; slices.Contains(a.Tags, tag) {
				ids = append(ids, a.ID)
			}
		}
		return nil
	})
	return ids, next, more, err
}

// retag brings the tags of agents into the form that the aliases give them.
func (c *Catalog) retag(ctx context.Context, ids []market.AgentID) error {
	_, err := c.Store.Update(ctx, c.Tenant, store.Op{Class: store.UserData}, func(tx *store.Tx) error {
		al, err := readAliases(tx)
		if err != nil {
			return err
		}
		for _, id := range ids {
			a, err := store.Agents.Load(tx, id)
			if market.Is(err, market.NotFound) {
				continue
			}
			if err == nil {
				a.Tags, err = al.cleanTags(a.Tags)
			}
			if err == nil {
				err = store.Agents.Put(tx, &a)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

// UnmergeTag ends that an alias stands for another tag. Agents keep the tags that they have.
// Only the operator may.
func (c *Catalog) UnmergeTag(ctx context.Context, who *market.Account, alias market.Tag) error {
	if err := operatorOnly(who); err != nil {
		return err
	}
	_, err := c.Store.Update(ctx, c.Tenant, store.Op{Class: store.UserData}, func(tx *store.Tx) error {
		return store.TagAliases.Delete(tx, alias)
	})
	return err
}
