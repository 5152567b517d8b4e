// Package market is Souk's vocabulary: the types that the whole house shares, their
// IDs, money, state machines, and the rules of ledger and licence. It does no I/O and
// imports only the standard library, so each rule can be tested in microseconds and
// read without knowing anything else.
//
// Records (Agent, Offer, Order, …) are the stored form of things. The store keeps them
// as CBOR with the field names below, so a field is added, never renamed or given
// another meaning; fields that are zero are not stored.
//
// Money is integers in minor units, each with its currency; mixing two is an error. A
// fee, a tax, a discount or a conversion is rounded once per line, half up (away from
// zero below it), and totals are sums of rounded lines. What is split is split by largest
// remainder, so that the parts are the whole.
//
// What a record means, from the buyer's side: a Cart holds wishes; a Checkout freezes
// them with prices and asks for one Payment; each seller's part of a checkout is an
// Order with Lines; a paid line gives an Entitlement, which may carry a License; money
// moves only as Postings.
package market
