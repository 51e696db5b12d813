package routing

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// kept says of every field of the state whether a snapshot holds it ("") or
// why it needn't.
var kept = map[reflect.Type]map[string]string{
	reflect.TypeFor[State](): {
		"now": "", "seq": "", "policy": "", "offers": "", "places": "", "ignored": "", "why": "",
		"calls": "", "seats": "", "agents": "", "queues": "", "leavers": "",
		"targets": "of the policy", "maxWaits": "of the policy", "seatList": "the seats in order", "queueIDs": "the queues in order",
		"idle": "the available seats", "states": "counts the seats", "byManager": "the waiting calls", "byTeam": "the waiting calls",
		"favoured": "counts the waiting calls", "teams": "the seats", "deadlines": "the timers",
		"everything": "false after each Apply", "freed": "empty after each Apply", "callsDirty": "empty after each Apply", "turned": "empty after each Apply", "overdue": "empty after each Apply", "rung": "scratch",
		"cursors": "scratch", "decisions": "given out", "arenas": "given out", "closed": "scratch", "spare": "scratch", "spareSeats": "scratch", "people": "scratch", "audit": "for tests", "watch": "for explaining",
	},
	reflect.TypeFor[call](): {
		"facts": "", "q": "", "reach": "", "member": "in the queue", "inLine": "of reach", "seat": "", "rings": "", "placeAt": "", "placeSeq": "",
		"heldAt": "", "held": "", "extended": "", "part": "", "entered": "", "aloneSince": "", "timer": "", "band": "of the tier",
	},
	reflect.TypeFor[seat](): {
		"id": "", "person": "", "vip": "", "team": "", "queues": "", "languages": "", "node": "", "registered": "", "gone": "",
		"resting": "", "ownCall": "", "restUntil": "", "idleSince": "", "skills": "", "ranks": "", "busy": "", "lastOffer": "", "weight": "", "turns": "", "timer": "", "shown": "", "offer": "",
		"call": "the call has its seat", "wrap": "the call has its seat",
		"present": "of registered, gone and status", "available": "of present, call, wrap, resting and ownCall", "category": "of the same",
	},
	reflect.TypeFor[agent](): {"id": "", "status": "", "reason": "", "misses": "", "seat": ""},
	reflect.TypeFor[queue](): {
		"id": "", "wrapUp": "", "extend": "", "strategy": "", "group": "", "skill": "", "minLevel": "", "relaxAfter": "", "limits": "", "own": "", "estimates": "", "estimatedAt": "", "plan": "of own and the policy", "of": "of plan", "holds": "of plan and the counts", "weighs": "of plan", "waits": "of plan", "timer": "of plan and the time", "guests": "the waiting calls", "members": "the waiting calls", "presentVIP": "counts the seats", "removed": "", "totals": "",
		"lines": "the waiting calls", "idleVIP": "the available seats", "idleOrdinary": "the available seats",
		"waiting": "counts the calls", "onOffer": "counts the calls", "talking": "counts the calls", "present": "counts the seats",
	},
	reflect.TypeFor[timer](): {"at": "", "id": "of its owner", "pos": "in the heap", "call": "its owner", "seat": "its owner", "queue": "its owner"},
}

// TestSnapshotKnowsEveryField fails when somebody adds to the state: the new
// field must go into the snapshot, or be listed above with the reason.
func TestSnapshotKnowsEveryField(t *testing.T) {
	for typ, fields := range kept {
		for i := range typ.NumField() {
			if _, ok := fields[typ.Field(i).Name]; !ok {
				t.Errorf("%s.%s is new: write it in snapshot.go (freeze and thaw), or list it here with the reason why it follows from the rest", typ.Name(), typ.Field(i).Name)
			}
		}
		if len(fields) > typ.NumField() {
			t.Errorf("%s has %d fields, %d are listed", typ.Name(), typ.NumField(), len(fields))
		}
	}
}

// twins compares two states field by field, whatever fields there are.
type twins struct {
	seen map[[2]uintptr]bool
}

func compareStates(a, b *State) error {
	tw := twins{map[[2]uintptr]bool{}}
	return tw.same("state", reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem())
}

func (tw *twins) same(path string, a, b reflect.Value) error {
	differ := func() error { return fmt.Errorf("%s differs: %v and %v", path, a, b) }
	switch a.Kind() {
	case reflect.Pointer:
		if a.IsNil() || b.IsNil() {
			if a.IsNil() != b.IsNil() {
				return differ()
			}
			return nil
		}
		key := [2]uintptr{a.Pointer(), b.Pointer()}
		if tw.seen[key] {
			return nil
		}
		tw.seen[key] = true
		return tw.same(path, a.Elem(), b.Elem())
	case reflect.Struct:
		return tw.sameStruct(path, a, b)
	case reflect.Slice, reflect.Array:
		if a.Len() != b.Len() {
			return differ()
		}
		for i := range a.Len() {
			if err := tw.same(fmt.Sprintf("%s[%d]", path, i), a.Index(i), b.Index(i)); err != nil {
				return err
			}
		}
		return nil
	case reflect.Map:
		if a.Len() != b.Len() {
			return differ()
		}
		for _, k := range a.MapKeys() {
			if !b.MapIndex(k).IsValid() {
				return differ()
			}
			if err := tw.same(fmt.Sprintf("%s[%v]", path, k), a.MapIndex(k), b.MapIndex(k)); err != nil {
				return err
			}
		}
		return nil
	case reflect.Func, reflect.Interface:
		return nil
	default:
		if !a.Equal(b) {
			return differ()
		}
		return nil
	}
}

// passing holds fields whose value doesn't matter between two entries.
var passing = map[string]bool{"index[hotline/routing.AgentID].spare": true, "index[string].spare": true, "State.decisions": true, "State.cursors": true, "State.arenas": true, "State.closed": true, "State.rung": true, "queue.members": true, "call.member": true, "State.spare": true, "State.spareSeats": true, "State.people": true, "State.audit": true, "State.watch": true,
	"timer.pos": true, "timer.at": true}

func (tw *twins) sameStruct(path string, a, b reflect.Value) error {
	if strings.HasPrefix(a.Type().Name(), "row[") {
		from := func(v reflect.Value) reflect.Value { return v.Field(0).Slice(int(v.Field(1).Int()), v.Field(0).Len()) }
		return tw.same(path, from(a), from(b))
	}
	switch a.Type() {
	case reflect.TypeFor[timer]():
		if on := a.FieldByName("pos").Int() >= 0; on != (b.FieldByName("pos").Int() >= 0) || on && !a.FieldByName("at").Equal(b.FieldByName("at")) {
			return fmt.Errorf("%s differs", path)
		}
	case reflect.TypeFor[agent]():
		// A former agent may point to a seat that was removed.
		if x := a.FieldByName("seat"); x.Elem().FieldByName("gone").Bool() && b.FieldByName("seat").Elem().FieldByName("id").Len() == 0 {
			return nil
		}
	}
	for i := range a.NumField() {
		name := a.Type().Field(i).Name
		if passing[a.Type().Name()+"."+name] {
			continue
		}
		// The queue of a call in wrap-up may be gone.
		if a.Type() == reflect.TypeFor[call]() && name == "q" && a.FieldByName("facts").FieldByName("Phase").String() == string(PhaseWrapUp) {
			continue
		}
		if a.Type() == reflect.TypeFor[State]() && name == "deadlines" {
			// A heap has many forms; the timers are compared at their owners.
			if a.Field(i).Len() != b.Field(i).Len() {
				return fmt.Errorf("%s.%s differ", path, name)
			}
			continue
		}
		if err := tw.same(path+"."+name, a.Field(i), b.Field(i)); err != nil {
			return err
		}
	}
	return nil
}

// thawed returns a second state by way of a snapshot.
func thawed(s *State) (*State, error) {
	data, err := s.Snapshot()
	if err != nil {
		return nil, err
	}
	back, err := Restore(data)
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, data)
	}
	again, err := back.Snapshot()
	if err != nil || !bytes.Equal(data, again) {
		return nil, fmt.Errorf("snapshot of the restored state differs (error %w):\n%s\n%s", err, data, again)
	}
	return back, nil
}

// TestResumeAnywhere lets anything happen to a state and to one that is now and
// then replaced by what its snapshot gives.
func TestResumeAnywhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, twin := New(), New()
		for i := range rapid.IntRange(1, 120).Draw(t, "entries") {
			e := drawEntry(t, s, true)
			e.Seq = uint64(i + 1)
			ds := s.Apply(e)
			if err := sameOn(twin, e, ds); err != nil {
				t.Fatal(err)
			}
			if rapid.IntRange(0, 3).Draw(t, "resume") > 0 {
				continue
			}
			back, err := thawed(twin)
			if err != nil {
				t.Fatal(err)
			}
			if err := compareStates(twin, back); err != nil {
				t.Fatalf("after %#v: %v", e, err)
			}
			if back.Hash() != s.Hash() {
				t.Fatalf("after %#v the hashes differ", e)
			}
			twin = back
		}
	})
}

// TestThawOver thaws a state over one that has gone its own way: nothing of that is left, and what it goes on to do
// changes nothing in what was frozen.
func TestThawOver(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, over := New(), New()
		for i := range rapid.IntRange(1, 60).Draw(t, "entries") {
			e := drawEntry(t, s, true)
			e.Seq = uint64(i + 1)
			s.Apply(e)
		}
		frozen, hash := s.Freeze(), s.Hash()
		for range rapid.IntRange(1, 4).Draw(t, "times") {
			for range rapid.IntRange(0, 40).Draw(t, "entries over there") {
				over.Apply(drawEntry(t, over, true))
			}
			back, err := frozen.Thaw(over)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(compareStates(s, back), back.Check()); err != nil {
				t.Fatal(err)
			}
			if back.Hash() != hash || s.Hash() != hash {
				t.Fatal("the hashes differ")
			}
			over = back
		}
	})
}

// TestFrozenStays writes a snapshot after its state went on.
func TestFrozenStays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := New()
		var frozen *Frozen
		var want []byte
		for i := range rapid.IntRange(2, 60).Draw(t, "entries") {
			e := drawEntry(t, s, true)
			e.Seq = uint64(i + 1)
			s.Apply(e)
			if frozen == nil && rapid.IntRange(0, 9).Draw(t, "freeze") == 0 {
				frozen = s.Freeze()
				want, _ = s.Snapshot()
			}
		}
		if frozen == nil {
			return
		}
		got, err := frozen.Encode()
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("error %v\n%s", err, cmp.Diff(string(want), string(got)))
		}
	})
}

// busyState has a call in each phase.
func busyState(t testing.TB) *State {
	t.Helper()
	s := New()
	at := Time(1_790_000_000_000_000)
	do := func(ev Event) []Decision {
		at = at.Add(Second)
		return s.Apply(Entry{Seq: s.Seq() + 1, At: at, Node: "n1", Event: ev})
	}
	p := Policy{RingTime: 15 * Second, OfferLease: 2 * Second, ManagerTime: Minute, RejectDelay: Minute, Queues: []QueuePolicy{{ID: "投诉", WrapUp: Minute}}}
	for _, id := range []SeatID{"s1", "s2", "s3", "s4"} {
		p.Seats = append(p.Seats, SeatPolicy{ID: id, Queues: []QueueID{"投诉"}, Languages: []string{"zh"}})
	}
	p.Seats[3].Agent, p.Seats[3].VIP, p.Seats[3].Team = "mei", true, "gov"
	do(PolicyChanged{Policy: p})
	for _, x := range p.Seats {
		do(SeatRegistered{Seat: x.ID})
	}
	talk := func(id CallID) Offer {
		do(CallArrived{Call: id, Number: "+8613800000000", DID: "95000", Trunk: "t1"})
		do(CallAnswered{Call: id})
		for _, d := range do(CallQueued{Call: id, Queue: "投诉", Language: "zh"}) {
			if o, ok := d.(*Offer); ok {
				return *o
			}
		}
		t.Fatalf("no offer for %s", id)
		return Offer{}
	}
	o := talk("wrap-up")
	do(TalkStarted{Call: o.Call, Seat: o.Seat, Offer: o.Offer})
	do(CallEnded{Call: "wrap-up", Cause: CauseCallerHungUp})
	o = talk("talking")
	do(TalkStarted{Call: o.Call, Seat: o.Seat, Offer: o.Offer})
	do(HoldChanged{Call: "talking", Held: true})
	o = talk("back")
	do(AgentStatusChanged{Agent: "mei", Status: StatusReady})
	do(OfferFailed{Call: o.Call, Seat: o.Seat, Offer: o.Offer, Cause: OfferRefused})
	do(CallArrived{Call: "waiting", Attestation: "A", Diversions: []Diversion{{"+8613899999999", "no-answer"}, {"+8613800000000", "unknown"}}})
	do(CallIdentified{Call: "waiting", Customer: "k1", Tier: TierA1, Manager: "s1", Team: "gov", Language: "zh", Source: "redis"})
	do(CallQueued{Call: "waiting", Queue: "投诉"})
	do(CallArrived{Call: "ivr"})
	do(CallAnswered{Call: "ivr"})
	return s
}

func TestRestoreRefuses(t *testing.T) {
	good, err := busyState(t).Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(good); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ old, with, want string }{
		"another version":             {`"version":2`, `"version":3`, "version 3"},
		"an unknown field":            {`"now":`, `"later":1,"now":`, "newer version"},
		"an unknown phase":            {`"phase":"ivr"`, `"phase":"limbo"`, "limbo"},
		"a seat that isn't there":     {`"seat":"s2","place_at"`, `"seat":"s9","place_at"`, "s9"},
		"a seat with two calls":       {`"seat":"s2","place_at"`, `"seat":"s1","place_at"`, "another call"},
		"a queue that isn't there":    {`"queue":"投诉"`, `"queue":"x"`, `"x"`},
		"an agent who isn't there":    {`"agent":3`, `"agent":7`, "not there"},
		"an impossible step":          {`"opened":1,`, `"opened":64,`, "step"},
		"a deadline that has passed":  {`"timer":179`, `"timer":129`, "deadline"},
		"a total that doesn't add up": {`"entered":4`, `"entered":5`, "(d)"},
		"a policy that is wrong":      {`"ring_time":15000000`, `"ring_time":0`, "ring_time"},
		"a status that isn't":         {`"status":"ready"`, `"status":"happy"`, "happy"},
		"a weight beyond the highest": {`"weight":1`, `"weight":101`, "weight of 101"},
		"turns that can't be":         {`"turns":1`, `"turns":-1`, "-1 turns"},
		"a second value":              {`"calls":[`, `"x`, "invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			bad := strings.Replace(string(good), c.old, c.with, 1)
			if bad == string(good) {
				t.Fatalf("no %s in %s", c.old, good)
			}
			if s, err := Restore([]byte(bad)); err == nil || s != nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
	for _, data := range []string{"", "null", "[]", "{}", string(good) + "{}", string(good[:len(good)-1])} {
		if _, err := Restore([]byte(data)); err == nil {
			t.Errorf("%.20q is restored", data)
		}
	}
}

// FuzzRestore lets anybody write the snapshot: it is refused, or it is a state
// that goes on.
func FuzzRestore(f *testing.F) {
	for _, s := range []*State{New(), busyState(f)} {
		data, err := s.Snapshot()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"version":1,"now":5,"agents":[{"id":"a","status":"ready","former":true}],"seats":[{"id":"s","agent":0,"gone":true}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Restore(data)
		if err != nil {
			return
		}
		back, err := thawed(s)
		if err != nil {
			t.Fatal(err)
		}
		if back.Hash() != s.Hash() {
			t.Fatal("the hashes differ")
		}
		s.Apply(Entry{At: s.Now().Add(10), Event: Tick{}}) // with a ring time of 1 µs an hour has billions of offers
		s.Apply(Entry{At: s.Now(), Node: "n1", Event: NodeStarted{}})
		s.Apply(Entry{At: s.Now(), Node: "n1", Event: PolicyChanged{Policy: Policy{RingTime: Second}}})
	})
}

// BenchmarkFreeze is the time that a snapshot of 10,000 seats and 10,000
// waiting calls takes from routing; BenchmarkSnapshot is all of it.
func BenchmarkFreeze(b *testing.B) {
	s := crowd(b)
	b.ReportAllocs()
	for b.Loop() {
		s.Freeze()
	}
}

// BenchmarkSnapshot writes the snapshot of 10,000 seats and 10,000 waiting calls.
func BenchmarkSnapshot(b *testing.B) {
	s := crowd(b)
	b.ReportAllocs()
	for b.Loop() {
		data, err := s.Snapshot()
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(data)))
	}
}

// BenchmarkRestore reads it back.
func BenchmarkRestore(b *testing.B) {
	data, err := crowd(b).Snapshot()
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Restore(data); err != nil {
			b.Fatal(err)
		}
	}
}

func crowd(b *testing.B) *State {
	s := New()
	p := Policy{RingTime: 15 * Second}
	for i := range 50 {
		p.Queues = append(p.Queues, QueuePolicy{ID: QueueID(fmt.Sprintf("q%d", i))})
	}
	for i := range 10000 {
		p.Seats = append(p.Seats, SeatPolicy{ID: SeatID(fmt.Sprintf("s%d", i)), Queues: []QueueID{p.Queues[i%50].ID, p.Queues[i*7%50].ID}[:1+i%2]})
	}
	s.Apply(Entry{Seq: 1, At: 1, Node: "n1", Event: PolicyChanged{Policy: p}})
	for i := range 10000 {
		id := CallID(fmt.Sprintf("c%d", i))
		s.Apply(Entry{At: Time(i), Node: "n1", Event: CallArrived{Call: id, Number: "+8613800000000"}})
		s.Apply(Entry{At: Time(i), Node: "n1", Event: CallQueued{Call: id, Queue: p.Queues[i%50].ID}})
	}
	if n := len(s.Calls()); n != 10000 {
		b.Fatalf("%d calls", n)
	}
	return s
}

// An agent leaves the policy while talking and comes back to another seat: the
// old seat goes without taking the new agent along.
func TestAgentComesBackToAnotherSeat(t *testing.T) {
	s := New()
	do := func(ev Event) {
		s.Apply(Entry{Seq: s.Seq() + 1, At: s.Now() + 1, Node: "n1", Event: ev})
		if _, err := thawed(s); err != nil {
			t.Fatalf("after %#v: %v", ev, err)
		}
	}
	policy := func(seats ...SeatPolicy) PolicyChanged {
		return PolicyChanged{Policy{RingTime: Minute, Queues: []QueuePolicy{{ID: "q"}}, Seats: seats}}
	}
	q := []QueueID{"q"}
	do(policy(SeatPolicy{ID: "s1", Agent: "mei", Queues: q}))
	do(SeatRegistered{Seat: "s1"})
	do(CallArrived{Call: "c1"})
	do(CallQueued{Call: "c1", Queue: "q"})
	do(TalkStarted{Call: "c1", Seat: "s1", Offer: 1})
	do(policy())
	do(policy(SeatPolicy{ID: "s2", Agent: "mei", Queues: q}))
	do(CallEnded{Call: "c1", Cause: CauseCallerHungUp})
	do(SeatRegistered{Seat: "s2"})
	do(AgentStatusChanged{Agent: "mei", Status: StatusBreak, Reason: "tea"})
	if v, _ := s.Seat("s2"); v.Status != StatusBreak {
		t.Errorf("mei is %s, want on a break", v.Status)
	}
}

// A snapshot of version 1, written when every queue went through the same four
// steps, is read: its calls are as far as they were, and go on from there.
func TestRestoreReadsVersion1(t *testing.T) {
	data, err := os.ReadFile("testdata/snapshot-v1.json")
	if err != nil {
		t.Fatal(err)
	}
	s, err := Restore(data)
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[CallID]Step{"relaxed": StepRelaxed, "plain": StepQueue, "team": StepTeam, "waiting": StepManager, "talking": StepQueue, "ivr": ""} {
		if got := s.calls[id].facts.Step; got != want {
			t.Errorf("call %s is in step %q, want %q", id, got, want)
		}
	}
	s.Apply(Entry{At: s.now.Add(10 * Second), Event: Tick{}})
	if got := s.calls["plain"].facts.Step; got != StepRelaxed {
		t.Errorf("10 s later the plain call is in step %q", got)
	}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
	if _, err := Restore(bytes.Replace(data, []byte(`"step":3`), []byte(`"step":9`), 1)); err == nil || !strings.Contains(err.Error(), "step 9") {
		t.Errorf("a step that does not exist: %v", err)
	}
}

// In version 1 a call stayed relaxed when a reload took that from its queue. It is as
// far as the plan goes now.
func TestRestoreReadsVersion1BeyondThePlan(t *testing.T) {
	data, err := os.ReadFile("testdata/snapshot-v1.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range [][2]string{
		{`,"relax_after":10000000`, ""},
		{`"place_seq":7,"timer":1790000065000000`, `"place_seq":7`},                // the plain call waits for nothing any more
		{`"step":2,"since":1790000013000000`, `"step":3,"since":1790000013000000`}, // the one that talks
	} {
		if !bytes.Contains(data, []byte(c[0])) {
			t.Fatalf("no %s", c[0])
		}
		data = bytes.ReplaceAll(data, []byte(c[0]), []byte(c[1]))
	}
	s, err := Restore(data)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.calls["relaxed"].facts.Step; got != StepQueue {
		t.Errorf("who waits is in step %q", got)
	}
	if got := s.calls["talking"].facts.Step; got != StepRelaxed {
		t.Errorf("who talks came by step %q", got)
	}
}
