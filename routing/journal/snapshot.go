package journal

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A snapshot is a file beside the segments:
//
//	hotline-snapshot 1 seq=20 bytes=512 crc=5d1b8c3e
//	{"version":2,...}
//
// The first line has the format's version, the last entry that the state has
// seen, and the length and CRC-32C of what follows up to the end of the file.

const (
	snapshotFormat = "hotline-snapshot 1"
	// maxSnapshot bounds what is read into memory.
	maxSnapshot = 1 << 30
	// keepSnapshots is how many are kept: if the newest can't be read, entries are
	// still there from the one before it.
	keepSnapshots = 2
	snapshotTemp  = "snapshot.tmp"
)

// snapshotName has 20 digits, so that names sort as numbers.
func snapshotName(seq uint64) string { return fmt.Sprintf("snapshot-%020d.json", seq) }

func snapshotHead(seq uint64, data []byte) []byte {
	return fmt.Appendf(nil, "%s seq=%d bytes=%d crc=%08x\n", snapshotFormat, seq, len(data), crc32.Checksum(data, castagnoli))
}

// parseSnapshot returns what WriteSnapshot was given, from the bytes of a file.
func parseSnapshot(file []byte) (seq uint64, data []byte, err error) {
	line, data, ok := bytes.Cut(file, []byte("\n"))
	if !ok || !bytes.HasPrefix(line, []byte(snapshotFormat+" ")) {
		return 0, nil, fmt.Errorf("first line is %.40q, not %q; is it a snapshot of another version?", line, snapshotFormat)
	}
	text, _, _ := strings.Cut(strings.TrimPrefix(string(line), snapshotFormat+" seq="), " ")
	if seq, err = strconv.ParseUint(text, 10, 64); err != nil || !bytes.Equal(append(line, '\n'), snapshotHead(seq, data)) {
		return 0, nil, errors.New("checksum or length and content do not belong together")
	}
	return seq, data, nil
}

// numbered returns the numbers in the names of the files in dir, sorted.
func numbered(dir, prefix, suffix string, name func(uint64) string) ([]uint64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []uint64
	for _, e := range entries {
		digits, ok := strings.CutPrefix(e.Name(), prefix)
		digits, ok2 := strings.CutSuffix(digits, suffix)
		if n, err := strconv.ParseUint(digits, 10, 64); ok && ok2 && err == nil && name(n) == e.Name() {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out, nil
}

// snapshots returns the entries whose snapshots are in dir, whole or not, sorted.
func snapshots(dir string) ([]uint64, error) {
	return numbered(dir, "snapshot-", ".json", snapshotName)
}

func readSnapshot(dir string, seq uint64) ([]byte, error) {
	name := filepath.Join(dir, snapshotName(seq))
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("read snapshot: %w", err)
	}
	if info.Size() > maxSnapshot {
		return nil, fmt.Errorf("snapshot %s has %d bytes; the limit is %d", name, info.Size(), maxSnapshot)
	}
	file, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read snapshot: %w", err)
	}
	got, data, err := parseSnapshot(file)
	if err == nil && got != seq {
		err = fmt.Errorf("it says that it is of entry %d", got)
	}
	if err != nil {
		return nil, fmt.Errorf("snapshot %s can't be used: %w", name, err)
	}
	return data, nil
}

// findSnapshot returns the newest whole snapshot in dir of an entry from oldest-1
// to upTo; bad is told of those that aren't whole. found is false when there is
// none.
func findSnapshot(dir string, oldest, upTo uint64, bad func(error)) (seq uint64, data []byte, found bool, err error) {
	seqs, err := snapshots(dir)
	if err != nil {
		return 0, nil, false, fmt.Errorf("look for snapshots: %w", err)
	}
	for _, seq := range slices.Backward(seqs) {
		if seq > upTo || seq+1 < oldest {
			continue
		}
		data, err := readSnapshot(dir, seq)
		if err == nil {
			return seq, data, true, nil
		}
		if !errors.Is(err, fs.ErrNotExist) { // dropped meanwhile: a newer one is there
			bad(err)
		}
	}
	return 0, nil, false, nil
}

// recoverSnapshots looks for whole snapshots at start: they say which segments
// may be dropped, and whether the last entries are missing.
func (f *File) recoverSnapshots() error {
	if err := os.Remove(filepath.Join(f.opt.Dir, snapshotTemp)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("open journal: %w", err)
	}
	seqs, err := snapshots(f.opt.Dir)
	if err != nil {
		return fmt.Errorf("open journal: %w", err)
	}
	for _, seq := range seqs {
		if _, err := readSnapshot(f.opt.Dir, seq); err != nil {
			f.log.Error("journal has a snapshot that can't be used", "error", err)
			continue
		}
		f.snaps = append(f.snaps, seq)
	}
	n := len(f.snaps)
	if n == 0 || f.snaps[n-1] < f.next {
		return nil
	}
	// Number the next entry behind what the snapshot has seen: entries of the same
	// numbers would be taken for those and ignored.
	f.log.Warn("journal ends before its snapshot; it goes on behind the snapshot", "last", f.next-1, "snapshot", f.snaps[n-1])
	f.endSegment()
	if last := len(f.firsts) - 1; f.firsts[last] == f.next { // it has no entry
		if err := os.Remove(filepath.Join(f.opt.Dir, segmentName(f.next))); err != nil {
			return fmt.Errorf("open journal: %w", err)
		}
		f.firsts = f.firsts[:last]
	}
	f.next = f.snaps[n-1] + 1
	return f.begin()
}

// WriteSnapshot implements Journal. Entries up to seq are made durable first.
func (f *File) WriteSnapshot(seq uint64, data []byte) error {
	f.snapshotting.Lock()
	defer f.snapshotting.Unlock()
	f.mu.Lock()
	closed, next, last := f.closed, f.next, uint64(0)
	if n := len(f.snaps); n > 0 {
		last = f.snaps[n-1]
	}
	f.mu.Unlock()
	switch {
	case closed:
		return ErrClosed
	case seq == 0 || seq >= next || seq < last:
		return fmt.Errorf("write a snapshot of entry %d: the last entry is %d and the last snapshot of %d", seq, next-1, last)
	case len(data) > maxSnapshot-1024:
		return fmt.Errorf("write a snapshot of %d bytes: the limit is %d", len(data), maxSnapshot-1024)
	}
	f.syncGroup()
	if err := f.writeSnapshot(seq, data); err != nil {
		err = fmt.Errorf("write a snapshot of entry %d: %w", seq, err)
		f.mu.Lock()
		defer f.mu.Unlock()
		f.stats.Errors++
		if f.opt.OnError != nil {
			f.opt.OnError(err)
		}
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if seq != last {
		f.snaps = append(f.snaps, seq)
	}
	f.stats.Snapshots++
	f.dropSnapshots()
	f.drop()
	return nil
}

// writeSnapshot makes the file appear whole or not at all.
func (f *File) writeSnapshot(seq uint64, data []byte) (err error) {
	temp := filepath.Join(f.opt.Dir, snapshotTemp)
	file, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	_, err = file.Write(snapshotHead(seq, data))
	if err == nil {
		_, err = file.Write(data)
	}
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(temp, filepath.Join(f.opt.Dir, snapshotName(seq)))
	}
	if err != nil {
		_ = os.Remove(temp) // the next one is written over it
		return err
	}
	return syncDir(f.opt.Dir)
}

// dropSnapshots deletes those beyond the newest whole ones.
func (f *File) dropSnapshots() {
	if len(f.snaps) > keepSnapshots {
		f.snaps = slices.Clone(f.snaps[len(f.snaps)-keepSnapshots:])
	}
	seqs, err := snapshots(f.opt.Dir)
	for _, seq := range seqs {
		if seq < f.snaps[0] {
			err = errors.Join(err, os.Remove(filepath.Join(f.opt.Dir, snapshotName(seq))))
		}
	}
	if err != nil {
		f.failed("drop an old snapshot", err)
	}
}

// needed is the oldest entry that reading back from the snapshots needs.
func (f *File) needed() uint64 {
	if len(f.snaps) == 0 {
		return 1
	}
	return f.snaps[0] + 1
}

// Snapshot implements Journal.
func (f *File) Snapshot(upTo uint64) (seq uint64, data []byte, err error) {
	f.mu.Lock()
	oldest, closed := f.next, f.closed
	if len(f.firsts) > 0 {
		oldest = f.firsts[0]
	}
	f.mu.Unlock()
	if closed {
		return 0, nil, ErrClosed
	}
	var broken []error
	seq, data, found, err := findSnapshot(f.opt.Dir, oldest, upTo, func(err error) { broken = append(broken, err) })
	for _, err := range broken {
		f.log.Error("journal has a snapshot that can't be used; looking for an older one", "error", err)
	}
	if err != nil || found {
		return seq, data, err
	}
	if oldest <= 1 {
		return 0, nil, nil
	}
	all, err := snapshots(f.opt.Dir)
	if err != nil {
		return 0, nil, fmt.Errorf("look for snapshots: %w", err)
	}
	if len(all) == 0 && upTo == math.MaxUint64 {
		// Written and trimmed by a version that had no snapshots.
		f.log.Warn("journal has no snapshot and its oldest entries were dropped; what they said is missing", "oldest", oldest)
		return 0, nil, nil
	}
	return 0, nil, errors.Join(append([]error{fmt.Errorf("journal %s begins with entry %d: %w", f.opt.Dir, oldest, ErrNoSnapshot)}, broken...)...)
}
