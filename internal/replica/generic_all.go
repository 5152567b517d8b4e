//go:build souk_allreplicas

package replica

import (
	"fmt"
	"net/url"
	"path"
	"strings"

	"github.com/benbjohnson/litestream"
	"github.com/benbjohnson/litestream/abs"
	"github.com/benbjohnson/litestream/gs"
	"github.com/benbjohnson/litestream/nats"
	"github.com/benbjohnson/litestream/oss"

	"github.com/souk-market/souk/internal/market"
)

// openCloud makes the transport of a gs://, abs://, oss:// or nats:// URL. Credentials
// come from where litestream's clients look for them, never from the URL.
func openCloud(u *url.URL, o ClientOptions) (string, transport, error) {
	if _, has := u.User.Password(); has {
		return "", nil, market.FieldErrorf("replica", "A password doesn't belong into a replica's URL, where logs would show it.")
	}
	bucket, dir, _ := strings.Cut(strings.TrimPrefix(path.Clean(u.Path), "/"), "/")
	if u.Scheme != "nats" {
		dir = strings.Trim(path.Clean(u.Path), "/.")
	}
	if u.Host == "" || dir == "" {
		return "", nil, market.FieldErrorf("replica", "A %s replica needs a bucket and a path in it.", u.Scheme)
	}
	raw := *u
	if u.Scheme == "nats" {
		raw.Path = "/" + bucket
	}
	connect := func(under string) (litestream.ReplicaClient, error) {
		c, err := litestream.NewReplicaClientFromURL(raw.String())
		if err != nil {
			return nil, err
		}
		c.SetLogger(o.Logger)
		at := path.Join(dir, under)
		switch c := c.(type) {
		case *gs.ReplicaClient:
			c.Path = at
		case *abs.ReplicaClient:
			c.Path = at
		case *oss.ReplicaClient:
			c.Path = at
		case *nats.ReplicaClient:
			c.Path = at
			c.Username, c.Password = u.User.Username(), o.password()
		default:
			return nil, fmt.Errorf("litestream's client for it is a %T", c)
		}
		return c, nil
	}
	if _, err := connect(""); err != nil {
		return "", nil, market.FieldErrorf("replica", "The replica's URL can't be used: %v.", err)
	}
	g := newGeneric(shown(u), connect)
	return u.String(), g, nil
}
