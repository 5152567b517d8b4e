package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/souk-market/souk/internal/control"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/replica"
)

type replicaListCmd struct {
	settingsFlags
	replicaSelection
	JSON bool `name:"json" help:"Print a JSON object a line for each replica."`
}

// replicaSelection is which replicas a command looks at by itself, without the server.
type replicaSelection struct {
	From    []string `sep:"none" placeholder:"URL" help:"The replica to look at. May be repeated. Default: each one that is configured."`
	KeyFile string   `placeholder:"FILE" help:"The file with the key of the replicas, or - for standard input, when it isn't the configured one."`
}

// open makes the clients of the selected replicas. Where none is named or configured they
// are those that the directory's running server was given.
func (s *replicaSelection) open(ctx context.Context, cfg Config) ([]*replica.Client, error) {
	chosen := cfg.Replicas
	urls := s.From
	if len(urls)+len(chosen) == 0 {
		urls = shippedTo(ctx, cfg.Data)
	}
	if len(urls) > 0 {
		chosen = nil
		for _, u := range urls {
			chosen = append(chosen, cfg.replicaFor(u))
		}
	}
	if len(chosen) == 0 {
		return nil, market.Errorf(market.Invalid, "No replica is configured. Name one with --from, or configure it with replica in souk.toml.")
	}
	key := ""
	if s.KeyFile != "" {
		var err error
		if key, err = readKeyFile(s.KeyFile); err != nil {
			return nil, err
		}
	}
	var all []*replica.Client
	for _, r := range chosen {
		if key != "" {
			r.Key = newSecret(key)
		}
		c, err := openReplica(r, cfg.logger())
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// shippedTo asks the running server of a data directory for the URLs of its replicas: none
// when no server answers.
func shippedTo(ctx context.Context, dir string) (urls []string) {
	var out bytes.Buffer
	t := &replicaStatusTask{Quick: true, JSON: true}
	if err := control.Call(ctx, dir, t.name(), t, &control.Console{Out: &out, Show: func(control.Progress) {}}); err != nil {
		return nil
	}
	for in := json.NewDecoder(&out); ; {
		var s struct {
			URL string `json:"url"`
		}
		if err := in.Decode(&s); err != nil {
			return urls
		}
		urls = append(urls, s.URL)
	}
}

func (c *replicaListCmd) Run(ctx context.Context) error {
	cfg, _, err := c.load(nil)
	if err != nil {
		return err
	}
	clients, err := c.open(ctx, cfg)
	if err != nil {
		return err
	}
	for _, client := range clients {
		inv, err := client.Inventory(ctx)
		if err != nil {
			return unfinished(err, "The list was broken off.")
		}
		points := restorePointsIn(client.String(), inv)
		if c.JSON {
			err = json.NewEncoder(os.Stdout).Encode(points)
		} else {
			err = points.print(os.Stdout)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// restorePoints are the moments of a replica that can be restored, as they are printed.
type restorePoints struct {
	Replica     string             `json:"replica"`
	Generations []generationPoints `json:"generations"` // by number
}

// generationPoints are those of one server's unbroken history.
type generationPoints struct {
	Generation uint32          `json:"generation"`
	Node       market.NodeID   `json:"node"`
	Created    time.Time       `json:"created"`
	Parent     uint32          `json:"parent,omitempty"`   // that it goes on from
	ForkTXID   uint64          `json:"forkTXID,omitempty"` // the parent's last file in its history
	Grains     []grain         `json:"grains"`             // the finest first
	Snapshots  []snapshotPoint `json:"snapshots"`          // the oldest first
}

// grain is a run of files of one level: there is a point at the end of each.
type grain struct {
	Name   string    `json:"name"`
	Points int       `json:"points"`
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	First  uint64    `json:"firstTXID"`
	Last   uint64    `json:"lastTXID"`
	Bytes  int64     `json:"bytes"`
}

// snapshotPoint is a snapshot, which is a point by itself.
type snapshotPoint struct {
	TXID  uint64    `json:"txid"`
	Time  time.Time `json:"time"`
	Bytes int64     `json:"bytes"`
}

func restorePointsIn(name string, inv *replica.Inventory) *restorePoints {
	p := &restorePoints{Replica: name, Generations: []generationPoints{}}
	for _, g := range inv.Generations {
		points := generationPoints{
			Generation: g.Generation, Node: g.Node, Created: g.CreatedAt, Parent: g.Parent, ForkTXID: g.ForkTXID,
			Grains: []grain{}, Snapshots: []snapshotPoint{},
		}
		for level, files := range g.Levels {
			if len(files) > 0 {
				points.Grains = append(points.Grains, grainOf(replica.LevelName(level), files))
			}
		}
		for _, s := range g.Snapshots {
			points.Snapshots = append(points.Snapshots, snapshotPoint{s.Max, s.Time, s.Bytes})
		}
		p.Generations = append(p.Generations, points)
	}
	return p
}

// grainOf sums up the files of a level, in their order.
func grainOf(name string, files []replica.Object) grain {
	first, last := files[0], files[len(files)-1]
	g := grain{Name: name, Points: len(files), From: first.Time, To: last.Time, First: first.Min, Last: last.Max}
	for _, f := range files {
		g.Bytes += f.Bytes
	}
	return g
}

// print writes a table for each generation.
func (p *restorePoints) print(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", p.Replica)
	if len(p.Generations) == 0 {
		b.WriteString("  There is nothing in it yet.\n")
	}
	for _, g := range p.Generations {
		fmt.Fprintf(&b, "\nGeneration %d, since %s, by %s\n", g.Generation, clock(g.Created), g.Node)
		if g.Parent != 0 {
			fmt.Fprintf(&b, "goes on from generation %d after its file %d\n", g.Parent, g.ForkTXID)
		}
		const row = "  %-10s  %-19s  %-19s  %8s  %9s\n"
		fmt.Fprintf(&b, row, "EVERY", "FROM (UTC)", "TO (UTC)", "POINTS", "SIZE")
		for _, l := range g.Grains {
			fmt.Fprintf(&b, row, l.Name, minute(l.From), minute(l.To), fmt.Sprint(l.Points), amount(l.Bytes))
		}
		for _, s := range g.Snapshots {
			fmt.Fprintf(&b, row, "snapshot", minute(s.Time), fmt.Sprintf("file %d", s.TXID), "1", amount(s.Bytes))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// minute is a moment for a table whose heading says that it is UTC.
func minute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") }
