package replica

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"time"

	"github.com/superfly/ltx"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// What can stand between a node and its replica. Errors of this package that a person
// can act on wrap one of these.
var (
	// ErrExists: an object that was to be created is there already.
	ErrExists = errors.New("replica: the object exists")
	// ErrFenced: another node has taken over; this one must not write any more.
	ErrFenced = errors.New("replica: fenced")
	// ErrForeign: the replica belongs to a history that this directory isn't part of.
	ErrForeign = errors.New("replica: foreign")
	// ErrReplicaAhead: the replica holds commits of this node that its directory lacks.
	ErrReplicaAhead = errors.New("replica: ahead of the directory")
	// ErrDiverged: the replica and the directory hold different commits of one LSN.
	ErrDiverged = errors.New("replica: diverged")
	// ErrCorrupt: an object isn't what was written; the error is a *CorruptError.
	ErrCorrupt = errors.New("replica: damaged")
	// ErrGap: a file is missing between others.
	ErrGap = errors.New("replica: a file is missing")
	// ErrOccupied: another node writes to the replica, and nobody has asked to replace it.
	ErrOccupied = errors.New("replica: occupied")
	// ErrBehind: the replica holds commits that a directory restored from it lacks.
	ErrBehind = errors.New("replica: the directory is behind")
)

// Position is a point in a replica's history.
type Position struct {
	Generation uint32
	TXID       ltx.TXID    // the file that ends there; 0 before a generation's first
	LSN        store.LSN   // the last commit in it
	Chain      store.Chain // at LSN
	Link       Link        // of that file; zero in a replica without a key
	Time       time.Time   // when the file was cut
}

// String is for logs and messages: two Positions with equal text are equal but for time.
func (p Position) String() string {
	return fmt.Sprintf("generation %d, file %d, commit %d (%.8s)", p.Generation, p.TXID, p.LSN, p.Chain)
}

// manifestFormat is the version of the layout below a generation.
const manifestFormat = 2 // 2 adds encryption

// Manifest says whose history a generation is. It is created once, and whoever creates
// it owns the generation.
type Manifest struct {
	Format     int           `json:"format"`
	Generation uint32        `json:"generation"`
	Parent     uint32        `json:"parent,omitempty"`   // the generation it goes on from; 0 is none
	ForkTXID   uint64        `json:"forkTXID,omitempty"` // the parent's last file that belongs to this history; 0 is none of its own
	ForkLSN    store.LSN     `json:"forkLSN,omitempty"`  // where that ends, so that it may be merged away
	ForkChain  string        `json:"forkChain,omitempty"`
	ForkLink   string        `json:"forkLink,omitempty"`
	Node       market.NodeID `json:"node"`
	CreatedAt  time.Time     `json:"createdAt"`
	Keyed      string        `json:"keyed,omitempty"` // the fingerprint of the replica's key; "" is not encrypted
	MAC        string        `json:"mac,omitempty"`   // of all the rest, by that key, in hexadecimal digits
}

func manifestKey(g uint32) string { return path.Join(generationPath(g), "manifest.json") }

// generations returns all manifests in order: they are numbered from 1 without holes, so
// that no listing is needed. There is one more for each restore that went into service.
func (c *Client) generations(ctx context.Context) ([]Manifest, error) {
	var all []Manifest
	for g := uint32(1); ; g++ {
		m, err := c.manifest(ctx, g)
		if errors.Is(err, fs.ErrNotExist) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
}

// lostManifest looks for a generation after those whose manifests are there: files of it
// show that its manifest was lost, and with that what they hold. It returns nil or a
// *CorruptError that names the manifest.
func (c *Client) lostManifest(ctx context.Context, all []Manifest) error {
	g := uint32(len(all) + 1)
	for _, level := range listed {
		files, err := c.list(ctx, generationPath(g), level)
		if err != nil {
			return err
		}
		if len(files) == 0 {
			continue
		}
		if _, err := c.manifest(ctx, g); !errors.Is(err, fs.ErrNotExist) {
			return err // it was opened a moment ago
		}
		return &CorruptError{Name: c.at.where(manifestKey(g)), Reason: "it is missing, and there are files of its generation", Err: fs.ErrNotExist}
	}
	return nil
}

// manifest reads one manifest. The error is fs.ErrNotExist when there is none.
func (c *Client) manifest(ctx context.Context, g uint32) (Manifest, error) {
	b, err := c.readObject(ctx, manifestKey(g))
	if err != nil {
		return Manifest{}, err
	}
	var m Manifest
	if err := json.Unmarshal(b, &m); err != nil || m.Generation != g || m.Parent >= g {
		return Manifest{}, &CorruptError{Name: c.at.where(manifestKey(g)), Reason: "it isn't the manifest of this generation", Err: err}
	}
	if m.Format > manifestFormat {
		return Manifest{}, market.Errorf(market.Conflict, "The replica %s has format %d, and this souk knows format %d. Use a newer souk for it.",
			c, m.Format, manifestFormat)
	}
	return m, c.verify(m)
}

// start is the position at which a generation begins, before its first file.
func (c *Client) start(ctx context.Context, m Manifest) (Position, error) {
	if m.Parent != 0 && m.ForkChain == "" { // an older souk relied on the parent's file
		fork, err := c.footerAt(ctx, m.Parent, ltx.TXID(m.ForkTXID))
		if err != nil {
			return Position{}, fmt.Errorf("replica: reading where generation %d began: %w", m.Generation, err)
		}
		return Position{Generation: m.Generation, LSN: fork.LSNMax, Chain: fork.Chain, Link: fork.Link, Time: fork.time()}, nil
	}
	p := Position{Generation: m.Generation, LSN: m.ForkLSN, Time: m.CreatedAt}
	if m.Parent == 0 {
		return p, nil
	}
	chain, err := hex.DecodeString(m.ForkChain)
	link, err2 := hex.DecodeString(m.ForkLink)
	if err != nil || err2 != nil || copy(p.Chain[:], chain) != len(p.Chain) || len(link) != 0 && copy(p.Link[:], link) != len(p.Link) {
		return Position{}, &CorruptError{Name: c.at.where(manifestKey(m.Generation)), Reason: "where it goes on from is unreadable"}
	}
	return p, nil
}

// createManifest opens a generation for m.Node. ErrFenced when another node was first.
func (c *Client) createManifest(ctx context.Context, m Manifest) error {
	m = c.sign(m)
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("replica: encoding a manifest: %w", err)
	}
	err = c.createObject(ctx, manifestKey(m.Generation), append(b, '\n'))
	if !errors.Is(err, ErrExists) {
		return err
	}
	there, err := onceThere(ctx, func() (Manifest, error) { return c.manifest(ctx, m.Generation) })
	if err != nil {
		return err
	}
	if there.Node != m.Node { // an equal one is our own, whose answer was lost
		return fencedBy(c, there.Node, m.Generation, "")
	}
	return nil
}

// onceThere reads what a create was just refused for with ErrExists. Where two create one
// object at once, a server may refuse the second before the first can be read.
func onceThere[T any](ctx context.Context, read func() (T, error)) (T, error) {
	const attempts, pause = 20, 50 * time.Millisecond
	for i := 1; ; i++ {
		v, err := read()
		if !errors.Is(err, fs.ErrNotExist) || i == attempts {
			return v, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return v, ctx.Err()
		}
	}
}

// fencedBy is the refusal that names who has taken over. lost is a sentence about what
// only this directory has, which begins with a space; "" is none.
func fencedBy(c *Client, node market.NodeID, g uint32, lost string) error {
	return market.Errorf(market.Conflict, "The replica %s has been taken over by node %s (generation %d), so this server doesn't write to it any more.%s "+
		"If the other server is the right one, stop this one. If this one is, give it a replica of its own at an empty path.", c, node, g, lost).Because(ErrFenced)
}

// span is the part of a generation that belongs to a history.
type span struct {
	Manifest
	upTo ltx.TXID // the last file; 0 is all there are
}

// history returns the spans that lead to generation g up to a file (0 is all), the
// newest first.
func history(all []Manifest, g uint32, upTo ltx.TXID) []span {
	var spans []span
	for g != 0 {
		m := all[g-1]
		spans = append(spans, span{m, upTo})
		g, upTo = m.Parent, ltx.TXID(m.ForkTXID)
	}
	return spans
}

// ending is where a generation ends for now, or for good.
type ending struct {
	Position       // after the last file that isn't the tombstone; TXID 0 when there is none
	sealed   *seal // who ended it; nil while its owner may write
}

// ending tells what a generation's last file says of its end. A tombstone stands right
// behind the last change.
func (f *footer) ending() ending {
	e := ending{f.position(), f.Seal}
	if f.Seal != nil {
		e.TXID--
		e.Link = f.PrevLink
	}
	return e
}

// endOf finds where a generation ends.
func (c *Client) endOf(ctx context.Context, m Manifest) (ending, error) {
	last, _, err := c.lastChange(ctx, m.Generation)
	if err != nil {
		return ending{}, err
	}
	if last == nil {
		start, err := c.start(ctx, m)
		return ending{Position: start}, err
	}
	return last.ending(), nil
}

// endAfter is endOf when file n is known to be there. It looks at single files in
// growing steps instead of listing, which takes seconds where there are many.
func (c *Client) endAfter(ctx context.Context, g uint32, n ltx.TXID) (ending, error) {
	last, err := onceThere(ctx, func() (*footer, error) { return c.footerOf(ctx, changeRef(g, n)) })
	if err != nil {
		return ending{}, err
	}
	growing := true
	for step := ltx.TXID(1); step > 0; {
		next, err := c.footerOf(ctx, changeRef(g, ltx.TXID(last.TXID)+step))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			growing = false
		case err != nil:
			return ending{}, err
		default:
			last = next
		}
		if growing {
			step *= 2
		} else {
			step /= 2
		}
	}
	return last.ending(), nil
}

// lastChange returns the footer of a generation's newest change file, nil when it has
// none, and its files by number.
func (c *Client) lastChange(ctx context.Context, g uint32) (*footer, []*ltx.FileInfo, error) {
	files, err := c.list(ctx, generationPath(g), levelChanges)
	if err != nil || len(files) == 0 {
		return nil, nil, err
	}
	last := files[len(files)-1]
	ref := changeRef(g, last.MaxTXID)
	ref.size = last.Size
	f, err := c.footerOf(ctx, ref)
	return f, files, err
}
