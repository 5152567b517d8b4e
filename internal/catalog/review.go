package catalog

import (
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// putReview writes a review, and with it its agent's rating: the two never differ. old is
// the review as it was; without an ID there was none.
func putReview(tx *store.Tx, a *market.Agent, old, r *market.Review) error {
	was := a.Rating
	if old.ID != "" && old.Counts() {
		a.Rating.Stars[old.Stars-1]--
	}
	if r.Counts() {
		a.Rating.Stars[r.Stars-1]++
	}
	if err := store.Reviews.Put(tx, r); err != nil {
		return err
	}
	if a.Rating == was {
		return nil
	}
	return store.Agents.Put(tx, a)
}
