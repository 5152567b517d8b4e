package monitor

import "time"

// Standby is how far a standby is behind the replica that it follows.
type Standby struct {
	LagCommits uint64        // commits known to be in the replica and not here
	Lag        time.Duration // for how long something may have been there that isn't here
	LSN        uint64        // the last commit that is here
	Generation uint32        // the replica's, that it follows
}

// standbyState is what /readyz says of a standby, to everybody.
type standbyState struct {
	LagSeconds float64 `json:"lag_seconds"`
	LagCommits uint64  `json:"lag_commits"`
	LSN        uint64  `json:"lsn"`
	Generation uint32  `json:"generation"`
}

// WatchStandby says that this server is a standby, and shows its lag, in /readyz too.
func (m *Monitor) WatchStandby(read func() Standby) {
	m.mu.Lock()
	m.standby = read
	m.mu.Unlock()
	m.watch(func(emit emitter) {
		s := read()
		emit(standbyLag, s.Lag.Seconds())
		emit(standbyBehind, float64(s.LagCommits))
	}, standbyLag, standbyBehind)
}

var (
	standbyLag    = gauge("souk_standby_lag_seconds", "For how long something may have been in the replica that this standby lacks.")
	standbyBehind = gauge("souk_standby_lag_commits", "Commits known to be in the replica that this standby lacks.")
)

// standbyState is nil where this server isn't a standby.
func (m *Monitor) standbyState() *standbyState {
	m.mu.Lock()
	read := m.standby
	m.mu.Unlock()
	if read == nil {
		return nil
	}
	s := read()
	return &standbyState{s.Lag.Seconds(), s.LagCommits, s.LSN, s.Generation}
}
