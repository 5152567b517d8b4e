package replica

import "time"

// skewLimit is how far this machine's clock may be from the replica's before it is told.
// Restores to a time go by it; nothing else does.
const skewLimit = time.Second

// tellSkew warns of a clock that is wrong, once until it is right again.
func (r *Replicator) tellSkew() {
	server, ok := r.client.at.(interface{ clockSkew() time.Duration })
	if !ok {
		return
	}
	skew := server.clockSkew()
	wrong := skew.Abs() > skewLimit
	if wrong && !r.courtesy.toldSkew {
		r.opts.Logger.Warn("this machine's clock differs from the replica's, and restores to a time go by it; check its time service", "ahead", skew.String())
	}
	r.courtesy.toldSkew = wrong
}
