package media

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestReceptionCountsLoss(t *testing.T) {
	for _, c := range []struct {
		name string
		seqs []uint16
		want []verdict
		lost int64
	}{
		{"nothing lost", []uint16{1, 2, 3}, []verdict{inOrder, inOrder, inOrder}, 0},
		{"two lost", []uint16{1, 4}, []verdict{inOrder, inOrder}, 2},
		{"lost over the wrap", []uint16{65534, 1}, []verdict{inOrder, inOrder}, 2},
		{"late, not lost", []uint16{1, 3, 2, 4}, []verdict{inOrder, inOrder, late, inOrder}, 0},
		{"twice", []uint16{1, 2, 2}, []verdict{inOrder, inOrder, duplicate}, 0},
		{"late and then twice", []uint16{1, 3, 2, 2}, []verdict{inOrder, inOrder, late, duplicate}, 0},
		{"before the first", []uint16{5, 4, 6}, []verdict{inOrder, duplicate, inOrder}, 0},
		{"one wild number", []uint16{5, 20000, 6}, []verdict{inOrder, duplicate, inOrder}, 0},
		{"a jump that goes on", []uint16{5, 20000, 20001, 20002}, []verdict{inOrder, duplicate, restarted, inOrder}, 0},
		{"far too late", []uint16{100, 200, 101}, []verdict{inOrder, inOrder, duplicate}, 99},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r reception
			for i, seq := range c.seqs {
				if got := r.track(7, seq); got != c.want[i] {
					t.Errorf("packet %d (%d): verdict %d, want %d", i, seq, got, c.want[i])
				}
			}
			if r.lost() != c.lost {
				t.Errorf("%d lost, want %d", r.lost(), c.lost)
			}
		})
	}
}

func TestReceptionKeepsOldLossesOverAnotherSSRC(t *testing.T) {
	var r reception
	r.track(1, 10)
	r.track(1, 13)
	if v := r.track(2, 500); v != restarted {
		t.Errorf("verdict %d, want restarted", v)
	}
	r.track(2, 502)
	if r.lost() != 3 {
		t.Errorf("%d lost, want 2 + 1", r.lost())
	}
}

// Lost is what was sent and never came, whatever came late or twice.
func TestReceptionLossIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := rapid.Uint16().Draw(t, "first")
		n := rapid.IntRange(2, 300).Draw(t, "n")
		var r reception
		came := 0
		for i := range n {
			seq := first + uint16(i)
			if i > 0 && i < n-1 && rapid.IntRange(0, 3).Draw(t, "fate") == 0 {
				continue // lost
			}
			came++
			r.track(1, seq)
			if rapid.IntRange(0, 5).Draw(t, "again") == 0 {
				if v := r.track(1, seq); v != duplicate {
					t.Fatalf("the second %d got verdict %d", seq, v)
				}
			}
		}
		if r.lost() != int64(n-came) {
			t.Fatalf("%d lost, want %d", r.lost(), n-came)
		}
	})
}

func TestFractionLostIsOfTheLastInterval(t *testing.T) {
	var r reception
	for _, seq := range []uint16{1, 2, 3, 5} {
		r.track(1, seq)
	}
	if got := r.fraction(); got != 256/5 {
		t.Errorf("one of five lost: fraction %d, want %d", got, 256/5)
	}
	r.track(1, 6)
	if got := r.fraction(); got != 0 {
		t.Errorf("nothing lost since: fraction %d", got)
	}
}

func TestJitter(t *testing.T) {
	var even, uneven reception
	for i := range 1000 {
		now := time.Duration(i) * ptime
		even.time(uint32(i*frameSamples), now)
		uneven.time(uint32(i*frameSamples), now+time.Duration(i%2)*10*time.Millisecond)
	}
	if even.jitter>>4 != 0 {
		t.Errorf("an even stream has jitter %d", even.jitter>>4)
	}
	// Each packet differs from the one before by 10 ms, 80 units; the estimate converges to that.
	if got := uneven.jitter >> 4; got < 78 || got > 80 {
		t.Errorf("jitter %d, want 80", got)
	}
}

func TestLatch(t *testing.T) {
	phone := netip.MustParseAddrPort("192.0.2.1:4000")
	nat := netip.MustParseAddrPort("203.0.113.9:61234")
	other := netip.MustParseAddrPort("198.51.100.7:5004")
	far := netip.MustParseAddrPort("198.51.100.8:5004")
	moved := netip.MustParseAddrPort("192.0.2.1:4002")
	type step struct {
		at          time.Duration
		src         netip.AddrPort
		ok, changed bool
	}
	const s = time.Second
	for _, c := range []struct {
		name   string
		strict bool
		steps  []step
	}{
		{"the phone behind a NAT is found by its signalling", false, []step{{0, nat, true, true}, {1, nat, true, false}}},
		{"a phone that nobody knows is found by five packets in a row", false, []step{{0, far, false, false}, {1, far, false, false}, {2, far, false, false},
			{3, far, false, false}, {4, far, true, true}, {5, far, true, false}}},
		{"who sprays ports doesn't keep the phone away", false, []step{{0, far, false, false}, {1, other, false, false}, {2, far, false, false}, {3, other, false, false}, {4, phone, true, true},
			{5, other, false, false}, {6, other, false, false}, {7, other, false, false}, {8, other, false, false}}},
		{"the phone takes its place back from whoever was first", false, []step{{0, far, false, false}, {1, far, false, false}, {2, far, false, false},
			{3, far, false, false}, {4, far, true, true}, {5, nat, true, true}, {6, phone, true, true}, {7, nat, false, false}}},
		{"a stray source is ignored while the phone speaks", false, []step{{0, phone, true, true}, {s - 1, other, false, false}, {s, phone, true, false}, {2*s - 1, other, false, false}}},
		{"another port takes over after a second of silence", false, []step{{0, phone, true, true}, {s - 1, moved, false, false}, {s, moved, true, true}, {s + 1, phone, true, true}}},
		{"an unknown source takes over only after five seconds of silence", false, []step{{0, phone, true, true}, {s, other, false, false}, {5*s - 1, other, false, false},
			{5 * s, other, false, false}, {5 * s, other, false, false}, {5 * s, other, false, false}, {5 * s, other, false, false}, {5 * s, other, true, true}, {5*s + 1, phone, true, true}}},
		{"strict: only the signalled address", true, []step{{0, nat, false, false}, {5 * s, nat, false, false}, {6 * s, phone, true, true}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := latch{strict: c.strict, hint: nat.Addr()}
			l.signal(phone, 0)
			seq := map[netip.AddrPort]uint16{}
			for i, st := range c.steps {
				seq[st.src]++
				if ok, changed := l.accept(st.src, seq[st.src], st.at); ok != st.ok || changed != st.changed {
					t.Errorf("step %d: got %v, %v; want %v, %v", i, ok, changed, st.ok, st.changed)
				}
			}
		})
	}
}

func TestLatchWhenSDPMoves(t *testing.T) {
	before := netip.MustParseAddrPort("192.0.2.1:4000")
	after := netip.MustParseAddrPort("192.0.2.2:4000")
	var l latch
	l.signal(before, 0)
	l.accept(before, 1, 0)
	if l.signal(before, 1) {
		t.Error("the same address is no change")
	}
	if !l.signal(after, 2) {
		t.Error("another address is a change")
	}
	if ok, changed := l.accept(before, 2, 3); !ok || changed {
		t.Error("what is on its way from the old place counts, but must not draw the leg back")
	}
	if ok, changed := l.accept(after, 1, 4); !ok || !changed {
		t.Error("the new place is taken at once")
	}
	if ok, _ := l.accept(before, 3, 5); ok {
		t.Error("the old place is a stray now")
	}
}

func TestLatchOfEarlyMediaOutlivesTheAnswer(t *testing.T) {
	nat := netip.MustParseAddrPort("203.0.113.9:61234")
	l := latch{hint: nat.Addr()}
	l.accept(nat, 1, 0)
	if l.signal(netip.MustParseAddrPort("10.0.0.5:4000"), 1) {
		t.Error("the answer's private address displaced the source that was heard")
	}
}

func TestLiveness(t *testing.T) {
	var l liveness
	if l.expired(time.Hour) {
		t.Error("expired without a limit")
	}
	l.watch(30*time.Second, time.Minute)
	if l.expired(time.Minute + 30*time.Second - 1) {
		t.Error("expired a tick too early")
	}
	if !l.expired(time.Minute + 30*time.Second) {
		t.Error("not expired in time")
	}
	l.heard(time.Minute + 10*time.Second)
	if l.expired(time.Minute + 30*time.Second) {
		t.Error("expired although a packet came")
	}
}

func TestGrid(t *testing.T) {
	const ms = time.Millisecond
	g := grid{phase: 3 * ms}
	for _, c := range []struct {
		name              string
		now               time.Duration
		from, to, skipped int64
	}{
		{"before the first", 2 * ms, 0, -1, 0},
		{"the first", 3 * ms, 0, 0, 0},
		{"a tick too early", 23*ms - 1, 1, 0, 0},
		{"on time", 23 * ms, 1, 1, 0},
		{"late, does not drift", 59 * ms, 2, 2, 0},
		{"on the grid again", 63 * ms, 3, 3, 0},
		{"three at once", 123 * ms, 4, 6, 0},
		{"a second late: three are sent, the others given up", 1123 * ms, 54, 56, 47},
	} {
		from, to, skipped := g.due(c.now)
		if from != c.from || to != c.to || skipped != c.skipped {
			t.Errorf("%s: got %d..%d, %d skipped; want %d..%d, %d", c.name, from, to, skipped, c.from, c.to, c.skipped)
		}
	}
	g.rejoin(time.Hour)
	if from, to, skipped := g.due(time.Hour); to-from != 0 || skipped != 0 {
		t.Errorf("after a pause: %d..%d, %d skipped; want one beat, none skipped", from, to, skipped)
	}
}

func TestPortPool(t *testing.T) {
	opened := 0
	open := func(port uint16) (*pair, error) { opened++; return &pair{port: port}, nil }
	p := newPortPool(10001, 10005, time.Second, open) // pairs 10002 and 10004
	take := func(now time.Duration) *pair {
		got, err := p.take(now, func(port uint16) { t.Errorf("port %d is said to be taken", port) })
		if err != nil && !errors.Is(err, ErrNoPorts) {
			t.Fatal(err)
		}
		return got
	}
	give := func(pr *pair, now time.Duration) {
		if err := p.give(pr, now); err != nil {
			t.Fatal(err)
		}
	}
	a, b := take(0), take(0)
	if a.port != 10002 || b.port != 10004 || take(0) != nil {
		t.Fatalf("took %d, %d; want 10002, 10004 and then none", a.port, b.port)
	}
	give(b, 10*time.Second)
	give(a, 11*time.Second)
	if in, free, resting := p.count(11*time.Second - 1); in != 0 || free != 0 || resting != 2 {
		t.Errorf("%d in use, %d free, %d resting; want 0, 0, 2", in, free, resting)
	}
	if got := take(11*time.Second - 1); got != nil {
		t.Errorf("port %d was given out a tick before its rest was over", got.port)
	}
	if got := take(11 * time.Second); got != b {
		t.Errorf("took %d, want %d, which rested longest", got.port, b.port)
	}
	if opened != 2 {
		t.Errorf("%d pairs were opened; want 2, kept for the next legs", opened)
	}
}
