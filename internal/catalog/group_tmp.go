package catalog

// Group is replaced by the groups branch.
type Group struct{}
