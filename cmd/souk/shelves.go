package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/souk-market/souk/internal/catalog"
	"github.com/souk-market/souk/internal/control"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

type categoryCmd struct {
	List   doing[categoryListTask, *categoryListTask]     `cmd:"" help:"Print the categories in their order, with their numbers of published agents."`
	Put    doing[categoryPutTask, *categoryPutTask]       `cmd:"" help:"Make a category, or change one."`
	Remove doing[categoryRemoveTask, *categoryRemoveTask] `cmd:"" help:"Take a category's shelf away; its agents keep the category."`
}

type tagCmd struct {
	List    doing[tagListTask, *tagListTask]       `cmd:"" help:"Print which tags stand for others."`
	Merge   doing[tagMergeTask, *tagMergeTask]     `cmd:"" help:"Make one tag stand for another, also on the agents that have it."`
	Unmerge doing[tagUnmergeTask, *tagUnmergeTask] `cmd:"" help:"End that a tag stands for another; agents keep the tags that they have."`
}

type pageCmd struct {
	List doing[pageListTask, *pageListTask] `cmd:"" help:"Print the static pages: your own, and the default ones."`
	Put  pagePutCmd                         `cmd:"" help:"Write a static page from a Markdown file."`
}

func newCategoryCmd() (c categoryCmd) {
	c.List.settingsFlags, c.Put.settingsFlags, c.Remove.settingsFlags = taskFlags(), taskFlags(), taskFlags()
	return c
}

func newTagCmd() (c tagCmd) {
	c.List.settingsFlags, c.Merge.settingsFlags, c.Unmerge.settingsFlags = taskFlags(), taskFlags(), taskFlags()
	return c
}

func newPageCmd() (c pageCmd) {
	c.List.settingsFlags, c.Put.settingsFlags = taskFlags(), taskFlags()
	return c
}

type categoryListTask struct{}

func (*categoryListTask) name() string { return "category list" }

func (*categoryListTask) run(ctx context.Context, h *house, c *control.Console) error {
	w := tabwriter.NewWriter(c.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CATEGORY\tBELOW\tAGENTS\tPLACE\tTITLE")
	err := h.db.View(ctx, market.MainTenant, func(tx *store.ReadTx) error {
		tree, err := catalog.Shelves(tx)
		if err != nil {
			return err
		}
		counts, err := catalog.ShelfCounts(tx)
		if err != nil {
			return err
		}
		row := func(s market.Shelf, below string) {
			fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\n", s.Category, below, counts[s.Category], s.Place, plain(s.Title))
		}
		for _, b := range tree {
			row(b.Shelf, "-")
			for _, s := range b.Below {
				row(s, string(b.Category))
			}
		}
		for _, s := range counts.Loose(tree) {
			row(s, "(no shelf)")
		}
		return nil
	})
	if err != nil {
		return err
	}
	return w.Flush()
}

type categoryPutTask struct {
	Category string  `arg:"" help:"Its slug: lower-case letters, digits and single hyphens."`
	Title    string  `placeholder:"TEXT" help:"What it is called. Needed for a new one."`
	Line     *string `placeholder:"TEXT" help:"What is in it, in a few words."`
	Below    *string `placeholder:"CATEGORY" help:"The category of the top level that it stands below; \"\" is none."`
	Place    *int    `placeholder:"N" help:"Its place among its siblings, the smallest first."`
}

func (*categoryPutTask) name() string { return "category put" }

func (t *categoryPutTask) run(ctx context.Context, h *house, c *control.Console) error {
	s := market.Shelf{Category: market.Category(t.Category)}
	err := h.db.View(ctx, market.MainTenant, func(tx *store.ReadTx) error {
		tree, err := catalog.Shelves(tx)
		if was := tree.Shelf(s.Category); was != market.ShelfInWords(s.Category) {
			s = was
		}
		return err
	})
	if err != nil {
		return err
	}
	t.change(&s)
	if s.Title == "" {
		return market.FieldErrorf("title", "There is no category %q yet. Say what it is called, with --title.", t.Category)
	}
	if err := h.catalog.PutShelf(ctx, shellOperator(), s); err != nil {
		return err
	}
	return say(c, "The category %s is called %s.", s.Category, plain(s.Title))
}

func (t *categoryPutTask) change(s *market.Shelf) {
	if t.Title != "" {
		s.Title = t.Title
	}
	if t.Line != nil {
		s.Line = *t.Line
	}
	if t.Below != nil {
		s.Parent = market.Category(*t.Below)
	}
	if t.Place != nil {
		s.Place = *t.Place
	}
}

type categoryRemoveTask struct {
	Category string `arg:"" help:"Its slug."`
}

func (*categoryRemoveTask) name() string { return "category remove" }

func (t *categoryRemoveTask) run(ctx context.Context, h *house, c *control.Console) error {
	if err := h.catalog.RemoveShelf(ctx, shellOperator(), market.Category(t.Category)); err != nil {
		return err
	}
	return say(c, "There is no shelf for the category %s. Agents in it are found, and shown under its slug.", t.Category)
}

type tagListTask struct{}

func (*tagListTask) name() string { return "tag list" }

func (*tagListTask) run(ctx context.Context, h *house, c *control.Console) error {
	w := tabwriter.NewWriter(c.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TAG\tSTANDS FOR")
	err := h.db.View(ctx, market.MainTenant, func(tx *store.ReadTx) error {
		for a, err := range store.TagAliases.All(tx, "") {
			if err != nil {
				return err
			}
			fmt.Fprintf(w, "%s\t%s\n", a.Alias, a.Tag)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return w.Flush()
}

type tagMergeTask struct {
	Tag  string `arg:"" help:"The tag that is to stand for another, like pg."`
	Into string `arg:"" help:"The tag that agents get in its place, like postgres."`
}

func (*tagMergeTask) name() string { return "tag merge" }

func (t *tagMergeTask) run(ctx context.Context, h *house, c *control.Console) error {
	changed, err := h.catalog.MergeTags(ctx, shellOperator(), market.Tag(t.Tag), market.Tag(t.Into))
	if err != nil {
		return unfinished(err, "The merge was broken off after %s. Run it again, and it goes on.", count(changed, "agent", "agents"))
	}
	return say(c, "%s stands for %s now. %s changed.", t.Tag, t.Into, count(changed, "agent was", "agents were"))
}

type tagUnmergeTask struct {
	Tag string `arg:"" help:"The tag that stands for another."`
}

func (*tagUnmergeTask) name() string { return "tag unmerge" }

func (t *tagUnmergeTask) run(ctx context.Context, h *house, c *control.Console) error {
	if err := h.catalog.UnmergeTag(ctx, shellOperator(), market.Tag(t.Tag)); err != nil {
		return err
	}
	return say(c, "%s stands for itself.", t.Tag)
}

type pageListTask struct{}

func (*pageListTask) name() string { return "page list" }

func (*pageListTask) run(ctx context.Context, h *house, c *control.Console) error {
	w := tabwriter.NewWriter(c.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "PAGE\tWRITTEN\tTITLE\tBRIEF")
	err := h.db.View(ctx, market.MainTenant, func(tx *store.ReadTx) error {
		pages, err := catalog.StaticPages(tx)
		for _, p := range pages {
			written := "(default)"
			if !p.Updated.IsZero() {
				written = p.Updated.UTC().Format("2006-01-02")
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", p.Slug, written, plain(p.Title), firstWords(p.Brief))
		}
		return err
	})
	if err != nil {
		return err
	}
	return w.Flush()
}

// pagePutCmd reads the file here: the server that writes the page may run elsewhere.
type pagePutCmd struct {
	settingsFlags
	pagePutTask
	From string `arg:"" name:"file" help:"Its text in Markdown; - for standard input."`
}

func (c *pagePutCmd) Run(ctx context.Context) error {
	in := io.ReadCloser(os.Stdin)
	if c.From != "-" {
		f, err := os.Open(c.From)
		if err != nil {
			return err
		}
		in = f
	}
	defer in.Close()
	body, err := io.ReadAll(io.LimitReader(in, market.MaxText+1)) // one more is refused
	if err != nil {
		return fmt.Errorf("souk: reading the page: %w", err)
	}
	c.Body = string(body)
	return c.do(ctx, &c.pagePutTask)
}

type pagePutTask struct {
	Page  string `arg:"" help:"Its slug, as in /pages/refunds."`
	Title string `required:"" placeholder:"TEXT" help:"What it is called."`
	Brief string `placeholder:"TEXT" help:"Of the pages refunds and terms: what agents' pages say of refunds and of the licence, and orders keep."`
	Body  string `kong:"-"` // Markdown
}

func (*pagePutTask) name() string { return "page put" }

func (t *pagePutTask) run(ctx context.Context, h *house, c *control.Console) error {
	p := market.StaticPage{Slug: t.Page, Title: t.Title, Brief: t.Brief, Body: t.Body}
	if err := h.catalog.PutPage(ctx, shellOperator(), p); err != nil {
		return err
	}
	return say(c, "/pages/%s is written.", t.Page)
}
