package recording

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hotline/media"
)

func testKey(t testing.TB, n byte) *Key {
	t.Helper()
	k, err := ParseKey(strings.Repeat(fmt.Sprintf("%02x", n), 32) + "\n")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// sealed is an encrypted file of some segments.
func sealed(t testing.TB, k *Key, segments ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	s, err := newSealer(&b, k)
	if err != nil {
		t.Fatal(err)
	}
	for _, seg := range segments {
		if _, err := s.Write([]byte(seg)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func unsealed(data []byte, keys ...*Key) (string, error) {
	r, err := Decrypt(bytes.NewReader(data), keys...)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(r)
	return string(b), err
}

func TestEncrypted(t *testing.T) {
	old, k := testKey(t, 1), testKey(t, 2)
	data := sealed(t, k, "one", "two", "three")
	if bytes.Contains(data, []byte("two")) {
		t.Error("it can be read")
	}
	if got, err := unsealed(data, old, k); got != "onetwothree" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := unsealed(data, old); !errors.Is(err, ErrWrongKey) || !strings.Contains(err.Error(), k.ID) {
		t.Errorf("another key: %v", err)
	}
	for i := 1; i < len(data); i++ {
		got, err := unsealed(data[:i], k)
		if err == nil || !strings.HasPrefix("onetwothree", got) {
			t.Fatalf("cut to %d: %q, %v", i, got, err)
		}
		if i >= cryptHead && !errors.Is(err, ErrCut) {
			t.Fatalf("cut to %d: %v", i, err)
		}
	}
	for i := range data { // no bit of it can be another one
		bad := bytes.Clone(data)
		bad[i] ^= 0x10
		if got, err := unsealed(bad, k); err == nil || !strings.HasPrefix("onetwothree", got) {
			t.Fatalf("byte %d changed: %q, %v", i, got, err)
		}
	}
	last := len(data) - 20
	if _, err := unsealed(data[:last], k); !errors.Is(err, ErrCut) {
		t.Errorf("without its last segment: %v", err)
	}
	if _, err := unsealed(append(bytes.Clone(data), 0), k); !errors.Is(err, ErrChanged) {
		t.Errorf("with something behind: %v", err)
	}
	first := cryptHead + 4 + 3 + 16
	swapped := append(bytes.Clone(data[:cryptHead]), data[first:first+23]...)
	swapped = append(append(swapped, data[cryptHead:first]...), data[first+23:]...)
	if got, err := unsealed(swapped, k); !errors.Is(err, ErrChanged) || got != "" {
		t.Errorf("segments in another order: %q, %v", got, err)
	}
}

func TestKeysDoNotShow(t *testing.T) {
	k := testKey(t, 0xab)
	if s := fmt.Sprintf("%v %+v %#v %s", k, k, k, k); strings.Contains(s, "abab") || strings.Contains(s, "171") {
		t.Errorf("printed: %s", s)
	}
	for _, text := range []string{"", "ab", strings.Repeat("zz", 32), strings.Repeat("ab", 33)} {
		if _, err := ParseKey(text); err == nil {
			t.Errorf("%q is a key", text)
		}
	}
}

// An encrypted recording that was killed in the middle ends with its last whole segment, and
// then is whole.
func TestRepairsEncrypted(t *testing.T) {
	k := testKey(t, 3)
	dir := t.TempDir()
	killed := record(t, dir, k)
	for _, keys := range [][]*Key{{k}, nil} {
		into := filepath.Join(t.TempDir(), "rec")
		copyTree(t, killed, into)
		repaired, err := Repair(into, keys, quiet())
		if err != nil || len(repaired) != 1 {
			t.Fatalf("%v, %v", repaired, err)
		}
		in := repaired[0]
		data, err := os.ReadFile(in.Path(into))
		if err != nil {
			t.Fatal(err)
		}
		wav, err := unsealed(data, k)
		if keys != nil && err != nil || keys == nil && !errors.Is(err, ErrCut) {
			t.Errorf("with %v: %v", keys, err)
		}
		left, _ := split(ALaw, []byte(wav[wavHead:]))
		if in.Ended != EndedInterrupted || len(left) < 8000 {
			t.Errorf("%d samples, %+v", len(left), in)
		}
		wantTone(t, "left", left[:8000], 500, 1200)
	}
}

// record makes a recording of three seconds, and returns a copy of its directory as a killed
// process would have left it, with half a write at the end.
func record(t *testing.T, dir string, k *Key) string {
	t.Helper()
	r, _ := newRecorder(t, func(o *Options) { o.Dir, o.Key = dir, k }, nil)
	g := begin(t, r, "n-1")
	s, o := &stream{codec: media.PCMA, freq: 500}, &stream{codec: media.PCMA, sent: true, freq: 1200}
	for i := range 150 {
		g.Voice(s.packet(time.Duration(i) * 20 * time.Millisecond))
		g.Voice(o.packet(time.Duration(i) * 20 * time.Millisecond))
	}
	part := g.info.Path(dir) + partExt
	g.w.poke()
	eventually(t, "a second is written", func() bool {
		st, err := os.Stat(part)
		return err == nil && st.Size() > 16000
	})
	killed := filepath.Join(t.TempDir(), "killed")
	copyTree(t, dir, killed)
	g.Stop(EndedCall)
	whole(t, g)
	parts, _ := filepath.Glob(filepath.Join(killed, "*", "*"+partExt))
	f, err := os.OpenFile(parts[0], os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	half := []byte{0, 0, 9}
	if k != nil {
		half = make([]byte, 41)
		half[2] = 9
	}
	if _, err := f.Write(half); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return killed
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

func TestRepairsPlain(t *testing.T) {
	dir := t.TempDir()
	killed := record(t, dir, nil)
	c := newCounts()
	r, err := Open(Options{Dir: killed, Observer: c, Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	repaired := r.Repaired()
	if len(repaired) != 1 || c.ended[EndedInterrupted] != 1 {
		t.Fatalf("%+v, %v", repaired, c.ended)
	}
	in, err := Find(killed, repaired[0].ID)
	if err != nil || in.Ended != EndedInterrupted || in.Number != "+8613900000001" {
		t.Fatalf("%+v, %v", in, err)
	}
	left, right := channels(t, in.Path(killed))
	if len(left) < 8000 || float64(len(left))/rate != in.Seconds {
		t.Errorf("%d samples, %+v", len(left), in)
	}
	wantTone(t, "left", left, 500, 1200)
	wantTone(t, "right", right, 1200, 500)
	if err := Verify(killed, in); err != nil {
		t.Error(err)
	}
	if again, err := Repair(killed, nil, quiet()); len(again) != 0 || err != nil {
		t.Errorf("a second time: %v, %v", again, err)
	}
}
