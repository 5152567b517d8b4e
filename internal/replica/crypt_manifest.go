package replica

import (
	"crypto/hmac"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/souk-market/souk/internal/market"
)

// sign completes a manifest for the replica's key.
func (c *Client) sign(m Manifest) Manifest {
	m.Format, m.Keyed, m.MAC = manifestFormat, "", ""
	if c.key != nil {
		m.Keyed = c.key.Fingerprint()
		m.MAC = c.key.manifestMAC(m)
	}
	return m
}

// manifestMAC is over the manifest's JSON without the MAC. A field that is added to
// manifests is covered by it, and needs a new manifestFormat.
func (k *Key) manifestMAC(m Manifest) string {
	m.MAC = ""
	b, err := json.Marshal(m)
	if err != nil {
		panic(fmt.Sprintf("replica: encoding a manifest: %v", err)) // plain fields never fail
	}
	mac := k.sum("manifest", b)
	return hex.EncodeToString(mac[:])
}

// verify refuses a manifest that doesn't go with the key given.
func (c *Client) verify(m Manifest) error {
	name := c.at.where(manifestKey(m.Generation))
	switch {
	case m.Keyed == "" && c.key == nil:
		return nil
	case m.Keyed == "":
		return market.Errorf(market.Forbidden, "The replica %s is not encrypted, and a key is given for it. A replica is begun with a key or without: "+
			"take the key away, or use an empty path for an encrypted one.", c).Because(ErrKey)
	case c.key == nil:
		return market.Errorf(market.Forbidden, "The replica %s is encrypted with key %.16s. Give that key.", c, m.Keyed).Because(ErrKey)
	case c.key.Fingerprint() != m.Keyed:
		return market.Errorf(market.Forbidden, "The replica %s is encrypted with key %.16s, and key %s is given. Give the right key, or use an empty path.",
			c, m.Keyed, c.key.Fingerprint()).Because(ErrKey)
	case !hmac.Equal([]byte(c.key.manifestMAC(m)), []byte(m.MAC)):
		return &CorruptError{Name: name, Reason: "it doesn't have the MAC of the replica's key: it was changed"}
	}
	return nil
}
