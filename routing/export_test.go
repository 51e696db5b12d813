package routing

// Clones are decisions that stay when the state goes on.
func Clones(ds []Decision) []Decision {
	var out []Decision
	for _, d := range ds {
		out = append(out, d.Clone())
	}
	return out
}
