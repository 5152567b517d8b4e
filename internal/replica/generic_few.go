//go:build !souk_allreplicas

package replica

import (
	"net/url"

	"github.com/souk-market/souk/internal/market"
)

// openCloud refuses what this build leaves out: the clients of gs, abs, oss and nats
// would make the program half as large again.
func openCloud(u *url.URL, _ ClientOptions) (string, transport, error) {
	return "", nil, market.FieldErrorf("replica", "This souk was built without %s://. Build it with -tags souk_allreplicas, or write %s.", u.Scheme, URLForms)
}
