package metrics

import "github.com/prometheus/client_golang/prometheus"

// RecordingStats are the figures of recordings at one moment.
type RecordingStats struct {
	Active  int
	Free    int64 // bytes on the disk; negative: not known
	Low     bool  // no recording begins, for want of space
	Waiting int   // recordings that wait to be uploaded
}

// recordingCounts are what is counted of recordings.
type recordingCounts struct {
	ended, dropped, uploads *prometheus.CounterVec
	bytes, erased           prometheus.Counter

	active, free, low, waiting *prometheus.Desc
}

var (
	recordingEnds  = set("call_ended talk_ended stopped too_long disk_slow disk_full disk_error interrupted")
	recordingDrops = set("disk_slow disk_full disk_error disk_low too_many")
)

func newRecordingCounts() recordingCounts {
	single := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	desc := func(name, help string) *prometheus.Desc { return prometheus.NewDesc(name, help, nil, nil) }
	r := recordingCounts{
		ended:   counter("hotline_recordings_total", "Recordings that have ended, by reason.", "reason"),
		dropped: counter("hotline_recordings_dropped_total", "Recordings that were lost, whole or from some moment on, by reason; their calls went on.", "reason"),
		uploads: counter("hotline_recording_uploads_total", "Tries to upload a recording, by result.", "result"),
		bytes:   single("hotline_recording_bytes_total", "Bytes of recordings that have ended."),
		erased:  single("hotline_recordings_erased_total", "Recordings erased because they had been kept long enough."),
		active:  desc("hotline_recordings_active", "Recordings under way."),
		free:    desc("hotline_recording_disk_free_bytes", "Space on the disk of the recordings; missing when not known, or nothing is recorded."),
		low:     desc("hotline_recording_disk_low", "1 while no recording begins because there is less space than min_free."),
		waiting: desc("hotline_recording_uploads_waiting", "Recordings that wait to be uploaded."),
	}
	for _, reason := range recordingEnds.names {
		r.ended.WithLabelValues(reason)
	}
	for _, reason := range recordingDrops.names {
		r.dropped.WithLabelValues(reason)
	}
	for _, result := range []string{"ok", "failed"} {
		r.uploads.WithLabelValues(result)
	}
	return r
}

// counters are those that don't come from a snapshot.
func (r *recordingCounts) counters() group {
	return group{r.ended, r.dropped, r.uploads, r.bytes, r.erased}
}

func (r *recordingCounts) descs() []*prometheus.Desc {
	return []*prometheus.Desc{r.active, r.free, r.low, r.waiting}
}

func (m *Metrics) collectRecording(ch chan<- prometheus.Metric, s *Snapshot) {
	r := &m.recording
	gauge(ch, r.active, float64(s.Recording.Active))
	if s.Recording.Free > 0 {
		gauge(ch, r.free, float64(s.Recording.Free))
	}
	low := 0.0
	if s.Recording.Low {
		low = 1
	}
	gauge(ch, r.low, low)
	gauge(ch, r.waiting, float64(s.Recording.Waiting))
}

// RecordingEnded implements recording.Observer.
func (m *Metrics) RecordingEnded(reason string, bytes int64) {
	m.recording.ended.WithLabelValues(recordingEnds.fold(reason)).Inc()
	m.recording.bytes.Add(float64(max(bytes, 0)))
}

// RecordingDropped implements recording.Observer.
func (m *Metrics) RecordingDropped(reason string) {
	m.recording.dropped.WithLabelValues(recordingDrops.fold(reason)).Inc()
}

// RecordingUploaded implements recording.Observer.
func (m *Metrics) RecordingUploaded(ok bool) {
	result := "failed"
	if ok {
		result = "ok"
	}
	m.recording.uploads.WithLabelValues(result).Inc()
}

// RecordingErased implements recording.Observer.
func (m *Metrics) RecordingErased() { m.recording.erased.Inc() }
