package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hotline/recording"
)

func TestRecordingOptions(t *testing.T) {
	dir := t.TempDir()
	key, old := filepath.Join(dir, "key"), filepath.Join(dir, "old")
	for name, text := range map[string]string{key: strings.Repeat("a1", 32), old: strings.Repeat("b2", 32) + "\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := Parse("test", []byte(minimal+`
recording:
  format: linear
  min_free: 0KiB
  key_file: `+key+`
  old_key_files: [`+old+`]
  keep_days: 30
  keep: [{queue: q, days: 0}]
  upload: {endpoint: "s3.example.com:9000", bucket: calls, access_key: me, secret_key: mine, drop_local: true}
`))
	if err != nil {
		t.Fatal(err)
	}
	opt, err := cfg.RecordingOptions()
	if err != nil {
		t.Fatal(err)
	}
	if opt.Format != recording.Linear || opt.Key == nil || len(opt.OldKeys) != 1 || opt.Key.ID == opt.OldKeys[0].ID || opt.MaxLength != 4*time.Hour ||
		opt.Remote == nil || opt.Remote.Bucket() != "calls" || !opt.DropLocal || opt.MinFree != 0 || opt.Max != 2000 {
		t.Errorf("%+v", opt)
	}
	if a, b := cfg.Recording.KeepFor("q"), cfg.Recording.KeepFor("other"); a != 0 || b != 30*24*time.Hour {
		t.Errorf("kept %v and %v", a, b)
	}
	cfg.Recording.KeyFile = filepath.Join(dir, "gone")
	if _, err := cfg.RecordingOptions(); err == nil {
		t.Error("without its key it goes on in the clear")
	}
}
