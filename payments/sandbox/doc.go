// Package sandbox is a bank for play: the payment provider of demos, tests and shops
// that have no provider yet. It keeps the marketplace honest by behaving as an outside
// company does. It has a journal of its own, shares no transaction with the store,
// takes card numbers on its own page, and tells what happened only by signed webhooks
// over real HTTP, which may come late, twice, or after the buyer is back.
//
// It promises what it has answered: a session, a payment and the webhooks that are due
// are on disk before anyone hears of them, and survive a crash. Webhooks are repeated
// until they are accepted. A session is paid at most once, however often "Pay" is
// pressed.
//
// Money is never real. Only the test cards below are taken; any other number is
// refused, and neither stored, logged nor sent back.
//
//	4242 4242 4242 4242  succeeds          4000 0000 0000 0002  is declined
//	5555 5555 5555 4444  succeeds          4000 0000 0000 9995  has insufficient funds
//	4000 0025 0000 3155  asks the buyer to confirm
//
// The journal is one file of one process; nothing here locks it against a second one,
// because the store beside it already does.
package sandbox
