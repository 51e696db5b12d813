// Package e2e tests the whole hotline against real peers: baresip as the agents'
// softphones, sipp on the trunks, redis-server, Prometheus.
package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"hotline/config"
	"hotline/media"
	"hotline/server"
	"hotline/sip"
	"hotline/softphone"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if removeBinary() != nil && code == 0 {
			code = 1
		}
		os.Exit(code)
	}))
}

const password = "a-long-secret"

// baseConfig has one flow per number dialled: 1 puts callers into the queue at
// once, 2 asks for a key first (1 the queue, 2 hang up), 3 hangs up.
const baseConfig = `
node: test
sip: {listen: [{network: udp, address: "127.0.0.1:0"}, {network: tcp, address: "127.0.0.1:0"}], unreachable_after: 1s}
media: {address: 127.0.0.1, rtp_timeout: 0s}
trunks:
  - name: carrier
    addresses: [127.0.0.1]
    region: CN
    trust_identity: true
    dids: [{number: "1", flow: direct}, {number: "2", flow: menu}, {number: "3", flow: bye}]
queues: [{name: sales, wrap_up: 0s}]
agents: [{user: nobody, password: a-long-secret, queues: [sales]}]
routing: {keep_idle: 0, manager_time: 2s, team_time: 2s, ring_time: 3s, reject_delay: 0s, busy_delay: 0s, no_answer_delay: 30s, unreachable_delay: 30s, max_misses: 0}
flows:
  direct: {start: q, steps: {q: {queue: sales}}}
  menu:
    start: ask
    steps:
      ask: {menu: {prompts: [choose-service], keys: {"1": q, "2": bye}, too_many: bye}}
      q: {queue: sales}
      bye: {hang_up: {prompts: [goodbye]}}
  bye: {start: bye, steps: {bye: {hang_up: }}}
http: {listen: "127.0.0.1:0"}
log: {level: debug}
`

// hotline is a server under test.
type hotline struct {
	*server.Server
	t   *testing.T
	cfg *config.Config
	log *logBook
}

// throughKernel has servers forward bridged calls in the kernel, and forwarded counts the packets of those that ended.
var (
	throughKernel bool
	forwarded     uint64
)

// startHotline starts a server on ports of the kernel's, with its files in a
// folder of the test's. change may alter the config.
func startHotline(t *testing.T, change func(*config.Config)) *hotline {
	t.Helper()
	cfg, err := config.Parse("test", []byte(baseConfig))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cfg.Records.Dir, cfg.Journal.Dir = filepath.Join(dir, "records"), filepath.Join(dir, "journal")
	cfg.SIP.Register.File = filepath.Join(dir, "registrations.json")
	if throughKernel {
		cfg.Media.Kernel = "on"
	}
	if change != nil {
		change(cfg)
	}
	h := &hotline{t: t, cfg: cfg, log: newLogBook()}
	h.Server, err = server.Start(server.Options{Config: cfg, Version: "test", Logger: slog.New(h.log)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = h.Close()
		forwarded += h.Media().KernelPackets
	})
	return h
}

// serveEach serves each connection by TCP until the test ends, and closes it after.
func serveEach(t *testing.T, serve func(net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	return l.Addr().String()
}

// customers writes a directory file: lines of number,id,name,tier,manager,team.
func customersFile(t *testing.T, lines ...string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "customers.csv")
	text := "number,id,name,tier,manager,team,language\n"
	for _, l := range lines {
		text += l + "\n"
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func agent(user string, vip bool, queues ...string) config.Agent {
	return config.Agent{User: user, Password: password, Algorithm: sip.MD5, Name: user, Queues: queues, VIP: vip}
}

// uri is where phones call and register.
func (h *hotline) uri() string { return "sip:" + h.SIPAddr().String() }

// phone opens a caller's phone.
func (h *hotline) phone(codecs ...media.Codec) *softphone.Phone {
	h.t.Helper()
	return openPhone(h.t, h.uri(), codecs...)
}

// openPhone opens a caller's phone that calls the hotline at uri.
func openPhone(t *testing.T, uri string, codecs ...media.Codec) *softphone.Phone {
	t.Helper()
	p, err := softphone.Open(softphone.Options{Server: uri, Listen: netip.MustParseAddrPort("127.0.0.1:0"), Codecs: codecs})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// dial calls from a number and waits for the answer.
func (h *hotline) dial(p *softphone.Phone, did, from string) *softphone.Call {
	h.t.Helper()
	return dial(h.t, p, did, from)
}

func dial(t *testing.T, p *softphone.Phone, did, from string) *softphone.Call {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := p.Dial(ctx, did, from, "")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// desk is an agent at a built-in softphone whose calls come by a channel.
type desk struct {
	*softphone.Phone
	rings chan *softphone.Ringing
}

// openDesk opens an agent's phone that isn't registered yet.
func openDesk(t *testing.T, uri, user string) *desk {
	t.Helper()
	d := &desk{rings: make(chan *softphone.Ringing, 16)}
	p, err := softphone.Open(softphone.Options{
		Server: uri, Listen: netip.MustParseAddrPort("127.0.0.1:0"),
		Credentials: sip.Credentials{User: user, Password: password},
		Ring:        func(r *softphone.Ringing) { d.rings <- r },
	})
	if err != nil {
		t.Fatal(err)
	}
	d.Phone = p
	t.Cleanup(func() { _ = p.Close() })
	return d
}

// register registers the desk and keeps it registered.
func (d *desk) register(life time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return d.Register(ctx, life)
}

// seat registers an agent at a built-in softphone.
func (h *hotline) seat(user string) *desk {
	h.t.Helper()
	d := openDesk(h.t, h.uri(), user)
	if err := d.register(time.Minute); err != nil {
		h.t.Fatal(err)
	}
	h.log.await(h.t, "seat registered", "seat", user)
	return d
}

const patience = 10 * time.Second

// ring waits until the desk rings.
func (d *desk) ring(t *testing.T) *softphone.Ringing {
	t.Helper()
	select {
	case r := <-d.rings:
		return r
	case <-time.After(patience):
		t.Fatal("the agent's phone doesn't ring")
		return nil
	}
}

// pickUp waits for a ring and answers it.
func (d *desk) pickUp(t *testing.T) (*softphone.Call, string) {
	t.Helper()
	r := d.ring(t)
	c, err := r.Answer()
	if err != nil {
		t.Fatal(err)
	}
	return c, r.Number
}

func awaitDone(t *testing.T, what string, ch <-chan struct{}) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(patience):
		t.Fatalf("%s: nothing within %v", what, patience)
	}
}

// finish closes the server and returns its call records in order of arrival.
func (h *hotline) finish() []record {
	h.t.Helper()
	if err := h.Close(); err != nil {
		h.t.Errorf("close: %v", err)
	}
	return readRecords(h.t, h.cfg.Records.Dir)
}

// record is what the tests look at in a call record.
type record map[string]any

func (r record) str(key string) string { s, _ := r[key].(string); return s }

func readRecords(t *testing.T, dir string) []record {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	var out []record
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			var r record
			if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			out = append(out, r)
		}
		_ = f.Close()
	}
	return out
}

// metrics scrapes /metrics: series to value.
func (h *hotline) metrics() map[string]float64 {
	h.t.Helper()
	return scrape(h.t, h.HTTPAddr().String())
}

func scrape(t *testing.T, address string) map[string]float64 {
	t.Helper()
	res, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	defer http.DefaultClient.CloseIdleConnections()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for line := range strings.Lines(string(body)) {
		i := strings.LastIndexByte(line, ' ')
		if i < 0 || strings.HasPrefix(line, "#") {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(line[i+1:]), 64)
		if err != nil {
			t.Fatalf("metric %q: %v", line, err)
		}
		out[line[:i]] = v
	}
	return out
}

// logBook is a slog.Handler that keeps the lines and lets tests wait for one:
// the log is the signal that something has happened.
type logBook struct {
	mu    sync.Mutex
	lines []logLine
	news  chan struct{}
}

type logLine struct {
	msg   string
	attrs map[string]string
	used  bool
}

type logView struct {
	*logBook
	with []slog.Attr
}

func newLogBook() *logBook { return &logBook{news: make(chan struct{})} }

func (l *logBook) Enabled(context.Context, slog.Level) bool      { return true }
func (l *logBook) WithAttrs(a []slog.Attr) slog.Handler          { return &logView{l, a} }
func (l *logBook) WithGroup(string) slog.Handler                 { return l }
func (l *logBook) Handle(_ context.Context, r slog.Record) error { return l.add(r, nil) }
func (v *logView) Handle(_ context.Context, r slog.Record) error { return v.add(r, v.with) }
func (v *logView) WithAttrs(a []slog.Attr) slog.Handler {
	return &logView{v.logBook, append(v.with[:len(v.with):len(v.with)], a...)}
}

func (l *logBook) add(r slog.Record, with []slog.Attr) error {
	line := logLine{msg: r.Message, attrs: map[string]string{slog.TimeKey: r.Time.Format(time.RFC3339Nano)}}
	for _, a := range with {
		line.attrs[a.Key] = a.Value.String()
	}
	r.Attrs(func(a slog.Attr) bool { line.attrs[a.Key] = a.Value.String(); return true })
	l.put(line)
	return nil
}

func (l *logBook) put(line logLine) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
	close(l.news)
	l.news = make(chan struct{})
}

// await waits for a line with this message and these attributes (key, value, ...)
// that no await has returned before, and returns its attributes.
func (l *logBook) await(t *testing.T, msg string, attrs ...string) map[string]string {
	t.Helper()
	return l.awaitFor(t, patience, msg, attrs...)
}

// awaitFor is await with another patience, for peers that take their time.
func (l *logBook) awaitFor(t *testing.T, patience time.Duration, msg string, attrs ...string) map[string]string {
	t.Helper()
	deadline := time.After(patience)
	for {
		l.mu.Lock()
		for i, line := range l.lines {
			if !line.used && line.msg == msg && line.has(attrs) {
				l.lines[i].used = true
				l.mu.Unlock()
				return line.attrs
			}
		}
		news := l.news
		l.mu.Unlock()
		select {
		case <-news:
		case <-deadline:
			t.Fatalf("no log line %q %v within %v; the log:\n%s", msg, attrs, patience, l)
		}
	}
}

// next is closed when another line has been logged.
func (l *logBook) next() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.news
}

// stamp is when a line was logged.
func stamp(t *testing.T, attrs map[string]string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, attrs[slog.TimeKey])
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func (l *logLine) has(attrs []string) bool {
	for i := 0; i+1 < len(attrs); i += 2 {
		if l.attrs[attrs[i]] != attrs[i+1] {
			return false
		}
	}
	return true
}

// String shows the last lines.
func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b strings.Builder
	for _, line := range l.lines[max(0, len(l.lines)-60):] {
		fmt.Fprintln(&b, line.msg, line.attrs)
	}
	return b.String()
}

// post sends an empty POST to the API and wants 200.
func (h *hotline) post(path string) {
	h.t.Helper()
	res, err := http.Post("http://"+h.HTTPAddr().String()+path, "", nil)
	if err != nil {
		h.t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(res.Body)
		h.t.Fatalf("POST %s: %s: %s", path, res.Status, body)
	}
}
