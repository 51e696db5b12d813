package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hotline/config"
)

// Callers of the tiers A1 and A2 are remembered as the last to be refused; others aren't,
// nor are strangers.
func TestTiersAreShedLast(t *testing.T) {
	file := filepath.Join(t.TempDir(), "customers.csv")
	rows := "number,id,tier,manager,team,language,name\n"
	for i, tier := range []string{"A1", "A2", "B1", "B2", "C"} {
		rows += strings.NewReplacer("N", string(rune('1'+i)), "T", tier).Replace("+861380000000N,kN,T,,,,\n")
	}
	if err := os.WriteFile(file, []byte(rows), 0o600); err != nil {
		t.Fatal(err)
	}
	h := start(t, func(c *config.Config) { c.Directory.File = file })
	for i, want := range []int{1, 2, 2, 2, 2, 2} {
		c, err := h.phone().Dial(h.context(), "3", "1380000000"+string(rune('1'+i)), "")
		if err != nil {
			t.Fatal(err)
		}
		h.await("the end", c.Done())
		if got := h.sip.Favoured(); got != want {
			t.Errorf("after caller %d: %d are remembered, want %d", i+1, got, want)
		}
	}
}
