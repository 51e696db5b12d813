package e2e

import (
	"bytes"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"hotline/softphone"
)

// outcomes counts records by outcome and wants each call recorded once.
func outcomes(t *testing.T, recs []record) map[string]int {
	t.Helper()
	seen, count := map[string]bool{}, map[string]int{}
	for _, r := range recs {
		if id := r.str("call"); seen[id] {
			t.Errorf("call %s has two records", id)
		} else {
			seen[id] = true
		}
		count[r.str("outcome")]++
	}
	return count
}

// kill -9 with calls in every state, then a new start: the journal is read back,
// the cut calls have records that say so, those closed before have one each, and
// the agent is ready again when the phone has registered again.
func TestKilledWithCallsAndStartedAgain(t *testing.T) {
	p := newProgram(t, "carol")
	p.start()
	carol, phone := p.seat("carol"), openPhone(t, p.uri())

	closed := func(c *softphone.Call, outcome string) {
		c.Hangup()
		p.log.await(t, "call closed", "outcome", outcome)
	}
	before, _ := p.talk(phone, carol, "13900000001")
	closed(before, "answered")
	closed(dial(t, phone, "2", "13900000002"), "ivr")
	_, talking := p.talk(phone, carol, "13900000003")
	gaveUp := dial(t, phone, "1", "13900000004")
	p.log.await(t, "call queued")
	closed(gaveUp, "abandoned")
	dial(t, phone, "1", "13900000005")
	p.log.await(t, "call queued")
	dial(t, phone, "2", "13900000006")
	p.log.await(t, "caller identified")

	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.ended
	_ = phone.Close() // the callers of the calls that were cut are gone
	halveRecords(t, p.dir)
	p.start()
	if open := p.log.await(t, "journal read back")["calls_open"]; open != "3" {
		t.Errorf("%s calls were open in the journal, want 3", open)
	}
	for range 3 {
		p.log.await(t, "call closed", "outcome", "cut", "cause", "node_started")
	}
	talking.Hangup() // what a person does with a dead line
	p.log.await(t, "seat registered", "seat", "carol")
	p.log.await(t, "seat changed", "seat", "carol", "state", "idle", "status", "ready")
	again, _ := p.talk(openPhone(t, p.uri()), carol, "13900000007")
	closed(again, "answered")

	m := scrape(t, p.http)
	for series, want := range map[string]float64{
		`hotline_calls_total{outcome="cut",queue="sales",tier="C"}`:      2, // waiting, talking
		`hotline_calls_total{outcome="cut",queue="",tier="C"}`:           1, // in the IVR
		`hotline_calls_total{outcome="answered",queue="sales",tier="C"}`: 1,
		`hotline_queue_entered_total{queue="sales"}`:                     5,
		`hotline_queue_left_total{exit="answered",queue="sales"}`:        2,
		`hotline_queue_left_total{exit="abandoned",queue="sales"}`:       1,
		`hotline_queue_left_total{exit="cut",queue="sales"}`:             2,
		`hotline_invariant_violations`:                                   0,
	} {
		if m[series] != want {
			t.Errorf("%s is %v, want %v", series, m[series], want)
		}
	}
	checkCutRecords(t, p.stop())
}

// halveRecords takes the second half of the records away: what their writer had
// not yet come to.
func halveRecords(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "records", "*.jsonl"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files of records: %v, %v", files, err)
	}
	st, err := os.Stat(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(files[0], st.Size()/2); err != nil {
		t.Fatal(err)
	}
}

func checkCutRecords(t *testing.T, recs []record) {
	t.Helper()
	want := map[string]int{"answered": 2, "ivr": 1, "abandoned": 1, "cut": 3}
	if got := outcomes(t, recs); !maps.Equal(got, want) {
		t.Errorf("records %v, want %v", got, want)
	}
	cut := map[string]record{}
	for _, r := range recs {
		if r.str("outcome") == "cut" {
			cut[r.str("number")] = r
		}
	}
	for number, where := range map[string]struct{ queue, seat string }{
		"+8613900000003": {"sales", "carol"}, // talked
		"+8613900000005": {"sales", ""},      // waited
		"+8613900000006": {"", ""},           // in the menu
	} {
		r := cut[number]
		if r == nil || r.str("queue") != where.queue || r.str("seat") != where.seat || r.str("ended") == "" {
			t.Errorf("record of the cut call of %s is %v, want queue %q and seat %q", number, r, where.queue, where.seat)
		}
	}
}

// Killing it again and again neither loses nor doubles a record, and a journal
// whose last entry was cut in two is read back too.
func TestKilledAgainAndAgain(t *testing.T) {
	p := newProgram(t, "carol")
	for round := range 4 {
		p.start()
		if round > 0 {
			p.log.await(t, "journal had a torn tail; it is cut off to the last whole entry")
			p.log.await(t, "call closed", "outcome", "cut")
		}
		phone := openPhone(t, p.uri())
		dial(t, phone, "1", "13900000001")
		p.log.await(t, "call queued")
		if code := p.get("/api/calls"); code != http.StatusOK { // routing has taken the call when it tells of it
			t.Fatalf("asking for the calls: %d", code)
		}
		if err := p.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		<-p.ended
		_ = phone.Close()
		tearJournal(t, p.dir)
	}
	p.start()
	p.log.await(t, "call closed", "outcome", "cut")
	if got := outcomes(t, p.stop()); got["cut"] != 4 || len(got) != 1 {
		t.Errorf("records %v, want 4 calls cut", got)
	}
}

// tearJournal leaves the half of an entry at the journal's end, as a power cut
// in the middle of a write does.
func tearJournal(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "journal", "journal-*.log"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no segment of the journal: %v", err)
	}
	last := files[len(files)-1]
	data, err := os.ReadFile(last)
	if err != nil {
		t.Fatal(err)
	}
	end := bytes.TrimRight(data, "\n")
	entry := end[bytes.LastIndexByte(end, '\n')+1:]
	f, err := os.OpenFile(last, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(entry[:len(entry)/2]); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
