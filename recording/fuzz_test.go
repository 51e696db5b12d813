package recording

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// A file that a killed process, or anybody, has left is repaired or refused; what is repaired
// can be read to its end.
func FuzzRepairWAV(f *testing.F) {
	for _, format := range []Format{Linear, ALaw, ULaw} {
		whole := append(wavHeader(format, 0), make([]byte, 37)...)
		f.Add(whole)
		f.Add(whole[:30])
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "x.wav")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		_, size, err := repairWAV(file)
		after, _ := os.ReadFile(path)
		if err != nil {
			if !errors.Is(err, ErrBadFile) || !bytes.Equal(after, data) {
				t.Errorf("refused with %v, changed: %t", err, !bytes.Equal(after, data))
			}
			return
		}
		_, says, err := readWAVHeader(bytes.NewReader(after))
		if err != nil || int64(says) != size || len(after) != wavHead+int(size) {
			t.Errorf("the header says %d (%v), the file has %d", says, err, len(after)-wavHead)
		}
	})
}

// An encrypted file is read up to what was changed, and never further; repairing it keeps all
// that could be read.
func FuzzDecrypt(f *testing.F) {
	k := testKey(f, 1)
	whole := sealed(f, k, "one", "two")
	f.Add(whole, uint16(len(whole)), uint16(0), byte(0))
	f.Add(whole, uint16(60), uint16(0), byte(0))
	f.Add(whole, uint16(len(whole)), uint16(50), byte(1))
	f.Add([]byte(cryptMagic), uint16(8), uint16(0), byte(0))
	f.Fuzz(func(t *testing.T, data []byte, size, at uint16, flip byte) {
		if _, err := unsealed(data, k); err == nil && !bytes.Equal(data, whole) {
			// Only the holder of the key can make another one.
			if _, err := Decrypt(bytes.NewReader(data), k); err == nil && len(data) == len(whole) && bytes.Equal(data[:cryptHead], whole[:cryptHead]) {
				t.Error("a changed file is genuine")
			}
		}
		mine := bytes.Clone(whole[:min(int(size), len(whole))])
		if len(mine) > 0 {
			mine[int(at)%len(mine)] ^= flip
		}
		got, err := unsealed(mine, k)
		if !bytes.HasPrefix([]byte("onetwo"), []byte(got)) || err == nil && !bytes.Equal(mine, whole) {
			t.Errorf("%q, %v", got, err)
		}
		end, _, complete, err := wholeSegments(bytes.NewReader(data), int64(len(data)))
		if err == nil && (end > int64(len(data)) || complete && end < cryptHead) {
			t.Errorf("%d of %d bytes are whole", end, len(data))
		}
		path := filepath.Join(t.TempDir(), "x")
		if err := os.WriteFile(path, mine, 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if repairEncrypted(file, []*Key{k}) != nil || flip != 0 {
			return
		}
		mended, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if after, err := unsealed(mended, k); err != nil || after != got {
			t.Errorf("%q could be read, after the repair %q, %v", got, after, err)
		}
	})
}

// A sidecar is taken as it is written, or refused, and names nothing outside its directory.
func FuzzSidecar(f *testing.F) {
	in := Info{ID: "n-1-1", Day: "2026-11-22", File: "n-1-1.wav", Call: "n-1", Number: "+1", Ended: EndedCall, Stored: &Stored{Bucket: "b", Key: "k"}}
	data, err := json.Marshal(in)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"id":"../x","day":"2026-11-22"}`))
	f.Add([]byte(`{"id":"x","day":"2026-11-22","file":"/etc/passwd"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		in, err := parseInfo(data)
		if err != nil {
			if !errors.Is(err, ErrBadFile) {
				t.Error(err)
			}
			return
		}
		for _, path := range []string{in.sidecar("/dir"), in.Path("/dir")} {
			if in.File == "" && path == in.Path("/dir") {
				continue
			}
			if filepath.Dir(path) != filepath.Join("/dir", in.Day) {
				t.Errorf("it names %s", path)
			}
		}
		again, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseInfo(again); err != nil && len(again) <= maxSidecar {
			t.Errorf("written again it is refused: %v", err)
		}
	})
}

// The sound of a file is read as it is, whatever it is.
func FuzzSound(f *testing.F) {
	f.Add(append(wavHeader(ALaw, 4), 1, 2, 3, 4))
	f.Add(wavHeader(Linear, streamed))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "x.wav")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		r, c, err := OpenSound(path)
		if err != nil {
			return
		}
		defer c.Close()
		out, err := os.Create(path + ".out")
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		if _, err := CopyWAV(out, r); err != nil {
			return
		}
		if _, err := out.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		if _, _, err := readWAVHeader(out); err != nil {
			t.Errorf("what was written can't be read: %v", err)
		}
	})
}
