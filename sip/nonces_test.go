package sip

import (
	"strconv"
	"testing"
	"time"
)

// However many nonces are used, a fresh one is always taken, and none twice.
func TestNoncesAreNeverFull(t *testing.T) {
	s := spentNonces{ttl: 5 * time.Minute}
	begin := time.Unix(1000, 0)
	for i := range 5 * nonceGeneration { // a thousand a second
		now := begin.Add(time.Duration(i) * time.Millisecond)
		if v := s.spend(strconv.Itoa(i), i%2, now.Add(-time.Millisecond/2), now); v != authRight {
			t.Fatalf("verdict %d on the fresh one that is number %d", v, i)
		}
		if i%1000 != 0 {
			continue
		}
		for _, ago := range []int{0, 1, 500, nonceGeneration, 2 * nonceGeneration, 3 * nonceGeneration} {
			if k := i - ago; k >= 0 && s.spend(strconv.Itoa(k), k%2, begin.Add(time.Duration(k)*time.Millisecond-time.Millisecond/2), now) == authRight {
				t.Fatalf("number %d was taken again at %d", k, i)
			}
		}
	}
	if n := len(s.young.count) + len(s.old.count); n > 2*nonceGeneration {
		t.Errorf("%d are kept", n)
	}
}

// A nonce that is used on and on stays good for its life, whatever others use, and each number once.
func TestNonceThatIsUsedOn(t *testing.T) {
	s := spentNonces{ttl: 5 * time.Minute}
	made := time.Unix(1000, 0)
	for i := range 3 * nonceGeneration {
		now := made.Add(time.Duration(i) * time.Millisecond)
		s.spend(strconv.Itoa(i), 0, now, now)
		if i%1000 != 0 {
			continue
		}
		nc := i/1000 + 1
		if v := s.spend("mine", nc, made, now); v != authRight {
			t.Fatalf("verdict %d on number %d", v, nc)
		}
		if v := s.spend("mine", nc, made, now); v != authReplayed {
			t.Fatalf("verdict %d on number %d, again", v, nc)
		}
	}
}

// Nonces that were kept and are used late don't make room for one that was used before them.
func TestKeptNoncesCoverNothing(t *testing.T) {
	s := spentNonces{ttl: 5 * time.Minute}
	made := time.Unix(1000, 0)
	now := made.Add(time.Second)
	if s.spend("mine", 0, now, now) != authRight {
		t.Fatal("a fresh one isn't taken")
	}
	for i := range 4 * nonceGeneration {
		s.spend(strconv.Itoa(i), 0, made, now)
		if i%1000 == 0 && s.spend("mine", 0, now, now) == authRight {
			t.Fatalf("taken again after %d others", i)
		}
	}
}

// One that is kept for its first use while thousands of others are used is stale at worst, never replayed.
func TestNonceThatIsKept(t *testing.T) {
	s := spentNonces{ttl: 5 * time.Minute}
	made := time.Unix(1000, 0)
	for i := range 3 * nonceGeneration {
		now := made.Add(time.Duration(i+1) * time.Millisecond)
		s.spend(strconv.Itoa(i), 0, now, now)
	}
	now := made.Add(3 * nonceGeneration * time.Millisecond)
	if v := s.spend("kept", 1, made, now); v != authStale {
		t.Errorf("verdict %d", v)
	}
	if v := s.spend("fresh", 1, now, now); v != authRight {
		t.Errorf("verdict %d", v)
	}
}
