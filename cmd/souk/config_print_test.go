package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestListing(t *testing.T) {
	_, all, err := loadConfig(configSources{
		ReadFile: inData("[stripe]\nsecret-key = \"" + testKey + "\"\n"),
		Env:      []string{"SOUK_STRIPE_WEBHOOK_SECRET=" + signing + "," + nextSigning},
		Flags:    map[string][]string{"addr": {":80"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := printSettings(&b, all); err != nil {
		t.Fatal(err)
	}
	got := regexp.MustCompile(` {2,}`).ReplaceAllString(b.String(), "  ")
	for _, line := range []string{
		"data  souk-data  default",
		"addr  :80  --addr",
		"base-url  http://localhost  default",
		"domain  -  default",
		"stripe.secret-key  sk_test_…p7dc  souk-data/souk.toml:2",
		"stripe.webhook-secret  whsec_…e8FH, whsec_…2rBa  SOUK_STRIPE_WEBHOOK_SECRET",
	} {
		if !strings.Contains(got, line+"\n") {
			t.Errorf("there is no line %q in:\n%s", line, got)
		}
	}
	if n := strings.Count(got, "\n"); n != len(settings) {
		t.Errorf("%d lines for %d settings", n, len(settings))
	}
}

func TestTemplateIsTheDefaults(t *testing.T) {
	var b strings.Builder
	if err := printTemplate(&b); err != nil {
		t.Fatal(err)
	}
	want, defaults := mustLoad(t, configSources{})
	got, same := mustLoad(t, configSources{ReadFile: inData(b.String())})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("as it is (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(defaults, same); diff != "" {
		t.Errorf("a setting isn't behind a #:\n%s", diff)
	}

	switchedOn := regexp.MustCompile(`(?m)^# ([a-z-]+ = .*)$`).ReplaceAllString(b.String(), "$1")
	if got, want := len(regexp.MustCompile(`(?m)^[a-z-]+ = `).FindAllString(switchedOn, -1)), len(settings); got != want {
		t.Fatalf("%d settings in the template, want %d", got, want)
	}
	got, on := mustLoad(t, configSources{ReadFile: inData(switchedOn)})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("with every # removed (-want +got):\n%s", diff)
	}
	for _, s := range settings {
		if s.def != "" && on[s.name].Origin == fromDefault {
			t.Errorf("%s was not read from the template", s.name)
		}
	}
}
