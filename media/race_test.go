//go:build race

package media

func init() { racing = true }
