// Package stripe takes payments through Stripe Checkout Sessions (stripe-go v76, API
// version 2023-10-16). The buyer pays on Stripe's page, so no card data comes near.
//
// It promises to keep test and live apart: a key of one mode can't be configured for
// the other, and sessions and events of the other mode are refused. It turns amounts
// into what Stripe expects for each currency and never rounds one. It uses its own
// client and none of stripe-go's globals.
//
// It was run against Stripe's published API specification (stripe-mock), not against
// Stripe's servers.
package stripe
