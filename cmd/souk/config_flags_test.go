package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
)

func TestNamesAreDistinct(t *testing.T) {
	seen := map[string]string{configFlag: "--config", configEnv: "SOUK_CONFIG"}
	for _, s := range settings {
		for _, name := range []string{s.env(), s.flag()} {
			if other, ok := seen[name]; ok {
				t.Errorf("%s and %s are both %s", other, s.name, name)
			}
			seen[name] = s.name
		}
		if s.help == "" || s.hint == "" || strings.Contains(s.help, "$") {
			t.Errorf("%s needs a help and a hint, and kong would expand a $", s.name)
		}
	}
}

// parse reads a command line as kong does in a command that embeds settingsFlags.
func parse(t *testing.T, args ...string) (map[string][]string, error) {
	t.Helper()
	var cli struct {
		Serve struct{ settingsFlags } `cmd:""`
	}
	cli.Serve.settingsFlags = newSettingsFlags()
	k, err := kong.New(&cli)
	if err != nil {
		t.Fatal(err)
	}
	_, err = k.Parse(append([]string{"serve"}, args...))
	return cli.Serve.values(), err
}

func TestFlags(t *testing.T) {
	got, err := parse(t, "--addr=:80", "--domain", "a.example.com", "--domain=b.example.com,c.example.com", "--stripe-live",
		"--config", "x.toml", "--name", "first", "--name", "My, own", "--acme-email=")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{"addr": {":80"}, "domain": {"a.example.com", "b.example.com,c.example.com"}, "stripe-live": {"true"},
		"config": {"x.toml"}, "name": {"first", "My, own"}, "acme-email": {""}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("flags (-want +got):\n%s", diff)
	}
	if got, err := parse(t, "--stripe-live=perhaps"); err != nil || !slices.Equal(got["stripe-live"], []string{"perhaps"}) {
		t.Errorf("--stripe-live=perhaps is %v, %v; it is refused later, with all mistakes", got, err)
	}
	if _, err := parse(t, "--adr=:80"); err == nil || !strings.Contains(err.Error(), `unknown flag --adr, did you mean "--addr"`) {
		t.Errorf("a misspelt flag: %v", err)
	}
	if got, err := parse(t); err != nil || len(got) != 0 {
		t.Errorf("no flags are %v, %v", got, err)
	}
}

func TestFlagsOfSomeSettings(t *testing.T) {
	var cli struct {
		Check struct{ settingsFlags } `cmd:""`
	}
	cli.Check.settingsFlags = newSettingsFlags("data", "log-level")
	k, err := kong.New(&cli)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range k.Model.Children[0].Flags {
		got = append(got, f.Name)
	}
	if want := []string{"config", "data", "log-level"}; !slices.Equal(got, want) {
		t.Errorf("got flags %v, want %v", got, want)
	}
}
