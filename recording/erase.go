package recording

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// sweepEvery is how often recordings that were kept long enough are looked for.
const sweepEvery = time.Hour

func (r *Recorder) sweepLoop() {
	t := time.NewTicker(sweepEvery)
	defer t.Stop()
	for {
		if r.opt.Keep != nil {
			r.sweep(time.Now())
		}
		select {
		case <-r.quit:
			return
		case <-t.C:
		}
	}
}

// sweep erases what was kept long enough at a time.
func (r *Recorder) sweep(now time.Time) {
	erased := 0
	err := Each(r.opt.Dir, func(in Info) error {
		if r.ctx.Err() != nil {
			return r.ctx.Err()
		}
		keep := r.opt.Keep(in.Queue)
		if in.Ended == "" || keep == 0 || now.Sub(in.Start) < keep {
			return nil
		}
		if err := Remove(r.ctx, r.opt.Dir, in, r.opt.Remote); err != nil {
			r.opt.Logger.Error("recording not erased; it will be tried again", "recording", in.ID, "error", err)
			return nil
		}
		erased++
		r.opt.Observer.RecordingErased()
		return nil
	})
	if err != nil && r.ctx.Err() == nil {
		r.opt.Logger.Error("recordings not swept whole", "error", err)
	}
	if erased > 0 {
		r.opt.Logger.Info("recordings erased that were kept long enough", "count", erased)
	}
	emptyDays(r.opt.Dir, now)
}

// emptyDays removes the directories of days of which nothing is left; today's may be
// wanted at once.
func emptyDays(dir string, now time.Time) {
	for _, day := range days(dir) {
		if day < now.AddDate(0, 0, -1).Format(time.DateOnly) {
			_ = os.Remove(filepath.Join(dir, day)) // refused unless it is empty
		}
	}
}

// Remove erases a recording, also where it was uploaded to. The sidecar goes last, so that
// what can't be erased can still be found.
func Remove(ctx context.Context, dir string, in Info, remote Remote) error {
	if in.Stored != nil {
		if remote == nil {
			return fmt.Errorf("%s was uploaded to bucket %s, and no store is configured to erase it there", in.ID, in.Stored.Bucket)
		}
		if err := remote.Delete(ctx, in.Stored.Key); err != nil {
			return err
		}
	}
	if in.File != "" {
		if err := os.Remove(in.Path(dir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := os.Remove(in.sidecar(dir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Erase erases all recordings of a caller's number, written as call records have it, also where they
// were uploaded to. Those that are still being made are left, and returned as busy.
func Erase(ctx context.Context, dir, number string, remote Remote) (erased, busy []Info, err error) {
	if number == "" {
		return nil, nil, errors.New("no number")
	}
	var wrong []error
	err = Each(dir, func(in Info) error {
		switch {
		case in.Number != number:
		case in.Ended == "":
			busy = append(busy, in)
		default:
			if err := Remove(ctx, dir, in, remote); err != nil {
				wrong = append(wrong, err)
				return nil
			}
			erased = append(erased, in)
		}
		return nil
	})
	return erased, busy, errors.Join(append(wrong, err)...)
}
