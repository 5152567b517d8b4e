package catalog

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// attributes are those that the operator has declared.
type attributes map[market.AttributeName]market.Attribute

func readAttributes(tx store.Reader) (attributes, error) {
	known := attributes{}
	for a, err := range store.Attributes.All(tx, "") {
		if err != nil {
			return nil, err
		}
		known[a.Name] = a
	}
	return known, nil
}

// values are texts as values of the attributes, sorted by name. Invalid for one that isn't
// declared, or isn't of its kind.
func (known attributes) values(texts map[string]string) ([]market.AttributeValue, error) {
	if len(texts) > market.MaxAttributes {
		return nil, market.FieldErrorf("attributes", "An agent has %d attributes at most.", market.MaxAttributes)
	}
	var list []market.AttributeValue
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		a, ok := known[market.AttributeName(name)]
		if !ok {
			return nil, market.FieldErrorf("attributes", "There is no attribute %q. They come from %s, or are made by souk attribute put.", name, AttributesFile)
		}
		value, err := a.Value(texts[name])
		if err != nil {
			return nil, err
		}
		list = append(list, market.AttributeValue{Name: a.Name, Value: value})
	}
	return list, nil
}

// Said is what an agent says to an attribute.
type Said struct {
	market.Attribute
	Value string
}

// said are an agent's values in the order of the attributes. One whose attribute has gone, or
// has another kind since, isn't among them.
func (known attributes) said(values []market.AttributeValue) []Said {
	var list []Said
	for _, v := range values {
		a, ok := known[v.Name]
		if !ok {
			continue
		}
		if value, err := a.Value(v.Value); err == nil {
			list = append(list, Said{a, value})
		}
	}
	slices.SortFunc(list, func(a, b Said) int { return cmp.Or(cmp.Compare(a.Place, b.Place), cmp.Compare(a.Name, b.Name)) })
	return list
}

// saidBy is said for one agent; of an agent without values it reads nothing.
func saidBy(tx store.Reader, a *market.Agent) ([]Said, error) {
	if len(a.Attributes) == 0 {
		return nil, nil
	}
	known, err := readAttributes(tx)
	return known.said(a.Attributes), err
}

// PutAttribute declares an attribute, or changes the one of its name: agents keep what they
// say, and what isn't of the new kind is shown no more. Only the operator may.
func (c *Catalog) PutAttribute(ctx context.Context, who *market.Account, a market.Attribute) error {
	if err := operatorOnly(who); err != nil {
		return err
	}
	if err := a.Clean(); err != nil {
		return err
	}
	_, err := c.Store.Update(ctx, c.Tenant, store.Op{Class: store.UserData}, func(tx *store.Tx) error {
		return store.Attributes.Put(tx, &a)
	})
	return err
}

// RemoveAttribute ends an attribute: what agents say to it is shown no more. Only the
// operator may.
func (c *Catalog) RemoveAttribute(ctx context.Context, who *market.Account, name market.AttributeName) error {
	if err := operatorOnly(who); err != nil {
		return err
	}
	_, err := c.Store.Update(ctx, c.Tenant, store.Op{Class: store.UserData}, func(tx *store.Tx) error {
		if _, err := store.Attributes.Load(tx, name); err != nil {
			return notFoundAs(err, market.Errorf(market.NotFound, "There is no attribute %q.", name))
		}
		return store.Attributes.Delete(tx, name)
	})
	return err
}

// SetAttributes gives a listing values of attributes, for its seller or the operator; "" takes
// one away, and others stay. Errors: Invalid, NotFound also for those who may not.
func (c *Catalog) SetAttributes(ctx context.Context, who *market.Account, id market.AgentID, texts map[string]string) error {
	return c.change(ctx, who, id, func(tx *store.Tx, a *market.Agent) error {
		known, err := readAttributes(tx)
		if err != nil {
			return err
		}
		all := map[string]string{}
		for _, s := range known.said(a.Attributes) {
			all[string(s.Name)] = s.Value
		}
		for name, text := range texts {
			if all[name] = text; text == "" {
				delete(all, name)
			}
		}
		if a.Attributes, err = known.values(all); err != nil {
			return err
		}
		a.Updated = tx.Now()
		return store.Agents.Put(tx, a)
	})
}
