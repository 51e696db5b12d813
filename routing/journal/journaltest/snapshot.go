package journaltest

import (
	"bytes"
	"math"
	"testing"

	"hotline/routing"
	"hotline/routing/journal"
)

func writeSnapshot(t *testing.T, j journal.Journal, seq uint64, data string) {
	t.Helper()
	if err := j.WriteSnapshot(seq, []byte(data)); err != nil {
		t.Fatalf("write a snapshot of entry %d: %v", seq, err)
	}
}

func wantSnapshot(t *testing.T, j journal.Journal, upTo, seq uint64, data string) {
	t.Helper()
	got, gotData, err := j.Snapshot(upTo)
	if err != nil || got != seq || string(gotData) != data {
		t.Fatalf("snapshot up to %d is of entry %d, %q, error %v; want entry %d, %q", upTo, got, gotData, err, seq, data)
	}
}

const newest = math.MaxUint64

func snapshot(t *testing.T, h Home) {
	j := h.Open(t)
	wantSnapshot(t, j, newest, 0, "")
	want := Entries(30)
	appendAll(t, j, want)
	wantSnapshot(t, j, newest, 0, "")
	writeSnapshot(t, j, 10, "ten\n{}\x00")
	writeSnapshot(t, j, 20, "")
	for range 2 {
		wantSnapshot(t, j, newest, 20, "")
		wantSnapshot(t, j, 20, 20, "")
		wantSnapshot(t, j, 19, 10, "ten\n{}\x00")
		wantSnapshot(t, j, 9, 0, "")
		same(t, want[20:], ReadAll(t, j, 21))
		closeIt(t, j)
		j = h.Open(t)
	}
	appendAll(t, j, []routing.Entry{{Seq: 31, Node: "n1", Event: routing.Tick{}}})
	big := string(bytes.Repeat([]byte("x"), 5<<20))
	writeSnapshot(t, j, 31, big)
	wantSnapshot(t, j, newest, 31, big)
	wantSnapshot(t, j, 30, 20, "")
	closeIt(t, j)
}

func snapshotOrder(t *testing.T, h Home) {
	j := h.Open(t)
	defer closeIt(t, j)
	appendAll(t, j, Entries(10))
	for _, seq := range []uint64{0, 11, newest} {
		if err := j.WriteSnapshot(seq, []byte("x")); err == nil {
			t.Errorf("a snapshot of entry %d was taken; the last is 10", seq)
		}
	}
	writeSnapshot(t, j, 5, "five")
	writeSnapshot(t, j, 5, "five again")
	wantSnapshot(t, j, newest, 5, "five again")
	if err := j.WriteSnapshot(4, []byte("four")); err == nil {
		t.Error("a snapshot of entry 4 was taken after that of entry 5")
	}
	wantSnapshot(t, j, newest, 5, "five again")
}

func snapshotBeside(t *testing.T, h Home) {
	j := h.Open(t)
	defer closeIt(t, j)
	want := Entries(200)
	appendAll(t, j, want[:1])
	done := make(chan error, 1)
	go func() {
		for range 20 {
			if err := j.WriteSnapshot(1, bytes.Repeat([]byte("state"), 1000)); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	appendAll(t, j, want[1:])
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	same(t, want, ReadAll(t, j, 0))
}
