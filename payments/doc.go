// Package payments is what the marketplace needs of a payment provider, said without
// naming one: make a session on the provider's own page, ask what became of it, and
// understand the webhooks that tell of it.
//
// It promises that a provider which passes paymentstest can stand in for any other:
// sandbox, the embedded bank for tests and demos, and stripe, which moves real money.
// Card data never reaches the marketplace; it is typed on the provider's page.
//
// It leaves to internal/order what a payment means: which order it belongs to, whether
// amount, currency and reference are those of the order, and that it takes effect once.
// It knows no store, and a provider's client is imported nowhere else.
package payments
