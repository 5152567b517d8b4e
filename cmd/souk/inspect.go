package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/souk-market/souk/internal/control"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

type inspectCmd struct {
	settingsFlags
	inspectTask
}

func (c *inspectCmd) Run(ctx context.Context) error {
	_, err := strconv.ParseUint(c.After, 10, 64)
	switch {
	case c.Log && (c.Table != "" || c.Prefix != "" || c.Raw || c.Secrets || c.Tenant != ""):
		return usageError("--log shows the whole change log: it takes --after LSN, --limit and --pretty.")
	case c.Log && c.After != "" && err != nil:
		return usageError(fmt.Sprintf("%q is no LSN. With --log, --after takes the number of a commit.", c.After))
	case c.Key != "" && c.Prefix != "":
		return usageError("Give a key or --prefix, not both.")
	}
	return c.do(ctx, &c.inspectTask)
}

// inspectTask prints what is in the database, a JSON object for each thing.
type inspectTask struct {
	Table   string `arg:"" optional:"" help:"A table, like orders. Default: list the tables with the number of their records."`
	Key     string `arg:"" optional:"" help:"The key of one record, like ord_…."`
	Prefix  string `placeholder:"TEXT" help:"Only records whose keys begin with this."`
	Tenant  string `placeholder:"ID" help:"Only this tenant's."`
	Log     bool   `help:"Show the change log: which commit changed which keys."`
	After   string `placeholder:"CURSOR" help:"Go on after this \"cursor\" of an earlier line; with --log after this LSN."`
	Limit   uint32 `placeholder:"N" help:"At most this many. Default: all."`
	Secrets bool   `help:"Show what is masked otherwise: password hashes, sessions, carts, receipts, license keys."`
	Raw     bool   `help:"Show keys of every kind with the size of their values, instead of records."`
	Pretty  bool   `help:"Print each object on several lines. Default: one a line."`
}

func (*inspectTask) name() string { return "inspect" }

func (t *inspectTask) run(ctx context.Context, h *house, c *control.Console) error {
	enc := json.NewEncoder(c.Out)
	enc.SetEscapeHTML(false)
	if t.Pretty {
		enc.SetIndent("", "  ")
	}
	show := t.showRecords
	switch {
	case t.Log:
		show = t.showLog
	case t.Table == "" && t.Prefix == "" && !t.Raw:
		show = t.showTables
	}
	return unfinished(show(ctx, h, c, enc), "This was broken off; there is more.")
}

// tableLine is a table with the number of its records.
type tableLine struct {
	Table   string `json:"table"`
	Records int    `json:"records"`
}

func (t *inspectTask) showTables(ctx context.Context, h *house, c *control.Console, enc *json.Encoder) error {
	var bad badRecords
	seen := 0
	for _, name := range store.TableNames() {
		line := tableLine{Table: name}
		for r, err := range h.db.Inspect(ctx, store.InspectQuery{Tenant: market.TenantID(t.Tenant), Table: name}) {
			if r.Key == "" && err != nil {
				return err
			}
			bad.note(c.Out, err)
			line.Records++
			if seen++; seen%1024 == 0 {
				c.Show(control.Progress{Note: fmt.Sprintf("%d records counted", seen)})
			}
		}
		if err := enc.Encode(line); err != nil {
			return err
		}
	}
	return bad.err()
}

func (t *inspectTask) showRecords(ctx context.Context, h *house, c *control.Console, enc *json.Encoder) error {
	var bad badRecords
	q := store.InspectQuery{
		Tenant: market.TenantID(t.Tenant), Table: t.Table, ID: t.Key, Prefix: t.Prefix,
		After: store.Cursor(t.After), Limit: int(t.Limit), Secrets: t.Secrets, Raw: t.Raw,
	}
	found := false
	for r, err := range h.db.Inspect(ctx, q) {
		if r.Key == "" && err != nil {
			return err
		}
		found = true
		bad.note(c.Out, err)
		if err != nil {
			continue
		}
		if err := enc.Encode(r); err != nil {
			return err
		}
	}
	if !found && t.Key != "" {
		return market.Errorf(market.NotFound, "There is no %.100q in %s.", t.Key, t.Table)
	}
	return bad.err()
}

func (t *inspectTask) showLog(ctx context.Context, h *house, c *control.Console, enc *json.Encoder) error {
	after, err := strconv.ParseUint(t.After, 10, 64)
	if t.After != "" && err != nil {
		return fmt.Errorf("souk: the LSN %q: %w", t.After, err)
	}
	var bad badRecords
	for change, err := range h.db.InspectLog(ctx, store.LSN(after), int(t.Limit)) {
		if change.LSN == 0 && err != nil {
			return err
		}
		bad.note(c.Out, err)
		if err != nil {
			continue
		}
		if err := enc.Encode(change); err != nil {
			return err
		}
	}
	return bad.err()
}

// badRecords counts the records that can't be read. Each has a line among the others, so
// that one doesn't hide the rest.
type badRecords int

func (b *badRecords) note(out io.Writer, err error) {
	if err == nil {
		return
	}
	*b++
	line, _ := json.Marshal(map[string]string{"error": err.Error()}) // texts always are JSON
	fmt.Fprintf(out, "%s\n", line)
}

func (b badRecords) err() error {
	if b == 0 {
		return nil
	}
	return market.Errorf(market.Internal, "%d of these can't be read. Keep the directory as it is, run souk check, and restore from the replica into a new one.", int(b))
}
