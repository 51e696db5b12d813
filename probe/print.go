package probe

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// WriteJSON writes the report as one indented object.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) error {
	verdict := "fine"
	if len(r.Problems) > 0 {
		verdict = "NOT FINE"
	}
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintf(t, "%s at %s, %s: %s\n", r.Number, r.To, r.At.Format("2006-01-02 15:04:05"), verdict)
	if r.Answered {
		fmt.Fprintf(t, "  ringing after\t%s\n  answered after\t%s\n  codec\t%s\n", in(r.PostDialDelay, 1, "%.3f s"), in(r.Setup, 1, "%.3f s"), r.Codec)
		fmt.Fprintf(t, "  far end\t%s\n", r.farEnd())
		fmt.Fprintf(t, "  round trip of the voice\t%s\n", in(r.RoundTrip, 1000, "%.1f ms"))
		fmt.Fprintf(t, "\treceived\tsent\n")
		a, b := &r.Received, &r.Sent
		fmt.Fprintf(t, "  packets\t%d\t%d\n", a.Packets, b.Packets)
		fmt.Fprintf(t, "  sound heard\t%s\t%s\n", yesNo(a.Heard), yesNo(b.Heard))
		fmt.Fprintf(t, "  level\t%s\t%s\n", in(a.Level, 1, "%.1f dBm0"), in(b.Level, 1, "%.1f dBm0"))
		fmt.Fprintf(t, "  loss\t%s\t%s\n", in(a.Loss, 1, "%.1f %%"), in(b.Loss, 1, "%.1f %%"))
		fmt.Fprintf(t, "  jitter\t%s\t%s\n", in(a.Jitter, 1000, "%.1f ms"), in(b.Jitter, 1000, "%.1f ms"))
		fmt.Fprintf(t, "  MOS\t%s\t%s\n", in(a.MOS, 1, "%.2f"), in(b.MOS, 1, "%.2f"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, p := range r.Problems {
		if _, err := fmt.Fprintf(w, "%s: %s\n  hint: %s\n", p.Code, p.What, p.Hint); err != nil {
			return err
		}
	}
	return nil
}

// farEnd is what the far end turned out to be.
func (r *Report) farEnd() string {
	switch {
	case r.Echo && r.Tone:
		return fmt.Sprintf("tone and echo, %d of %d chirps came back", r.ChirpsHeard, r.ChirpsSent)
	case r.Echo:
		return fmt.Sprintf("echo, %d of %d chirps came back, gain %.1f dB", r.ChirpsHeard, r.ChirpsSent, *r.EchoGain)
	case r.Tone:
		return "tone, but no echo"
	}
	return "no echo: no delay, and no level of what we send"
}

func in(v *float64, unit float64, format string) string {
	if v == nil {
		return "unknown"
	}
	return fmt.Sprintf(format, *v*unit)
}

func yesNo(v *bool) string {
	switch {
	case v == nil:
		return "unknown"
	case *v:
		return "yes"
	}
	return "no"
}

// WritePrometheus writes the report in Prometheus's text format, for the textfile collector of
// node_exporter. What isn't known has no line.
func (r *Report) WritePrometheus(w io.Writer) error {
	var b strings.Builder
	labels := fmt.Sprintf(`number=%q,to=%q`, r.Number, r.To)
	metric := func(name, help string, samples ...sample) {
		lines := 0
		for _, s := range samples {
			if s.value == nil {
				continue
			}
			if lines++; lines == 1 {
				fmt.Fprintf(&b, "# HELP hotline_dial_%s %s\n# TYPE hotline_dial_%s gauge\n", name, help, name)
			}
			fmt.Fprintf(&b, "hotline_dial_%s{%s%s} %g\n", name, labels, s.label, *s.value)
		}
	}
	one := func(v *float64) sample { return sample{"", v} }
	both := func(of func(*Direction) *float64) []sample {
		return []sample{{`,direction="received"`, of(&r.Received)}, {`,direction="sent"`, of(&r.Sent)}}
	}
	metric("success", "Whether the test call was answered and nothing is wrong with it.", one(truth(len(r.Problems) == 0)))
	metric("timestamp_seconds", "When the test call began.", one(new(float64(r.At.UnixMilli())/1000)))
	metric("answered", "Whether the test call was answered.", one(truth(r.Answered)))
	metric("sip_status", "Final SIP status of the test call; 0: none came.", one(new(float64(r.Status))))
	metric("post_dial_delay_seconds", "From INVITE to the first 18x.", one(r.PostDialDelay))
	metric("setup_seconds", "From INVITE to 200.", one(r.Setup))
	metric("round_trip_seconds", "Delay of the voice there and back.", one(r.RoundTrip))
	metric("echo_gain_db", "Gain of the voice there and back.", one(r.EchoGain))
	if r.Answered {
		metric("lasted_seconds", "From 200 to the end of the test call.", one(new(r.Lasted)))
		metric("echo", "Whether the signal came back.", one(truth(r.Echo)))
	}
	metric("heard", "Whether sound came through.", both(func(d *Direction) *float64 {
		if d.Heard == nil {
			return nil
		}
		return truth(*d.Heard)
	})...)
	metric("level_dbm0", "Level of what is heard of a signal at -10 dBm0.", both(func(d *Direction) *float64 { return d.Level })...)
	metric("loss_ratio", "Share of packets lost.", both(func(d *Direction) *float64 {
		if d.Loss == nil {
			return nil
		}
		return new(*d.Loss / 100)
	})...)
	metric("jitter_seconds", "Jitter of packets (RFC 3550).", both(func(d *Direction) *float64 { return d.Jitter })...)
	metric("mos", "Mean opinion score by the E-model (ITU-T G.107).", both(func(d *Direction) *float64 { return d.MOS })...)
	metric("problem", "What is wrong with the test call, by its code.", r.problemSamples()...)
	_, err := io.WriteString(w, b.String())
	return err
}

type sample struct {
	label string
	value *float64
}

// problemSamples has one for each code, so that an alert's series doesn't vanish when all is well.
func (r *Report) problemSamples() []sample {
	var out []sample
	for _, code := range []string{NotAnswered, CutShort, NothingHeard, NotHeard, SlowSetup, LongDelay, Loss, LowLevel} {
		is := false
		for _, p := range r.Problems {
			is = is || p.Code == code
		}
		out = append(out, sample{fmt.Sprintf(`,problem=%q`, code), truth(is)})
	}
	return out
}

func truth(v bool) *float64 {
	if v {
		return new(1.0)
	}
	return new(0.0)
}
