package journal

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hotline/routing"
)

// A journal and a snapshot that were written before calls had an attestation and
// diversions are read; those of their calls are empty.
func TestJournalFromBeforeAttestations(t *testing.T) {
	const segment = `hotline-journal 1 first=1 lost=0
7a514d41 {"seq":1,"at":1790000000000000,"node":"n1","kind":"call_arrived","event":{"call":"c1","number":"+8613800000000","did":"95000","trunk":"t1"}}
`
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "journal-00000000000000000001.log"), []byte(segment), 0o600); err != nil {
		t.Fatal(err)
	}
	f := openDir(t, FileOptions{Dir: dir})
	s := routing.New()
	if err := f.Read(0, func(e routing.Entry) error { s.Apply(e); return nil }); err != nil {
		t.Fatal(err)
	}
	want := routing.CallView{ID: "c1", Node: "n1", Phase: routing.PhaseArrived, Number: "+8613800000000", DID: "95000", Trunk: "t1", Tier: routing.TierC, Arrived: 1790000000000000}
	got, _ := s.Call("c1")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// A snapshot of that time has the same fields as one of a call without any.
	data, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	const snapshot = `{"version":2,"now":1790000000000000,"seq":1,"offers":0,"places":0,"calls":[{"facts":{"id":"c1","node":"n1","phase":"arrived","number":"+8613800000000","did":"95000","trunk":"t1","tier":"C","arrived":1790000000000000,"queue_wait":0,"rings":0,"talk":0,"hold":0,"wrap_up":0}}]}`
	if string(data) != snapshot {
		t.Errorf("snapshot %s", data)
	}
	back, err := routing.Restore([]byte(snapshot))
	if err != nil || back.Hash() != s.Hash() {
		t.Errorf("read back: %v", err)
	}
}
