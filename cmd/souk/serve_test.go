package main

import (
	"slices"
	"testing"
)

// TestFormAction covers a visitor who came by another name than the public address, as
// "localhost" for 127.0.0.1: the button that pays leads to the sandbox's page there, and
// a browser blocks that without a word unless the policy names it.
func TestFormAction(t *testing.T) {
	const base = "http://127.0.0.1:8080"
	if got := (Config{}).formAction(base); !slices.Equal(got, []string{base}) {
		t.Errorf("with the sandbox %q, want %q", got, base)
	}
	live := Config{Stripe: StripeConfig{SecretKey: newSecret("sk_test_0123456789")}}
	if got := live.formAction(base); !slices.Contains(got, "https://checkout.stripe.com") {
		t.Errorf("with Stripe %q, which can't be paid at", got)
	}
}
