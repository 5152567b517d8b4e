package replica

// advice says in a sentence what to do about an error of the storage; "" when nothing is
// known but to try again.
func advice(err error) string { return "" }
