package journal_test

import (
	"log/slog"
	"testing"

	"hotline/routing/journal"
	"hotline/routing/journal/journaltest"
)

type fileHome struct{ opt journal.FileOptions }

func (h fileHome) Open(t *testing.T) journal.Journal {
	f, err := journal.OpenFile(h.opt)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFileConforms(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	t.Run("one segment", func(t *testing.T) {
		journaltest.Run(t, func(t *testing.T) journaltest.Home {
			return fileHome{journal.FileOptions{Dir: t.TempDir(), Logger: log}}
		})
	})
	t.Run("many segments", func(t *testing.T) {
		journaltest.Run(t, func(t *testing.T) journaltest.Home {
			return fileHome{journal.FileOptions{Dir: t.TempDir(), SegmentBytes: 200, Logger: log}}
		})
	})
}
