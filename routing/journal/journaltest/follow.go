package journaltest

import (
	"context"
	"errors"
	"testing"

	"hotline/routing"
	"hotline/routing/journal"
)

// following is a follower on a goroutine of its own.
type following struct {
	entries chan routing.Entry
	done    chan error
}

func startFollowing(ctx context.Context, j journal.Journal, from uint64) *following {
	f := &following{entries: make(chan routing.Entry), done: make(chan error, 1)}
	go func() {
		f.done <- j.Follow(ctx, from, func(e routing.Entry) error {
			select {
			case f.entries <- e:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	return f
}

// want takes the entries that are wanted, in order.
func (f *following) want(t *testing.T, entries []routing.Entry) {
	t.Helper()
	for _, want := range entries {
		select {
		case got := <-f.entries:
			same(t, []routing.Entry{want}, []routing.Entry{got})
		case err := <-f.done:
			t.Fatalf("the follower ended before entry %d: %v", want.Seq, err)
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
	}
}

func (f *following) wantEnd(t *testing.T, want error) {
	t.Helper()
	select {
	case err := <-f.done:
		if !errors.Is(err, want) {
			t.Fatalf("the follower ended with %v, want %v", err, want)
		}
	case e := <-f.entries:
		t.Fatalf("the follower got entry %d", e.Seq)
	}
}

func follow(t *testing.T, h Home) {
	j := h.Open(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	want := Entries(60)
	appendAll(t, j, want[:20])
	f := startFollowing(ctx, j, 0)
	f.want(t, want[:20])
	for i := 20; i < 40; i++ {
		appendAll(t, j, want[i:i+1])
		f.want(t, want[i:i+1])
	}
	appendAll(t, j, want[40:])
	f.want(t, want[40:])
	closeIt(t, j)
	f.wantEnd(t, journal.ErrClosed)
}

func followFrom(t *testing.T, h Home) {
	j := h.Open(t)
	want := Entries(40)
	appendAll(t, j, want[:20])
	from7, from30 := startFollowing(t.Context(), j, 7), startFollowing(t.Context(), j, 30)
	from7.want(t, want[6:20])
	appendAll(t, j, want[20:])
	from30.want(t, want[29:])
	from7.want(t, want[20:])
	closeIt(t, j)
	from7.wantEnd(t, journal.ErrClosed)
	from30.wantEnd(t, journal.ErrClosed)
}

func followCancelled(t *testing.T, h Home) {
	j := h.Open(t)
	defer closeIt(t, j)
	appendAll(t, j, Entries(3))
	ctx, cancel := context.WithCancel(t.Context())
	f := startFollowing(ctx, j, 2)
	f.want(t, Entries(3)[1:])
	cancel()
	f.wantEnd(t, context.Canceled)
	startFollowing(ctx, j, 0).wantEnd(t, context.Canceled)
}

func followerError(t *testing.T, h Home) {
	j := h.Open(t)
	defer closeIt(t, j)
	appendAll(t, j, Entries(10))
	enough, n := errors.New("enough"), 0
	err := j.Follow(t.Context(), 0, func(routing.Entry) error {
		if n++; n == 3 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || n != 3 {
		t.Fatalf("error %v after %d entries", err, n)
	}
}

// followClosed closes the journal before the follower has had all.
func followClosed(t *testing.T, h Home) {
	j := h.Open(t)
	want := Entries(20)
	appendAll(t, j, want)
	f := startFollowing(t.Context(), j, 0)
	f.want(t, want[:1])
	closeIt(t, j)
	f.want(t, want[1:])
	f.wantEnd(t, journal.ErrClosed)
}

func followAppends(t *testing.T, h Home) {
	j := h.Open(t)
	defer closeIt(t, j)
	want := Entries(30)
	appendAll(t, j, want[:1])
	enough, n := errors.New("enough"), 0
	err := j.Follow(t.Context(), 0, func(e routing.Entry) error {
		same(t, want[n:n+1], []routing.Entry{e})
		if n++; n == len(want) {
			return enough
		}
		appendAll(t, j, want[n:n+1])
		return nil
	})
	if !errors.Is(err, enough) {
		t.Fatal(err)
	}
}

func manyFollowers(t *testing.T, h Home) {
	j := h.Open(t)
	want := Entries(50)
	var followers []*following
	for range 8 {
		followers = append(followers, startFollowing(t.Context(), j, 0))
	}
	appendAll(t, j, want)
	for _, f := range followers {
		f.want(t, want)
	}
	closeIt(t, j)
	for _, f := range followers {
		f.wantEnd(t, journal.ErrClosed)
	}
}
