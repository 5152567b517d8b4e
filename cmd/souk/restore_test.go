package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// replicated makes a data directory with a replica, and returns both when its server has
// been stopped.
func replicated(t *testing.T, args ...string) (data, url string) {
	t.Helper()
	data, url = filepath.Join(t.TempDir(), "data"), "file://"+t.TempDir()
	stock(t, data, nil)
	server := open(t, data, append([]string{"--replica", url}, args...)...)
	server.waitForReplica(t)
	server.Stop()
	return data, url
}

// waitForReplica waits until the first replica lacks nothing.
func (r *running) waitForReplica(t *testing.T) {
	t.Helper()
	waitFor(t, "the replica", func() bool {
		figures := string(visit(t, r.URL).open("/metrics").body)
		return strings.Contains(figures, "souk_replica_lag_commits{replica=\"1\"} 0\n") && !strings.Contains(figures, "souk_replica_lsn{replica=\"1\"} 0\n")
	})
}

// TestRestoreCommand restores as a person and as a program would.
func TestRestoreCommand(t *testing.T) {
	data, url := replicated(t)
	restored := filepath.Join(t.TempDir(), "it's restored")
	out := mustSouk(t, "restore", "--from", url, "--data", restored)
	for _, want := range []string{"Restored " + restored, "everything is in order", "0 orders", "--takeover", "Missing is what"} {
		if !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
			t.Errorf("%q is missing in:\n%s", want, out)
		}
	}
	wantLines(t, out)
	_, next, _ := strings.Cut(out, "    souk ")
	words, err := exec.Command("sh", "-c", "printf '%s\n' "+next).Output()
	if want := strings.Join([]string{"serve", "--takeover", "--data", restored, "--replica", url, ""}, "\n"); err != nil || string(words) != want {
		t.Errorf("the next command is %q (%v), want %q", words, err, want)
	}
	was, _ := check(t, data, "--digest")
	is, _ := check(t, restored, "--digest")
	if was.Digest != is.Digest || is.Digest == "" {
		t.Errorf("the digests are %s and %s", was.Digest, is.Digest)
	}

	var res struct {
		LSN   uint64
		Time  time.Time
		Check struct {
			Keys int `json:"keys_read"`
		}
	}
	as := mustSouk(t, "restore", "--json", "--from", url, "--lsn", strconv.Itoa(was.LSN), "--data", filepath.Join(t.TempDir(), "one"))
	if err := json.Unmarshal([]byte(as), &res); err != nil || res.LSN == 0 || res.Check.Keys == 0 || res.Time.IsZero() {
		t.Errorf("%s (%v)", as, err)
	}
}

// TestRestoreOfAnEncryptedReplica takes the recovery key, and no other.
func TestRestoreOfAnEncryptedReplica(t *testing.T) {
	pair, other := keygen(t), keygen(t)
	data, url := replicated(t, "--replica-key-file", keyFile(t, pair.ServerKey))
	for _, c := range []struct {
		name string
		args []string
		says string
	}{
		{"no key", nil, "encrypted"},
		{"another key", []string{"--key-file", keyFile(t, other.RecoveryKey)}, pair.Fingerprint},
		{"the server key", []string{"--key-file", keyFile(t, pair.ServerKey)}, "recovery key"},
		{"no key at all", []string{"--key-file", keyFile(t, "secret")}, "souk-recovery-"},
	} {
		dir := filepath.Join(t.TempDir(), "x")
		_, errs, status := souk(t, append([]string{"restore", "--from", url, "--data", dir}, c.args...)...)
		if status != 1 || !strings.Contains(errs, c.says) || strings.Contains(errs, "replica: not the") {
			t.Errorf("%s: status %d, %s", c.name, status, errs)
		}
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("%s: %s is there", c.name, dir)
		}
	}
	restored := filepath.Join(t.TempDir(), "restored")
	name := keyFile(t, pair.RecoveryKey)
	if out := mustSouk(t, "restore", "--from", url, "--key-file", name, "--data", restored); !strings.Contains(out, " --replica-key-file "+name+"\n") {
		t.Errorf("the next command lacks the key:\n%s", out)
	}
	was, _ := check(t, data, "--digest")
	if is, _ := check(t, restored, "--digest"); was.Digest != is.Digest || is.Digest == "" {
		t.Errorf("the digests are %s and %s", was.Digest, is.Digest)
	}
}

// TestRestoreNamesTheKey: the line that goes on with the restored directory says where the
// key is, wherever that came from.
func TestRestoreNamesTheKey(t *testing.T) {
	pair := keygen(t)
	data, url := replicated(t, "--replica-key-file", keyFile(t, pair.ServerKey))
	name, config := keyFile(t, pair.RecoveryKey), filepath.Join(t.TempDir(), "some.toml")
	if err := os.WriteFile(config, []byte("[[replica]]\nurl = \""+url+"\"\nkey-file = \""+name+"\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	next := func(env, want string, args ...string) {
		t.Helper()
		dir := filepath.Join(t.TempDir(), "restored")
		if variable, value, ok := strings.Cut(env, "="); ok {
			t.Setenv(variable, value)
			defer os.Unsetenv(variable)
		}
		out := mustSouk(t, append([]string{"restore", "--from", url, "--data", dir}, args...)...)
		if _, line, _ := strings.Cut(out, "    souk "); line != "serve --takeover --data "+dir+want+"\n" {
			t.Errorf("the next command is souk %s, want the end%s", line, want)
		}
	}
	next("SOUK_REPLICA_KEY_FILE="+name, " --replica "+url+" --replica-key-file "+name)
	next("SOUK_REPLICA_KEY="+pair.RecoveryKey, " --replica "+url+" --replica-key-file FILE")
	next("", " --config "+config, "--config", config)
	next("", " --config "+config+" --replica "+url+" --replica-key-file "+name, "--config", config, "--key-file", name)

	// A replica that isn't encrypted stands beside one that is.
	plain := "file://" + t.TempDir()
	server := open(t, data, "--replica", plain)
	server.waitForReplica(t)
	server.Stop()
	next("", " --replica "+url+" --replica "+plain+" --replica-key-file "+name, "--from", plain, "--key-file", name, "--key-file", "none")
}

// TestRestoreWithNothingToAttach: who asks for a directory that is ready within seconds is
// told that this one took a whole download.
func TestRestoreWithNothingToAttach(t *testing.T) {
	_, url := replicated(t)
	out, errs, status := souk(t, "restore", "--attach", "--from", url, "--data", filepath.Join(t.TempDir(), "x"))
	if said := strings.Join(strings.Fields(out), " "); status != 0 || !strings.Contains(said, "No snapshot in the replica could be attached") || !strings.Contains(errs, "everything is downloaded") {
		t.Errorf("status %d\n%s\n%s", status, out, errs)
	}
}

// TestRestoreRefuses says why, and touches nothing.
func TestRestoreRefuses(t *testing.T) {
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	nothing := "file://" + t.TempDir()
	for _, c := range []struct {
		name   string
		args   []string
		status int
		says   string
	}{
		{"no replica there", []string{"--from", nothing, "--data", filepath.Join(t.TempDir(), "x")}, 1, "no replica"},
		{"a directory in use", []string{"--from", nothing, "--data", full}, 1, "not empty"},
		{"two targets", []string{"--from", nothing, "--data", "x", "--at", "2026-11-23T10:00:00Z", "--lsn", "3"}, 2, "one of"},
		{"no time", []string{"--from", nothing, "--data", "x", "--at", "yesterday"}, 2, "2026-11-23T10:00:00Z"},
		{"no source", []string{"--data", "x"}, 2, "--from"},
		{"a key file that isn't there", []string{"--from", nothing, "--data", "x", "--key-file", filepath.Join(full, "none")}, 1, "can't be read"},
		{"two key files for one replica", []string{"--from", nothing, "--data", "x", "--key-file", "a", "--key-file", "b"}, 2, "once"},
	} {
		if _, errs, status := souk(t, append([]string{"restore"}, c.args...)...); status != c.status || !strings.Contains(errs, c.says) {
			t.Errorf("%s: status %d, %s", c.name, status, errs)
		}
	}
}
