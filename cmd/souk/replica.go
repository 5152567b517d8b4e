package main

import (
	"log/slog"

	"github.com/souk-market/souk/internal/replica"
)

// openReplica makes the client of a replica, with its key when it has one.
func openReplica(r ReplicaConfig, log *slog.Logger) (*replica.Client, error) {
	o := replica.ClientOptions{Logger: log}
	if r.Key.IsSet() {
		key, err := replica.ParseKey(r.Key.Reveal())
		if err != nil {
			return nil, err
		}
		o.Key = key
	}
	return replica.OpenClient(r.URL, o)
}

// replicaFlags are the settings that matter to commands about replicas.
func replicaFlags() settingsFlags {
	return newSettingsFlags("data", "log-level", "log-format", "cache-size", "min-free", "replica", "replica-key-file")
}
