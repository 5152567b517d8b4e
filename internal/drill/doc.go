// Package drill rehearses restores, so that nobody has to hope: it restores a replica
// into a temporary directory, checks everything there, compares it with the live database,
// measures what a loss would cost (RPO) and how long the way back takes (RTO), and keeps
// the results.
//
// It promises that a drill changes nothing but its own record: it works beside a server
// that sells, takes no room that the data needs, and leaves nothing behind, or what a kill
// left is gone with the next drill. A drill that fails says why, and becomes a job of
// kind market.AlertJob in the same transaction.
//
// It leaves to others how a restore works (internal/replica), what a whole database is
// (store.Check), and how the operator is told (internal/notify).
//
// # How the two are compared
//
// Where this process ships to the replica, the live database is pinned at the commit that
// the replica ends with (replica.Replicator.Pin), and every key and value must be the
// same. The record of the drill itself is the last commit: it must have arrived.
//
// Another replica may be some commits behind. Then what those commits changed is left out
// on both sides, and the rest must be the same; the chain hash must be the live one's at
// that commit.
package drill
