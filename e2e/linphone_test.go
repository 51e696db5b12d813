package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"hotline/config"
	"hotline/media"
)

// linphone is an agent's softphone, the real program without a sound card: it
// registers by TLS, knows SHA-256, and answers each call at once.
type linphone struct {
	t     *testing.T
	dir   string
	cmd   *exec.Cmd
	in    io.WriteCloser
	ended chan struct{}

	mu   sync.Mutex
	out  strings.Builder
	news chan struct{}
}

// startLinphone starts a phone that registers user at localhost:port and trusts the
// authority in ca; more are lines for its configuration.
func startLinphone(t *testing.T, user, port, ca string, more ...string) *linphone {
	t.Helper()
	bin, err := exec.LookPath("linphonec")
	if err != nil {
		t.Fatal("linphonec is missing: make deps installs it")
	}
	l := &linphone{t: t, dir: t.TempDir(), ended: make(chan struct{}), news: make(chan struct{})}
	if err := os.MkdirAll(filepath.Join(l.dir, ".local/share/linphone"), 0o700); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(l.dir, "linphonerc")
	if err := os.WriteFile(config, fmt.Appendf(nil, `[sip]
sip_port=-1
sip_tcp_port=-1
sip_tls_port=-1
use_ipv6=0
root_ca=%s
verify_server_certs=1
verify_server_cn=1
default_proxy=0
register_only_when_network_is_up=0

[proxy_0]
reg_proxy=<sip:localhost:%s;transport=tls>
reg_identity=sip:%s@localhost
reg_expires=60
reg_sendregister=1
publish=0

[auth_info_0]
username=%s
passwd=%s
realm=hotline
domain=localhost
algorithm=SHA-256

%s
`, ca, port, user, user, password, strings.Join(more, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	l.cmd = exec.Command(bin, "-c", config, "-b", os.DevNull, "-d", "6", "-l", filepath.Join(l.dir, "log"))
	l.cmd.Dir, l.cmd.Env = l.dir, append(os.Environ(), "HOME="+l.dir)
	if l.in, err = l.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := l.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := l.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go l.read(out)
	t.Cleanup(l.stop)
	l.say("soundcard use files")
	l.say("autoanswer enable")
	l.await("Auto answer enabled")
	return l
}

func (l *linphone) read(r io.Reader) {
	defer close(l.ended)
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		l.mu.Lock()
		l.out.WriteString(lines.Text() + "\n")
		close(l.news)
		l.news = make(chan struct{})
		l.mu.Unlock()
	}
	_ = l.cmd.Wait()
}

func (l *linphone) say(command string) {
	l.t.Helper()
	if _, err := io.WriteString(l.in, command+"\n"); err != nil {
		l.t.Fatalf("linphonec %s: %v", command, err)
	}
}

// await waits until the phone has printed text.
func (l *linphone) await(text string) {
	l.t.Helper()
	deadline := time.After(patience)
	for {
		l.mu.Lock()
		out, news := l.out.String(), l.news
		l.mu.Unlock()
		if strings.Contains(out, text) {
			return
		}
		select {
		case <-news:
		case <-l.ended:
			l.t.Fatalf("linphonec ended:\n%s", out)
		case <-deadline:
			l.t.Fatalf("linphonec doesn't say %q within %v:\n%s", text, patience, out)
		}
	}
}

// sent tells whether the phone has sent something that holds text.
func (l *linphone) sent(text string) bool {
	data, _ := os.ReadFile(filepath.Join(l.dir, "log"))
	return strings.Contains(string(data), text)
}

func (l *linphone) stop() {
	_, _ = io.WriteString(l.in, "quit\n")
	_ = l.in.Close()
	select {
	case <-l.ended:
	case <-time.After(5 * time.Second):
		_ = l.cmd.Process.Kill()
		<-l.ended
	}
}

// linphone holds its caller, who hears it again when it resumes (RFC 5359 2.1), holds him again, asks a colleague and brings both together (RFC 5359 2.5):
// REFER with Replaces as the real phone writes it. The caller hears the colleague.
func TestLinphoneTransfersAfterAsking(t *testing.T) {
	certs := certificates(t)
	port := freePorts(t, 1)
	h := startHotline(t, func(c *config.Config) {
		twoDesks(c)
		c.Agents[0].Algorithm = "sha-256"
		c.SIP.Listen = append(c.SIP.Listen, config.Listen{Network: "tls", Address: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(port)),
			Certificate: filepath.Join(certs, "server.pem"), Key: filepath.Join(certs, "server.key"), ClientCertificate: "optional"})
	})
	carol := startLinphone(t, "carol", fmt.Sprint(port), filepath.Join(certs, "ca.pem"))
	h.log.await(t, "seat registered", "seat", "carol")
	olga := startBaresip(t, baresipOptions{user: "olga", password: password, server: h.SIPAddr().String(), tone: colleagueTone})
	h.log.await(t, "seat registered", "seat", "olga")
	call := h.dial(h.phone(), "1", "13900000001")
	h.log.await(t, "talk started", "seat", "carol")
	tone := filepath.Join(carol.dir, "tone.wav")
	writeWAV(t, tone, media.Tone(agentTone, time.Minute, 0.4).PCM())
	carol.say("play " + tone)
	awaitDone(t, "the agent's tone", listen(call.Media, agentTone).enough)
	carol.say("pause")
	h.log.await(t, "hold", "held", "true")
	awaitDone(t, "the end of the agent's tone", quiet(call.Media, agentTone))
	carol.say("resume")
	h.log.await(t, "hold", "held", "false")
	carol.say("play " + tone)
	awaitDone(t, "the agent's tone again", listen(call.Media, agentTone).enough)
	carol.say("pause")
	h.log.await(t, "hold", "held", "true")
	carol.say("call sip:802@localhost")
	olga.await("CALL_ESTABLISHED", patience)
	carol.await("Call 2 with sip:802@localhost connected")
	carol.say("transfer 1 --to-call 2")
	awaitDone(t, "the colleague's tone", listen(call.Media, colleagueTone).enough)
	h.log.await(t, "seat changed", "seat", "carol", "state", "wrap_up")
	olga.command("hangup", "")
	awaitDone(t, "the end", call.Done())
	recs := h.finish()
	if talks, _ := recs[0]["talks"].([]any); recs[0].str("agent") != "olga" || len(talks) != 1 {
		t.Errorf("record %v", recs[0])
	}
}
