package main

import (
	"log/slog"

	"github.com/souk-market/souk/internal/replica"
)

// replicaCmd are the commands about replicas.
type replicaCmd struct {
	Status   replicaStatusCmd   `cmd:"" help:"Show how each replica is: its lag, its last error, what it holds; closed or running."`
	List     replicaListCmd     `cmd:"" help:"List the moments that can be restored."`
	Verify   replicaVerifyCmd   `cmd:"" help:"Look for damaged, missing and forged files; exit status 1 when there are any."`
	Keygen   replicaKeygenCmd   `cmd:"" help:"Make the keys of an encrypted replica, and show the recovery key once."`
	CheckKey replicaCheckKeyCmd `cmd:"" help:"Verify a recovery key that is typed back, against the server's and against a replica."`
}

func newReplicaCmd() replicaCmd {
	return replicaCmd{
		Status: replicaStatusCmd{settingsFlags: replicaFlags()}, List: replicaListCmd{settingsFlags: replicaFlags()},
		Verify:   replicaVerifyCmd{settingsFlags: replicaFlags()},
		CheckKey: replicaCheckKeyCmd{settingsFlags: replicaFlags()},
	}
}

// openReplica makes the client of a replica, with its key when it has one.
func openReplica(r ReplicaConfig, log *slog.Logger) (*replica.Client, error) {
	o := replica.ClientOptions{Logger: log, Password: r.Password.Reveal()}
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
