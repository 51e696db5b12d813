package recording

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"hotline/media"
)

// s3Server is an S3 server of another make (gofakes3) with a bucket; spoil, if not nil, may answer in
// its place or change what comes.
func s3Server(t *testing.T, spoil func(http.ResponseWriter, *http.Request) bool) (*s3mem.Backend, Remote) {
	t.Helper()
	holds := s3mem.New()
	if err := holds.CreateBucket("calls"); err != nil {
		t.Fatal(err)
	}
	real := gofakes3.New(holds, gofakes3.WithIntegrityCheck(true)).Server()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if spoil == nil || !spoil(w, r) {
			real.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(srv.Close)
	s, err := NewS3(S3Options{Endpoint: strings.TrimPrefix(srv.URL, "http://"), Bucket: "calls", Prefix: "n1/", Region: "us-east-1",
		AccessKey: "me", SecretKey: "secret-me"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return holds, s
}

func stored(t *testing.T, b *s3mem.Backend, key string) []byte {
	t.Helper()
	o, err := b.GetObject("calls", key, nil)
	if err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	defer o.Contents.Close()
	data, err := io.ReadAll(o.Contents)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// A recording goes to a store that is out of order at first, is there byte for byte, and is
// erased there, too.
func TestUploadsToS3(t *testing.T) {
	var asked atomic.Int32
	holds, s3 := s3Server(t, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut || asked.Add(1) > 1 {
			return false
		}
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	})
	dir := t.TempDir()
	r, c := newRecorder(t, func(o *Options) { o.Dir, o.Remote, o.Key = dir, s3, testKey(t, 1) }, nil)
	g := begin(t, r, "n-1")
	s := &stream{codec: media.PCMA, freq: 500}
	for i := range 150 {
		g.Voice(s.packet(time.Duration(i) * 20 * time.Millisecond))
	}
	g.Stop(EndedCall)
	<-g.Done()
	c.wait(t, "uploaded")
	eventually(t, "it is noted", func() bool { in, err := Find(dir, g.ID()); return err == nil && in.Stored != nil })
	in, err := Find(dir, g.ID())
	if err != nil {
		t.Fatal(err)
	}
	here, err := os.ReadFile(in.Path(dir))
	if err != nil {
		t.Fatal(err)
	}
	key := "n1/" + in.Day + "/" + in.File
	if !bytes.Equal(stored(t, holds, key), here) || c.uploads[false] != 1 || in.Stored.Key != in.Day+"/"+in.File {
		t.Errorf("stored at %+v, counted %v", in.Stored, c.uploads)
	}
	if erased, _, err := Erase(t.Context(), dir, in.Number, s3); err != nil || len(erased) != 1 {
		t.Errorf("%v, %v", erased, err)
	}
	if _, err := holds.HeadObject("calls", key); err == nil {
		t.Error("it is still in the store")
	}
	if err := s3.Delete(t.Context(), "not/there"); err != nil {
		t.Errorf("erasing what isn't there: %v", err)
	}
}

// What is changed on the way isn't taken for stored.
func TestUploadIsVerified(t *testing.T) {
	for name, spoil := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"the body is another one": func(_ http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPut {
				data, _ := io.ReadAll(r.Body)
				data[len(data)/2] ^= 1
				r.Body = io.NopCloser(bytes.NewReader(data))
			}
			return false
		},
		"the store lies": func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPut {
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header().Set("ETag", `"00000000000000000000000000000000"`)
				return true
			}
			return false
		},
		"the store has something else": func(_ http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPut {
				r.Header.Del("Content-Md5")
				data, _ := io.ReadAll(r.Body)
				data[len(data)/2] ^= 1
				r.Body = io.NopCloser(bytes.NewReader(data))
			}
			return false
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, s3 := s3Server(t, spoil)
			dir := t.TempDir()
			in := keptFor(t, dir, "a-1", "sales", "+1", day)
			if err := s3.Put(t.Context(), "x.wav", in.Path(dir)); err == nil {
				t.Error("it was taken for stored")
			}
		})
	}
	_, s3 := s3Server(t, nil)
	if err := s3.Put(t.Context(), "x.wav", "/nowhere/x.wav"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that isn't there: %v", err)
	}
}
