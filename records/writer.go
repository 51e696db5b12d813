package records

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Observer counts records that are lost. Its methods must not block.
type Observer interface {
	// RecordDropped is a record for which there was no room, because the disk is
	// slow.
	RecordDropped()
	// RecordFailed is a record that could not be written.
	RecordFailed()
}

// Options configure a Writer.
type Options struct {
	// Dir holds the files calls-YYYY-MM-DD.jsonl; it is made if it isn't there.
	Dir string
	// Queue is how many records may wait for the disk; 0 means 10000.
	Queue int
	// Observer may be nil. Logger may be nil: slog.Default().
	Observer Observer
	Logger   *slog.Logger
}

// Writer writes records to their files. Its methods may be called from any
// goroutine. Lines are handed to the system one by one, so that the end of this
// process loses only those that wait; Missing finds them. A power cut may take
// the last lines too.
type Writer struct {
	opt   Options
	queue chan Record
	flush chan chan error
	done  chan struct{} // the goroutine that writes is gone
	sink  sink
	loss  loss

	mu     sync.RWMutex // held for reading while a record is put into the queue
	closed bool
	err    error // of the last close; read after done
}

// sink takes finished lines; the one that counts is a directory of files.
type sink interface {
	write(day string, line []byte) error
	close() error
}

// Open makes the directory and repairs the file of the latest day, in case the
// last process was stopped in the middle of a line. The caller must Close the
// Writer.
func Open(opt Options) (*Writer, error) {
	if err := os.MkdirAll(opt.Dir, 0o750); err != nil {
		return nil, fmt.Errorf("make directory of call records: %w", err)
	}
	files := &files{dir: opt.Dir}
	names, err := fileNames(opt.Dir)
	if err != nil {
		return nil, err
	}
	if len(names) > 0 {
		f, _, err := openRepaired(names[0])
		if err != nil {
			return nil, err
		}
		f.Close()
	}
	return start(opt, files), nil
}

func start(opt Options, to sink) *Writer {
	opt.Queue = cmp.Or(opt.Queue, 10000)
	if opt.Logger == nil {
		opt.Logger = slog.Default()
	}
	w := &Writer{opt: opt, queue: make(chan Record, opt.Queue), flush: make(chan chan error), done: make(chan struct{}), sink: to}
	go w.run()
	return w
}

// Write hands a record over. It never waits for the disk: when the queue is full,
// or after Close, the record is dropped and counted.
func (w *Writer) Write(r Record) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if !w.closed {
		select {
		case w.queue <- r:
			return
		default:
		}
	}
	if w.opt.Observer != nil {
		w.opt.Observer.RecordDropped()
	}
	w.loss.note(w.opt.Logger, false, nil)
}

// Close writes what waits, makes it durable and closes the files. It blocks as
// long as the disk does. A second Close does nothing more.
func (w *Writer) Close() error {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.queue)
	}
	w.mu.Unlock()
	<-w.done
	return w.err
}

// Flush makes durable what was handed over before. It blocks as long as the
// disk does.
func (w *Writer) Flush() error {
	done := make(chan error, 1)
	select {
	case w.flush <- done:
		return <-done
	case <-w.done:
		return w.err
	}
}

func (w *Writer) run() {
	defer close(w.done)
	for open := true; open; {
		var r Record
		select {
		case r, open = <-w.queue:
			if open {
				w.put(r)
			}
		case done := <-w.flush:
			for range len(w.queue) {
				w.put(<-w.queue)
			}
			done <- w.sink.close() // the next record opens it again
		}
	}
	w.err = w.sink.close()
	w.loss.tell(w.opt.Logger)
}

func (w *Writer) put(r Record) {
	line, err := json.Marshal(r)
	if err == nil {
		err = w.sink.write(r.day(), append(line, '\n'))
	}
	if err != nil {
		if w.opt.Observer != nil {
			w.opt.Observer.RecordFailed()
		}
		w.loss.note(w.opt.Logger, true, err)
	}
}

// loss logs what is lost, at once and then once a minute.
type loss struct {
	mu              sync.Mutex
	told            time.Time
	dropped, failed int // since told
	last            error
}

func (l *loss) note(log *slog.Logger, failed bool, err error) {
	l.mu.Lock()
	if failed {
		l.failed++
		l.last = err
	} else {
		l.dropped++
	}
	due := time.Since(l.told) >= time.Minute
	l.mu.Unlock()
	if due {
		l.tell(log)
	}
}

func (l *loss) tell(log *slog.Logger) {
	l.mu.Lock()
	dropped, failed, err := l.dropped, l.failed, l.last
	l.dropped, l.failed, l.last, l.told = 0, 0, nil, time.Now()
	l.mu.Unlock()
	if dropped+failed > 0 {
		log.Error("call records lost; calls go on", "dropped", dropped, "failed", failed, "error", err)
	}
}

// files is the sink of files by day. One goroutine uses it.
type files struct {
	dir  string
	day  string
	file *os.File
}

func (f *files) write(day string, line []byte) error {
	if f.file == nil || f.day != day {
		if err := f.close(); err != nil {
			return err
		}
		file, _, err := openRepaired(fileName(f.dir, day))
		if err != nil {
			return err
		}
		f.file, f.day = file, day
	}
	// One write(2) for a line: other readers and writers of the file never see
	// half of one.
	if _, err := f.file.Write(line); err != nil {
		// The file is opened anew for the next record, and repaired: this line
		// may be there in part.
		f.file.Close()
		f.file = nil
		return fmt.Errorf("write call record: %w", err)
	}
	return nil
}

func (f *files) close() error {
	if f.file == nil {
		return nil
	}
	err := errors.Join(f.file.Sync(), f.file.Close())
	f.file = nil
	if err != nil {
		return fmt.Errorf("close call records: %w", err)
	}
	return nil
}
