package server

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"hotline/config"
	"hotline/routing"
	"hotline/routing/journal"
	"hotline/sip"
	"hotline/softphone"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const baseConfig = `
node: test
sip: {listen: [{network: udp, address: "127.0.0.1:0"}], unreachable_after: 1s}
media: {address: 127.0.0.1, rtp_timeout: 0s}
trunks:
  - name: carrier
    addresses: [127.0.0.1]
    region: CN
    trust_identity: true
    dids: [{number: "1", flow: direct}, {number: "3", flow: bye}]
queues: [{name: sales, wrap_up: 0s}]
agents:
  - {user: alice, password: a-long-secret, queues: [sales]}
  - {user: bob, password: a-long-secret, queues: [sales]}
routing: {keep_idle: 0, manager_time: 2s, team_time: 2s, ring_time: 5s, reject_delay: 0s, busy_delay: 0s, no_answer_delay: 30s, unreachable_delay: 30s, max_misses: 0}
flows:
  direct: {start: q, steps: {q: {queue: sales}}}
  bye: {start: bye, steps: {bye: {hang_up: }}}
http: {listen: "127.0.0.1:0"}
`

const patience = 10 * time.Second

func parse(t *testing.T, dir string, change func(*config.Config)) *config.Config {
	t.Helper()
	cfg, err := config.Parse("test", []byte(baseConfig))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Records.Dir, cfg.Journal.Dir = filepath.Join(dir, "records"), filepath.Join(dir, "journal")
	cfg.Recording.Dir, cfg.Recording.MinFree = filepath.Join(dir, "recordings"), 0
	cfg.SIP.Register.File = filepath.Join(dir, "registrations.json")
	if change != nil {
		change(cfg)
	}
	return cfg
}

// hotline is a server under test.
type hotline struct {
	*Server
	t   *testing.T
	dir string
	log *textLog
}

func start(t *testing.T, change func(*config.Config)) *hotline {
	t.Helper()
	h := &hotline{t: t, dir: t.TempDir(), log: &textLog{}}
	var err error
	h.Server, err = Start(Options{Config: parse(t, h.dir, change), Version: "test",
		Logger: slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

// when waits until routing's state is as wanted: it looks now and after each
// event.
func (h *hotline) when(what string, ok func(*routing.State) bool) {
	h.t.Helper()
	done := make(chan struct{})
	met := false
	look := func() {
		if !met && ok(h.core.state) {
			met = true
			close(done)
		}
	}
	if err := h.core.view(h.t.Context(), func(*routing.State) {
		h.core.journal = tap{h.core.journal, func(routing.Event) { go h.core.do(look) }}
		look()
	}); err != nil {
		h.t.Fatal(err)
	}
	h.await(what, done)
}

// tap is a journal that tells of each event on its way in.
type tap struct {
	journal.Journal
	told func(routing.Event)
}

func (j tap) Append(e routing.Entry) (uint64, error) {
	j.told(e.Event)
	return j.Journal.Append(e)
}

func (h *hotline) await(what string, ch <-chan struct{}) {
	h.t.Helper()
	select {
	case <-ch:
	case <-time.After(patience):
		h.t.Fatalf("%s: nothing within %v\n%s", what, patience, h.log)
	}
}

// seatIs waits until a seat is in a state.
func (h *hotline) seatIs(user string, want routing.SeatState) {
	h.t.Helper()
	h.when(user+" "+string(want), func(s *routing.State) bool {
		v, _ := s.Seat(routing.SeatID(user))
		return v.State == want
	})
}

// get asks the HTTP API and decodes its JSON.
func (h *hotline) get(method, path, token string) (int, map[string]any) {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), method, "http://"+h.HTTPAddr().String()+path, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	var v map[string]any
	_ = json.Unmarshal(body, &v)
	return res.StatusCode, v
}

// list asks the HTTP API for a list.
func (h *hotline) list(path string) (out []map[string]any) {
	h.t.Helper()
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get("http://" + h.HTTPAddr().String() + path)
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil {
		h.t.Fatal(err)
	}
	return out
}

// record is a call record as JSON.
type record map[string]any

// finish closes the server and returns the records.
func (h *hotline) finish() []record {
	h.t.Helper()
	if err := h.Close(); err != nil {
		h.t.Errorf("close: %v", err)
	}
	files, err := filepath.Glob(filepath.Join(h.dir, "records", "*.jsonl"))
	if err != nil {
		h.t.Fatal(err)
	}
	var out []record
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			h.t.Fatal(err)
		}
		for line := range bytes.Lines(data) {
			var r record
			if err := json.Unmarshal(line, &r); err != nil {
				h.t.Fatal(err)
			}
			out = append(out, r)
		}
	}
	return out
}

// one is the only record.
func (h *hotline) one() record {
	h.t.Helper()
	rs := h.finish()
	if len(rs) != 1 {
		h.t.Fatalf("%d records, want 1: %v", len(rs), rs)
	}
	return rs[0]
}

func (h *hotline) uri() string { return "sip:" + h.SIPAddr().String() }

func (h *hotline) phone() *softphone.Phone {
	h.t.Helper()
	return h.phoneWith(softphone.Options{})
}

func (h *hotline) phoneWith(o softphone.Options) *softphone.Phone {
	h.t.Helper()
	o.Server, o.Listen = h.uri(), netip.MustParseAddrPort("127.0.0.1:0")
	p, err := softphone.Open(o)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = p.Close() })
	return p
}

func (h *hotline) dial(p *softphone.Phone, did string) (*softphone.Call, error) {
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	return p.Dial(ctx, did, "13800000001", "")
}

// call dials the queue and waits for the answer.
func (h *hotline) call() *softphone.Call {
	h.t.Helper()
	c, err := h.dial(h.phone(), "1")
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

// desk registers an agent's phone; its calls come by the channel.
func (h *hotline) desk(user string) (*softphone.Phone, <-chan *softphone.Ringing) {
	h.t.Helper()
	p, rings := h.phoneOf(user)
	h.seatIs(user, routing.SeatIdle)
	return p, rings
}

// phoneOf registers a phone of an agent's.
func (h *hotline) phoneOf(user string) (*softphone.Phone, <-chan *softphone.Ringing) {
	h.t.Helper()
	rings := make(chan *softphone.Ringing, 16)
	p, err := softphone.Open(softphone.Options{Server: h.uri(), Listen: netip.MustParseAddrPort("127.0.0.1:0"),
		Credentials: sip.Credentials{User: user, Password: "a-long-secret"}, Ring: func(r *softphone.Ringing) { rings <- r }})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = p.Close() })
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	if err := p.Register(ctx, time.Minute); err != nil {
		h.t.Fatal(err)
	}
	return p, rings
}

func (h *hotline) ring(rings <-chan *softphone.Ringing) *softphone.Ringing {
	h.t.Helper()
	select {
	case r := <-rings:
		return r
	case <-time.After(patience):
		h.t.Fatalf("the agent's phone doesn't ring\n%s", h.log)
		return nil
	}
}

func (h *hotline) pickUp(rings <-chan *softphone.Ringing) *softphone.Call {
	h.t.Helper()
	c, err := h.ring(rings).Answer()
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

// talking is a caller who talks with an agent, whose phone is at rings.
func (h *hotline) talking(user string, rings <-chan *softphone.Ringing) (caller, agent *softphone.Call) {
	h.t.Helper()
	caller = h.call()
	agent = h.pickUp(rings)
	h.seatIs(user, routing.SeatTalking)
	return caller, agent
}

// textPhone speaks SIP as text over a real UDP socket, for what the softphone
// doesn't do.
type textPhone struct {
	t    *testing.T
	conn net.Conn
	seq  int
}

func (h *hotline) textPhone() *textPhone { return h.textPhoneAt(0) }

// textPhoneAt speaks with a listener of the server's.
func (h *hotline) textPhoneAt(listener int) *textPhone {
	h.t.Helper()
	c, err := net.Dial("udp", h.SIPAddrs()[listener].String())
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = c.Close() })
	return &textPhone{t: h.t, conn: c, seq: 100}
}

func (p *textPhone) addr() string { return p.conn.LocalAddr().String() }

// send sends a request; headers are whole lines.
func (p *textPhone) send(method, uri, from, to, callID, body string, headers ...string) {
	p.t.Helper()
	if method != "ACK" {
		p.seq++
	}
	msg := fmt.Sprintf("%s %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%s%d;rport\r\nFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\nMax-Forwards: 70\r\nContact: <sip:text@%s>\r\n",
		method, uri, p.addr(), method, p.seq, from, to, callID, p.seq, method, p.addr())
	for _, h := range headers {
		msg += h + "\r\n"
	}
	if body != "" {
		msg += "Content-Type: application/sdp\r\n"
	}
	p.raw(msg + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body))
}

func (p *textPhone) raw(msg string) {
	p.t.Helper()
	if _, err := p.conn.Write([]byte(msg)); err != nil {
		p.t.Fatal(err)
	}
}

// until reads until a message starts with prefix and its CSeq names method.
func (p *textPhone) until(prefix, method string) string {
	p.t.Helper()
	_ = p.conn.SetReadDeadline(time.Now().Add(patience))
	buf := make([]byte, 65536)
	for {
		n, err := p.conn.Read(buf)
		if err != nil {
			p.t.Fatalf("waiting for %q to %s: %v", prefix, method, err)
		}
		if msg := string(buf[:n]); strings.HasPrefix(msg, prefix) && strings.HasSuffix(field(msg, "CSeq"), " "+method) {
			return msg
		}
	}
}

// reply answers a request.
func (p *textPhone) reply(req, status, tag, body string, headers ...string) {
	p.t.Helper()
	to := field(req, "To")
	if !strings.Contains(to, ";tag=") {
		to += ";tag=" + tag
	}
	msg := fmt.Sprintf("SIP/2.0 %s\r\nVia: %s\r\nFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %s\r\nContact: <sip:text@%s>\r\n",
		status, field(req, "Via"), field(req, "From"), to, field(req, "Call-ID"), field(req, "CSeq"), p.addr())
	for _, h := range headers {
		msg += h + "\r\n"
	}
	if body != "" {
		msg += "Content-Type: application/sdp\r\n"
	}
	p.raw(msg + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body))
}

// register registers alice by MD5 digest.
func (p *textPhone) register(user string) {
	p.t.Helper()
	who := "<sip:" + user + "@127.0.0.1>"
	p.send("REGISTER", "sip:127.0.0.1", who+";tag=r", who, "reg", "")
	challenge := field(p.until("SIP/2.0 401", "REGISTER"), "WWW-Authenticate")
	_, nonce, _ := strings.Cut(challenge, `nonce="`)
	nonce, _, _ = strings.Cut(nonce, `"`)
	hash := func(s string) string { return fmt.Sprintf("%x", md5.Sum([]byte(s))) }
	response := hash(hash(user+":hotline:a-long-secret") + ":" + nonce + ":00000001:c:auth:" + hash("REGISTER:sip:127.0.0.1"))
	p.send("REGISTER", "sip:127.0.0.1", who+";tag=r", who, "reg", "",
		fmt.Sprintf(`Authorization: Digest username="%s", realm="hotline", nonce="%s", uri="sip:127.0.0.1", response="%s", algorithm=MD5, qop=auth, nc=00000001, cnonce="c"`, user, nonce, response))
	p.until("SIP/2.0 200", "REGISTER")
}

func field(msg, name string) string {
	for line := range strings.Lines(msg) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.EqualFold(k, name) {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// sdp is a session description with one audio stream.
func sdp(port int, codecs, direction string) string {
	return fmt.Sprintf("v=0\r\no=t 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio %d RTP/AVP %s\r\na=%s\r\n", port, codecs, direction)
}
