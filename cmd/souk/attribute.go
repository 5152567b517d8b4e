package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/souk-market/souk/internal/control"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

type attributeCmd struct {
	List   doing[attributeListTask, *attributeListTask]     `cmd:"" help:"Print the attributes that you have declared."`
	Put    doing[attributePutTask, *attributePutTask]       `cmd:"" help:"Declare an attribute of agents, or change one."`
	Remove doing[attributeRemoveTask, *attributeRemoveTask] `cmd:"" help:"End an attribute; what agents say to it is shown no more."`
}

func newAttributeCmd() (c attributeCmd) {
	c.List.settingsFlags, c.Put.settingsFlags, c.Remove.settingsFlags = taskFlags(), taskFlags(), taskFlags()
	return c
}

type attributeListTask struct{}

func (*attributeListTask) name() string { return "attribute list" }

func (*attributeListTask) run(ctx context.Context, h *house, c *control.Console) error {
	w := tabwriter.NewWriter(c.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ATTRIBUTE\tKIND\tPLACE\tTITLE\tCHOICES")
	err := h.db.View(ctx, market.MainTenant, func(tx *store.ReadTx) error {
		for a, err := range store.Attributes.All(tx, "") {
			if err != nil {
				return err
			}
			fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\n", a.Name, a.Kind, a.Place, plain(a.Title), plain(strings.Join(a.Choices, ", ")))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return w.Flush()
}

type attributePutTask struct {
	Attribute string   `arg:"" help:"Its name: lower-case letters, digits and single hyphens."`
	Title     string   `required:"" placeholder:"TEXT" help:"What agents' pages call it."`
	Kind      string   `enum:"text,number,yes-no,choice" default:"text" help:"text, number, yes-no or choice. Default: text."`
	Choice    []string `sep:"none" placeholder:"TEXT" help:"A value of the kind choice. May be repeated."`
	Place     int      `placeholder:"N" help:"Its place among others, the smallest first."`
}

func (*attributePutTask) name() string { return "attribute put" }

func (t *attributePutTask) run(ctx context.Context, h *house, c *control.Console) error {
	a := market.Attribute{
		Name: market.AttributeName(t.Attribute), Title: t.Title, Kind: market.AttributeKind(t.Kind), Choices: t.Choice, Place: t.Place,
	}
	if err := h.catalog.PutAttribute(ctx, shellOperator(), a); err != nil {
		return err
	}
	return say(c, "Agents have the attribute %s now. souk agent set AGENT %s=VALUE, or an import, gives it to one.", a.Name, a.Name)
}

type attributeRemoveTask struct {
	Attribute string `arg:"" help:"Its name."`
}

func (*attributeRemoveTask) name() string { return "attribute remove" }

func (t *attributeRemoveTask) run(ctx context.Context, h *house, c *control.Console) error {
	if err := h.catalog.RemoveAttribute(ctx, shellOperator(), market.AttributeName(t.Attribute)); err != nil {
		return err
	}
	return say(c, "There is no attribute %s any more.", t.Attribute)
}

type agentSetTask struct {
	agentName
	Values []string `arg:"" name:"attribute=value" help:"What it says to an attribute; attribute= takes that away."`
}

func (*agentSetTask) name() string { return "agent set" }

func (t *agentSetTask) run(ctx context.Context, h *house, c *control.Console) error {
	a, err := t.find(ctx, h)
	if err != nil {
		return err
	}
	texts := map[string]string{}
	for _, v := range t.Values {
		name, text, ok := strings.Cut(v, "=")
		if !ok {
			return market.Errorf(market.Invalid, "%q says nothing: write ATTRIBUTE=VALUE.", v)
		}
		texts[name] = text
	}
	if err := h.catalog.SetAttributes(ctx, shellOperator(), a.ID, texts); err != nil {
		return err
	}
	return say(c, "%s says so now.", a.Slug)
}
