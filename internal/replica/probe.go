package replica

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/souk-market/souk/internal/market"
)

// Capabilities are what a replica's storage can do.
type Capabilities struct {
	// CreateIfAbsent: an object can be created only where none is, in one step. The
	// fence rests on it: without, two servers could overwrite each other's files, so
	// nobody may take over, and whoever runs a second server on the replica loses data.
	CreateIfAbsent bool `json:"createIfAbsent"`
}

// probeKey is an object that every start tries to create.
const probeKey = "probe"

// Probe finds out whether the replica can be written, and what it can do. It believes
// nothing that it hasn't read back: an answer that gets lost or is made up by something
// on the way is an error, and never a capability or the lack of one. Errors: Unavailable
// when the replica can't be reached, written or made sense of.
func (c *Client) Probe(ctx context.Context) (Capabilities, error) {
	can, err := c.probe(ctx)
	if err != nil {
		if err = c.explain(err); market.Is(err, market.Unavailable) {
			return Capabilities{}, err
		}
		return Capabilities{}, market.Errorf(market.Unavailable, "The replica %s can't be written.", c).Because(err)
	}
	c.replaces.Store(!can.CreateIfAbsent)
	return can, nil
}

func (c *Client) probe(ctx context.Context) (Capabilities, error) {
	if c.at.createsByReplacing() {
		return Capabilities{}, c.overwriteObject(ctx, probeKey, probeText())
	}
	first := probeText()
	err := c.tryCreate(ctx, first)
	if errors.Is(err, ErrExists) {
		return c.confirm(ctx) // by an earlier start, or by an attempt whose answer was lost
	}
	if err != nil {
		return Capabilities{}, err
	}
	if there, err := c.readObject(ctx, probeKey); err != nil || !bytes.Equal(there, first) {
		return Capabilities{}, fmt.Errorf("replica: what was just created can't be read back: %w", errors.Join(errUnsure, err))
	}
	second := probeText()
	err = c.tryCreate(ctx, second)
	if errors.Is(err, ErrExists) {
		return c.confirm(ctx)
	}
	if err != nil {
		return Capabilities{}, err
	}
	there, err := c.readObject(ctx, probeKey)
	if err != nil || !bytes.Equal(there, second) {
		return Capabilities{}, fmt.Errorf("replica: the storage accepted an object that isn't there: %w", errors.Join(errUnsure, err))
	}
	return Capabilities{}, nil
}

// errUnsure: the answers of the storage contradict each other.
var errUnsure = errors.New("the storage's answers don't fit together")

// confirm believes a refusal to create when there is an object to be read.
func (c *Client) confirm(ctx context.Context) (Capabilities, error) {
	_, err := onceThere(ctx, func() ([]byte, error) { return c.readObject(ctx, probeKey) })
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("replica: the storage refuses to create an object because there is one, and there is none: %w", errUnsure)
	}
	return Capabilities{CreateIfAbsent: err == nil}, err
}

// tryCreate creates the probe as if the storage could, and takes an answer that it
// doesn't know how for one that changed nothing.
func (c *Client) tryCreate(ctx context.Context, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	c.count.sent(1, int64(len(body)))
	err := c.at.create(ctx, probeKey, bytes.NewReader(body), time.Now())
	if c.at.unsupported(err) {
		return c.at.overwrite(ctx, probeKey, bytes.NewReader(body), time.Now())
	}
	return err
}

// probeText is different each time.
func probeText() []byte {
	return []byte("souk: this replica creates objects only where none is (" + rand.Text() + ")\n")
}

// create is transport.create, or the nearest to it where the storage can't: it looks
// first. Two servers that do so at once may both succeed.
func (c *Client) create(ctx context.Context, key string, body io.ReadSeeker, size int64, at time.Time) error {
	if !c.replaces.Load() {
		c.count.sent(1, size)
		err := c.at.create(ctx, key, body, at)
		c.count.answer(err)
		return c.explain(err)
	}
	c.count.get.Add(1)
	there, err := c.at.exists(ctx, key)
	if err != nil {
		return c.explain(err)
	}
	if there {
		return ErrExists
	}
	c.count.sent(1, size)
	err = c.at.overwrite(ctx, key, body, at)
	c.count.answer(err)
	return c.explain(err)
}
