package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// keygen makes a pair of keys.
func keygen(t *testing.T) (pair keyPair) {
	t.Helper()
	out := mustSouk(t, "replica", "keygen", "--print", "--json")
	if err := json.Unmarshal([]byte(out), &pair); err != nil || pair.RecoveryKey == "" || pair.ServerKey == "" || pair.Fingerprint == "" {
		t.Fatalf("%s (%v)", out, err)
	}
	return pair
}

// keyFile writes a key to a file.
func keyFile(t *testing.T, key string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(name, []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// typed runs a command with something on standard input.
func typed(t *testing.T, input string, args ...string) (out, errs string, status int) {
	t.Helper()
	cmd := exec.Command(binary(t), args...)
	cmd.Stdin = strings.NewReader(input)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	cmd.Run()
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}

// TestKeygen shows the recovery key where only a person sees it.
func TestKeygen(t *testing.T) {
	out, errs, status := souk(t, "replica", "keygen")
	if status != 1 || out != "" || !strings.Contains(errs, "--print") || strings.Contains(errs, "souk-recovery-") {
		t.Errorf("to a pipe: status %d\n%s%s", status, out, errs)
	}
	text := mustSouk(t, "replica", "keygen", "--print")
	recovery, server := regexp.MustCompile(`(?m)^    (souk-recovery-\S+)$`), regexp.MustCompile(`(?m)^    (souk-server-\S+)$`)
	if len(recovery.FindAllString(text, -1)) != 1 || len(server.FindAllString(text, -1)) != 1 || !strings.Contains(text, "check-key") {
		t.Errorf("for people:\n%s", text)
	}
	for line := range strings.Lines(text) {
		if len(line) > 81 && !strings.Contains(line, "souk-server-") {
			t.Errorf("%d columns: %s", len(line)-1, line)
		}
	}
	if a, b := keygen(t), keygen(t); a.RecoveryKey == b.RecoveryKey || a.Fingerprint == b.Fingerprint {
		t.Error("two keys are the same")
	}
}

// TestKeygenIntoAFile: only its owner reads the server key, and no file is written over.
func TestKeygenIntoAFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "server.key")
	out := mustSouk(t, "replica", "keygen", "--print", "--server-key-file", name)
	key, err := os.ReadFile(name)
	if err != nil || !strings.HasPrefix(string(key), "souk-server-") || strings.Contains(out, strings.TrimSpace(string(key))) {
		t.Errorf("the file holds %q (%v), and printed was\n%s", key, err, out)
	}
	if info, err := os.Stat(name); err != nil || info.Mode() != fs.FileMode(0o600) {
		t.Errorf("the file: %v (%v)", info.Mode(), err)
	}
	out, errs, status := souk(t, "replica", "keygen", "--print", "--server-key-file", name)
	if again, _ := os.ReadFile(name); status != 1 || out != "" || !strings.Contains(errs, "is there already") || string(again) != string(key) {
		t.Errorf("over a key: status %d\n%s%s", status, out, errs)
	}
}

// TestCheckKey types keys back, right and wrong, and wants to hear which.
func TestCheckKey(t *testing.T) {
	pair, other := keygen(t), keygen(t)
	data, url := replicated(t, "--replica-key-file", keyFile(t, pair.ServerKey))
	configured := []string{"--data", data, "--replica", url, "--replica-key-file", keyFile(t, pair.ServerKey)}
	broken := []byte(pair.RecoveryKey)
	if last := len(broken) - 1; broken[last] == '0' {
		broken[last] = '1'
	} else {
		broken[last] = '0'
	}
	_, plain := replicated(t)
	for _, c := range []struct {
		name   string
		key    string
		args   []string
		status int
		says   []string
	}{
		{"right", pair.RecoveryKey, configured, 0, []string{"is whole", pair.Fingerprint, "fits the key that this server writes " + url}},
		{"right, in capitals and with spaces", " " + strings.ToUpper(pair.RecoveryKey[:len(pair.RecoveryKey)-5]+" "+pair.RecoveryKey[len(pair.RecoveryKey)-5:]) + " ",
			nil, 0, []string{"is whole"}},
		{"right, without hyphens", strings.ReplaceAll(pair.RecoveryKey, "-", " "), nil, 0, []string{"is whole"}},
		{"right, through a text editor", "\uFEFF“" + strings.ReplaceAll(pair.RecoveryKey, "-", "–") + "”\r", nil, 0, []string{"is whole"}},
		{"right, in two lines", pair.RecoveryKey[:35] + "\n" + pair.RecoveryKey[35:], nil, 0, []string{"is whole"}},
		{"in the place of its file", "", []string{"--key-file", pair.RecoveryKey}, 1, []string{"instead of the name of the file"}},
		{"in the place of its file, with a mistake", "", []string{"--key-file", string(broken)}, 1, []string{"instead of the name of the file"}},
		{"in the place of the server's file", pair.RecoveryKey, []string{"--replica-key-file", pair.RecoveryKey}, 2, []string{"replica-key-file is a key"}},
		{"right, opening the replica", pair.RecoveryKey, []string{"--from", url}, 0, []string{"is whole", "opens " + url, "commit"}},
		{"a character wrong", string(broken), configured, 1, []string{"checksum"}},
		{"cut short", pair.RecoveryKey[:30], configured, 1, []string{"missing"}},
		{"the server key", pair.ServerKey, configured, 1, []string{"server key", "souk-recovery"}},
		{"another", other.RecoveryKey, configured, 1, []string{"isn't the key that " + url, pair.Fingerprint}},
		{"another, for the replica", other.RecoveryKey, []string{"--from", url}, 1, []string{"doesn't open " + url}},
		{"for a replica that isn't encrypted", pair.RecoveryKey, []string{"--from", plain}, 1, []string{"not encrypted"}},
		{"nothing", "", nil, 1, []string{"empty"}},
	} {
		out, errs, status := typed(t, c.key+"\n", append([]string{"replica", "check-key"}, c.args...)...)
		if status != c.status {
			t.Errorf("%s: status %d\n%s%s", c.name, status, out, errs)
		}
		for _, want := range c.says {
			if !strings.Contains(out+errs, want) {
				t.Errorf("%s: %q is missing in\n%s%s", c.name, want, out, errs)
			}
		}
		for _, secret := range []string{pair.RecoveryKey, pair.ServerKey, other.RecoveryKey, string(broken)} {
			if strings.Contains(out+errs, secret) {
				t.Errorf("%s: a key is shown:\n%s%s", c.name, out, errs)
			}
		}
	}
	if out, _, status := souk(t, "replica", "check-key", "--key-file", keyFile(t, pair.RecoveryKey), "--from", url); status != 0 || !strings.Contains(out, "opens") {
		t.Errorf("from a file: status %d, %s", status, out)
	}
}

// TestKeysAreTypedUnseen types a key at a terminal, and wants it not to be shown.
func TestKeysAreTypedUnseen(t *testing.T) {
	script, err := exec.LookPath("script")
	if err != nil {
		t.Skip("script isn't installed; the test needs it for a terminal (it is part of util-linux and bsdutils)")
	}
	pair := keygen(t)
	cmd := exec.Command(script, "-qec", shellWord(binary(t))+" replica check-key", "/dev/null")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out watchedOutput
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the question", func() bool { return strings.Contains(out.String(), "not shown") })
	in.Write([]byte(pair.RecoveryKey + "\n"))
	err = cmd.Wait()
	if err != nil || !strings.Contains(out.String(), pair.Fingerprint) || strings.Contains(out.String(), pair.RecoveryKey) {
		t.Errorf("%v\n%s", err, out.String())
	}
	shown, err := exec.Command(script, "-qec", shellWord(binary(t))+" replica keygen", "/dev/null").CombinedOutput()
	if err != nil || strings.Count(string(shown), "souk-recovery-") != 1 {
		t.Errorf("keygen at a terminal (%v):\n%s", err, shown)
	}
}
