package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"hotline/media"
)

// baresip is an agent's softphone, the real program, steered over ctrl_tcp. It
// speaks a tone and keeps what it hears as a WAV file.
type baresip struct {
	t    *testing.T
	user string
	dir  string
	port int
	cmd  *exec.Cmd
	ctrl net.Conn

	mu     sync.Mutex
	events []baresipEvent
	news   chan struct{} // closed and replaced at each event
	exited chan struct{}
	log    strings.Builder
	// registered is closed by the first answer to REGISTER: its event may come
	// before anybody listens to events.
	registered chan struct{}
}

type baresipEvent struct {
	Type   string `json:"type"`
	Class  string `json:"class"`
	Param  string `json:"param"`
	Event  bool   `json:"event"`
	Peer   string `json:"peeruri"`
	PeerNm string `json:"peerdisplayname"`
}

type baresipOptions struct {
	user, password string
	server         string // host:port of the hotline
	transport      string // "" is UDP
	ca             string // PEM file, for TLS
	outbound       string // URI of a proxy
	codec          string // "pcma" (default) or "pcmu"
	mediaenc       string // "srtp", "srtp-mand", "dtls_srtp"; "" for none
	answer         string // "auto" (default) or "manual"
	tone           float64
	regint         int // seconds, 60 by default
	port           int // the phone's SIP port; 0: a free one
}

const agentTone = 620

// startBaresip starts a phone and waits until it has registered.
func startBaresip(t *testing.T, o baresipOptions) *baresip {
	t.Helper()
	b := newBaresip(t, o)
	select {
	case <-b.registered:
	case <-time.After(10 * time.Second):
		t.Fatalf("baresip %s did not register:\n%s", o.user, b.text())
	}
	return b
}

func newBaresip(t *testing.T, o baresipOptions) *baresip {
	t.Helper()
	if _, err := exec.LookPath("baresip"); err != nil {
		t.Fatal("baresip is missing: make deps installs it")
	}
	def := func(v *string, d string) {
		if *v == "" {
			*v = d
		}
	}
	def(&o.codec, "pcma")
	def(&o.answer, "auto")
	def(&o.transport, "udp")
	if o.tone == 0 {
		o.tone = agentTone
	}
	if o.regint == 0 {
		o.regint = 60
	}
	b := &baresip{t: t, user: o.user, dir: t.TempDir(), port: o.port, news: make(chan struct{}), exited: make(chan struct{}), registered: make(chan struct{})}
	if b.port == 0 {
		b.port = freePorts(t, 2)
	}
	ctrl := freePorts(t, 1)
	writeWAV(t, filepath.Join(b.dir, "tone.wav"), media.Tone(o.tone, 30*time.Second, 0.4).PCM())
	trust := ""
	if o.ca != "" {
		trust = "sip_cafile " + o.ca + "\n"
	}
	b.file("config", trust+fmt.Sprintf(`poll_method epoll
sip_listen 127.0.0.1:%d
call_local_timeout 120
call_max_calls 8
audio_source aufile,%s/tone.wav
audio_player aubridge,sink
audio_alert aubridge,alert
ausrc_srate 8000
auplay_srate 8000
ausrc_channels 1
auplay_channels 1
rtp_timeout 0
net_interface 127.0.0.1
module_path %s
module g711.so
module aufile.so
module aubridge.so
module sndfile.so
module srtp.so
module dtls_srtp.so
rtcp_mux yes
module_tmp uuid.so
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
snd_path %s
ctrl_tcp_listen 127.0.0.1:%d
`, b.port, b.dir, baresipModules(t), b.dir, ctrl))
	line := fmt.Sprintf("<sip:%s@%s;transport=%s>;auth_pass=%s;answermode=%s;audio_codecs=%s/8000/1;regint=%d",
		o.user, o.server, o.transport, o.password, o.answer, o.codec, o.regint)
	if o.mediaenc != "" {
		line += ";mediaenc=" + o.mediaenc
	}
	if o.outbound != "" {
		line += fmt.Sprintf(";outbound=%q", o.outbound)
	}
	b.file("accounts", line+"\n")
	b.start(ctrl)
	return b
}

func baresipModules(t *testing.T) string {
	t.Helper()
	for _, glob := range []string{"/usr/lib/baresip/modules", "/usr/lib/*/baresip/modules"} {
		if m, _ := filepath.Glob(glob); len(m) > 0 {
			return m[0]
		}
	}
	t.Fatal("baresip's modules are missing")
	return ""
}

func (b *baresip) file(name, text string) {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

func (b *baresip) start(ctrl int) {
	b.t.Helper()
	b.cmd = exec.Command("baresip", "-f", b.dir)
	b.cmd.Dir = b.dir
	out, err := b.cmd.StdoutPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	b.cmd.Stderr = b.cmd.Stdout
	if err := b.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	ready := make(chan struct{})
	go func() {
		defer close(b.exited)
		lines := bufio.NewScanner(out)
		var once, bound sync.Once
		for lines.Scan() {
			b.mu.Lock()
			b.log.WriteString(lines.Text() + "\n")
			b.mu.Unlock()
			if strings.Contains(lines.Text(), "baresip is ready") {
				once.Do(func() { close(ready) })
			}
			if strings.Contains(lines.Text(), "200 OK") && strings.Contains(lines.Text(), "binding]") {
				bound.Do(func() { close(b.registered) })
			}
		}
		_ = b.cmd.Wait()
	}()
	b.t.Cleanup(b.stop)
	select {
	case <-ready:
	case <-b.exited:
		b.t.Fatalf("baresip ended:\n%s", b.text())
	case <-time.After(10 * time.Second):
		b.t.Fatalf("baresip is not ready:\n%s", b.text())
	}
	b.ctrl, err = net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(ctrl))
	if err != nil {
		b.t.Fatalf("baresip's ctrl_tcp: %v\n%s", err, b.text())
	}
	go b.listen()
}

// listen reads the netstrings of ctrl_tcp.
func (b *baresip) listen() {
	r := bufio.NewReader(b.ctrl)
	for {
		size, err := r.ReadString(':')
		if err != nil {
			return
		}
		n, err := strconv.Atoi(strings.TrimSuffix(size, ":"))
		if err != nil {
			return
		}
		data := make([]byte, n+1) // and the comma
		if _, err := io.ReadFull(r, data); err != nil {
			return
		}
		var e baresipEvent
		if json.Unmarshal(data[:n], &e) != nil || !e.Event {
			continue
		}
		b.mu.Lock()
		b.events = append(b.events, e)
		close(b.news)
		b.news = make(chan struct{})
		b.mu.Unlock()
	}
}

// command sends one command of baresip's menu, such as "accept" or "hangup".
func (b *baresip) command(name, params string) {
	b.t.Helper()
	msg, _ := json.Marshal(map[string]string{"command": name, "params": params})
	if _, err := fmt.Fprintf(b.ctrl, "%d:%s,", len(msg), msg); err != nil {
		b.t.Fatalf("baresip %s: %v", b.user, err)
	}
}

// await waits for the first event of a type that no await has returned before.
func (b *baresip) await(kind string, limit time.Duration) baresipEvent {
	b.t.Helper()
	deadline := time.After(limit)
	for {
		b.mu.Lock()
		for i, e := range b.events {
			if e.Type == kind {
				b.events = append(b.events[:i:i], b.events[i+1:]...)
				b.mu.Unlock()
				return e
			}
		}
		news := b.news
		b.mu.Unlock()
		select {
		case <-news:
		case <-b.exited:
			b.t.Fatalf("baresip %s ended while waiting for %s:\n%s", b.user, kind, b.text())
		case <-deadline:
			b.t.Fatalf("baresip %s: no %s within %v; events %v\n%s", b.user, kind, limit, b.seen(), b.text())
		}
	}
}

// seen lists the types of the events not yet awaited.
func (b *baresip) seen() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var kinds []string
	for _, e := range b.events {
		kinds = append(kinds, e.Type)
	}
	return kinds
}

func (b *baresip) text() string { b.mu.Lock(); defer b.mu.Unlock(); return b.log.String() }

// kill makes the phone vanish without a word.
func (b *baresip) kill() {
	_ = b.cmd.Process.Signal(syscall.SIGKILL)
	<-b.exited
}

// stop ends the phone; it unregisters.
func (b *baresip) stop() {
	if b.ctrl != nil {
		_ = b.ctrl.Close()
	}
	_ = b.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-b.exited:
	case <-time.After(3 * time.Second):
		b.kill()
	}
}

// heard is what the phone has received so far, 8 kHz; it must have ended its
// calls before, so that the file is whole.
func (b *baresip) heard() []int16 {
	b.t.Helper()
	files, _ := filepath.Glob(filepath.Join(b.dir, "dump-*-dec.wav"))
	if len(files) == 0 {
		b.t.Fatalf("baresip %s kept no recording:\n%s", b.user, b.text())
	}
	f, err := os.Open(files[len(files)-1])
	if err != nil {
		b.t.Fatal(err)
	}
	defer f.Close()
	clip, err := media.LoadClip(f, 0)
	if err != nil {
		b.t.Fatal(err)
	}
	return clip.PCM()
}

// portsHandedOut is where freePorts looks next: below those that the kernel gives to sockets which ask for any, so that
// none of these gets one before it is used; at random first, as other tests' processes do the same.
var portsHandedOut atomic.Int64

func init() { portsHandedOut.Store(int64(10000 + 2*rand.IntN(5000))) }

// freePorts finds n consecutive ports, free for UDP and TCP, the first one even. It never gives the same ones again.
func freePorts(t *testing.T, n int) int {
	t.Helper()
	size := int64(n+1) &^ 1
next:
	for range 100 {
		first := int(portsHandedOut.Add(size) - size)
		for p := first; p < first+n; p++ {
			u, err := net.ListenPacket("udp", fmt.Sprintf("127.0.0.1:%d", p))
			if err != nil {
				continue next
			}
			_ = u.Close()
			c, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p))
			if err != nil {
				continue next
			}
			_ = c.Close()
		}
		return first
	}
	t.Fatal("no free ports")
	return 0
}

// writeWAV writes 16-bit PCM at 8 kHz.
func writeWAV(t *testing.T, name string, pcm []int16) {
	t.Helper()
	b := []byte("RIFF\x00\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x80\x3e\x00\x00\x02\x00\x10\x00data\x00\x00\x00\x00")
	put := func(at, v int) {
		for i := range 4 {
			b[at+i] = byte(v >> (8 * i))
		}
	}
	put(4, 36+2*len(pcm))
	put(40, 2*len(pcm))
	for _, s := range pcm {
		b = append(b, byte(s), byte(uint16(s)>>8))
	}
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
