package catalog

import (
	"cmp"
	"slices"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// Tree is the shelves in the order in which they are shown, in two levels.
type Tree []Branch

// Branch is a shelf of the top level with those below it.
type Branch struct {
	market.Shelf
	Below []market.Shelf
}

// Shelves returns the shelves of the marketplace: its own, or market.DefaultShelves where
// it has none. It reads no counts, so that what is made of it alone, as a page's navigation,
// is current until the operator changes a shelf.
func Shelves(tx store.Reader) (Tree, error) {
	var own []market.Shelf
	for s, err := range store.Shelves.All(tx, "") {
		if err != nil {
			return nil, err
		}
		own = append(own, s)
	}
	if len(own) == 0 {
		return defaultTree, nil
	}
	return treeOf(own), nil
}

var defaultTree = treeOf(market.DefaultShelves())

// treeOf puts shelves in their order and below their parents. One whose parent isn't there,
// or isn't of the top level, stands at the top.
func treeOf(shelves []market.Shelf) Tree {
	shelves = slices.Clone(shelves)
	slices.SortStableFunc(shelves, func(a, b market.Shelf) int {
		return cmp.Or(cmp.Compare(a.Place, b.Place), cmp.Compare(a.Category, b.Category))
	})
	top := map[market.Category]bool{}
	for _, s := range shelves {
		top[s.Category] = s.Parent == ""
	}
	var t Tree
	at := map[market.Category]int{}
	for _, s := range shelves {
		if !top[s.Parent] {
			at[s.Category] = len(t)
			t = append(t, Branch{Shelf: s})
		}
	}
	for _, s := range shelves {
		if top[s.Parent] {
			b := &t[at[s.Parent]]
			b.Below = append(b.Below, s)
		}
	}
	return t
}

// Path is the way to a category: its shelf, with the parent's before it. One that has no
// shelf is shown by its slug, in words.
func (t Tree) Path(c market.Category) []market.Shelf {
	for _, b := range t {
		if b.Category == c {
			return []market.Shelf{b.Shelf}
		}
		for _, s := range b.Below {
			if s.Category == c {
				return []market.Shelf{b.Shelf, s}
			}
		}
	}
	return []market.Shelf{market.ShelfInWords(c)}
}

// Shelf is the shelf of a category.
func (t Tree) Shelf(c market.Category) market.Shelf {
	path := t.Path(c)
	return path[len(path)-1]
}

// Below are the shelves below a category, none for one of the second level.
func (t Tree) Below(c market.Category) []market.Shelf {
	for _, b := range t {
		if b.Category == c {
			return b.Below
		}
	}
	return nil
}

// Within are a category and those below it: what a listing of the category holds.
func (t Tree) Within(c market.Category) []market.Category {
	all := []market.Category{c}
	for _, s := range t.Below(c) {
		all = append(all, s.Category)
	}
	return all
}

// Counts is the number of published agents of each category, those below it not counted.
type Counts map[market.Category]int

// ShelfCounts returns the counts. What is made of them changes with every agent that is
// published or leaves.
func ShelfCounts(tx store.Reader) (Counts, error) {
	return store.Counts(tx, store.AgentsInCategory)
}

// Of is the number of published agents of a category and of those below it.
func (n Counts) Of(t Tree, c market.Category) (total int) {
	for _, of := range t.Within(c) {
		total += n[of]
	}
	return total
}

// Loose are the categories that have agents and no shelf, the largest first.
func (n Counts) Loose(t Tree) []market.Shelf {
	shelved := map[market.Category]bool{}
	for _, b := range t {
		for _, c := range t.Within(b.Category) {
			shelved[c] = true
		}
	}
	var loose []market.Shelf
	for c, agents := range n {
		if agents > 0 && !shelved[c] {
			loose = append(loose, market.ShelfInWords(c))
		}
	}
	slices.SortFunc(loose, func(a, b market.Shelf) int {
		return cmp.Or(cmp.Compare(n[b.Category], n[a.Category]), cmp.Compare(a.Category, b.Category))
	})
	return loose
}
