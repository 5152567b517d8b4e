package catalog

import (
	"context"
	"time"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// Edit is a change of a listing: what is nil stays.
type Edit struct {
	Name     *string
	Summary  *string
	Category *market.Category
	Offers   []market.Offer // all of them; one that has the name of one that is there keeps its ID
	Tags     *[]market.Tag
	Facts    *market.Facts
	Text     *market.AgentText
	Images   *[]market.Image // in the blob store already, as internal/media has made them
}

// Edit changes a listing, for its seller or the operator. Errors: Invalid with the field,
// NotFound also for those who may not.
func (c *Catalog) Edit(ctx context.Context, who *market.Account, id market.AgentID, e Edit) (a market.Agent, err error) {
	err = c.change(ctx, who, id, func(tx *store.Tx, mine *market.Agent) error {
		a = *mine
		if err := e.apply(tx, &a); err != nil {
			return err
		}
		a.Updated = tx.Now()
		if err := nameBlobs(tx, blobsOf(&a)); err != nil {
			return err
		}
		if err := NamePictures(tx, &a); err != nil {
			return err
		}
		if e.Text != nil {
			text := *e.Text
			text.Agent = a.ID
			if err := store.Texts.Put(tx, &text); err != nil {
				return err
			}
		}
		return store.Agents.Put(tx, &a)
	})
	return a, err
}

// change runs fn on a listing that the account may change.
func (c *Catalog) change(ctx context.Context, who *market.Account, id market.AgentID, fn func(tx *store.Tx, a *market.Agent) error) error {
	_, err := c.Store.Update(ctx, c.Tenant, store.Op{Class: store.UserData}, func(tx *store.Tx) error {
		a, err := ownAgent(tx, who, id)
		if err != nil {
			return err
		}
		return fn(tx, &a)
	})
	return err
}

func (e *Edit) apply(tx store.Reader, a *market.Agent) error {
	setTo(&a.Name, e.Name)
	setTo(&a.Summary, e.Summary)
	setTo(&a.Category, e.Category)
	setTo(&a.Facts, e.Facts)
	setTo(&a.Images, e.Images)
	if err := cleanNames(&a.Name, &a.Summary, a.Category); err != nil {
		return err
	}
	if err := a.Facts.Clean(); err != nil {
		return err
	}
	if len(a.Images) > market.MaxImages {
		return market.FieldErrorf("images", "An agent has %d pictures at most.", market.MaxImages)
	}
	if e.Text != nil {
		if err := cleanAgentText(e.Text); err != nil {
			return err
		}
	}
	if e.Offers != nil {
		if err := cleanOffers(e.Offers); err != nil {
			return err
		}
		setOffers(a, e.Offers)
	}
	if e.Tags == nil {
		return nil
	}
	al, err := readAliases(tx)
	if err != nil {
		return err
	}
	a.Tags, err = al.cleanTags(*e.Tags)
	return err
}

func setTo[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// Rename gives a listing another slug, for its seller or the operator. The one that it had
// leads to it from now on, and those from before go on doing so; a slug that it had before
// may be taken back. Conflict when the slug is another agent's, now or from before.
func (c *Catalog) Rename(ctx context.Context, who *market.Account, id market.AgentID, slug string) error {
	if !isSlug(slug, market.MaxSlug) {
		return badSlug("slug", slug)
	}
	return c.change(ctx, who, id, func(tx *store.Tx, a *market.Agent) error {
		taken, err := slugTaken(tx, slug, a.ID)
		if err != nil {
			return err
		}
		if taken {
			return market.Errorf(market.Conflict, "There is already an agent with this slug. Choose another.")
		}
		old := a.Slug
		a.Slug = slug
		return putAgent(tx, a, old)
	})
}

// GiveUpSlug ends that a slug from before leads to a listing, for its seller or the operator:
// others may have it then. NotFound when it isn't one of the listing's.
func (c *Catalog) GiveUpSlug(ctx context.Context, who *market.Account, id market.AgentID, slug string) error {
	return c.change(ctx, who, id, func(tx *store.Tx, a *market.Agent) error {
		r, err := store.Redirects.Load(tx, slug)
		if err != nil || r.Agent != a.ID {
			return notFoundAs(err, market.Errorf(market.NotFound, "This agent never had the slug %q.", slug))
		}
		return store.Redirects.Delete(tx, slug)
	})
}

// sellerMoves are the states that a listing's seller may bring it into. All others are the
// operator's, and so is every way out of ListingSuspended.
var sellerMoves = map[market.ListingState]bool{
	market.ListingInReview: true, market.ListingPublished: true, market.ListingUnlisted: true, market.ListingPaused: true, market.ListingArchived: true,
}

// needsReason are the states that nobody brings a listing into without saying why.
var needsReason = map[market.ListingState]bool{
	market.ListingSuspended: true, market.ListingRemoved: true, market.ListingChangesRequested: true,
}

// Move brings a listing into another state, along the arrows of market.ListingState. The
// reason is kept with the listing while it is in the state. Errors: Conflict where there is
// no such arrow, Forbidden for a seller where only the operator may, Invalid without a
// reason where one is needed.
func (c *Catalog) Move(ctx context.Context, who *market.Account, id market.AgentID, next market.ListingState, reason string) error {
	if err := cleanLine("reason", &reason, maxReason); err != nil {
		return err
	}
	if needsReason[next] && reason == "" {
		return market.FieldErrorf("reason", "Say why: the seller is shown the reason.")
	}
	return c.change(ctx, who, id, func(tx *store.Tx, a *market.Agent) error {
		if !sellerMoves[next] || a.State == market.ListingSuspended || a.State == market.ListingInReview && next != market.ListingArchived {
			if err := operatorOnly(who); err != nil {
				return err
			}
		}
		to, err := a.State.To(next)
		if err != nil {
			return err
		}
		if to == market.ListingPublished && a.Release.File.SHA256 == "" {
			return market.Errorf(market.Conflict, "There is no version to sell yet. Add a release first.")
		}
		a.State, a.Reason = to, reason
		return store.Agents.Put(tx, a)
	})
}

// Pick puts a listing among those that the home page recommends, or takes it from there.
// Only the operator may.
func (c *Catalog) Pick(ctx context.Context, who *market.Account, id market.AgentID, picked bool) error {
	if err := operatorOnly(who); err != nil {
		return err
	}
	return c.change(ctx, who, id, func(tx *store.Tx, a *market.Agent) error {
		if picked == !a.Picked.IsZero() {
			return nil
		}
		if a.Picked = (time.Time{}); picked {
			a.Picked = tx.Now()
		}
		return store.Agents.Put(tx, a)
	})
}
