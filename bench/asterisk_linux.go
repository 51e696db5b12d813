package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

var errNoAsterisk = errors.New("asterisk is not installed (Debian 12 has no package of it)")

// asteriskPeer is Asterisk with chan_pjsip and app_queue, which gets the same calls as the hotline: to an extension
// that plays a file over and over, or to a queue with as many members as calls.
type asteriskPeer struct {
	*phones
	cmd *exec.Cmd
	dir string
}

func startAsteriskPeer(rtp *rtpLoad, agents int, kind streamKind) (a *asteriskPeer, err error) {
	path, at, err := installed("asterisk", errNoAsterisk)
	if err != nil {
		return nil, err
	}
	a = &asteriskPeer{}
	if a.dir, err = os.MkdirTemp("", "asterisk-bench-"); err != nil {
		return nil, err
	}
	a.cmd = exec.Command("taskset", "-c", serverCore, path, "-f", "-C", a.file("asterisk.conf"))
	if os.Getenv("ASTERISK_LOG") != "" {
		a.cmd.Stdout, a.cmd.Stderr = os.Stderr, os.Stderr
	}
	number := "4"
	if agents > 0 {
		number = "3"
	}
	if a.phones, err = openPhones(rtp, at, number, kind); err == nil && agents > 0 {
		err = a.openDesk(rtp, at, kind)
	}
	if err == nil {
		err = a.configure(at, agents, kind.keys)
	}
	if err == nil {
		err = a.cmd.Start()
	}
	if err == nil {
		err = a.booted(path)
	}
	if err != nil {
		return nil, errors.Join(err, a.close())
	}
	return a, nil
}

func (a *asteriskPeer) file(name string) string { return filepath.Join(a.dir, name) }

// booted waits until Asterisk has loaded everything.
func (a *asteriskPeer) booted(path string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for {
		err := exec.CommandContext(ctx, path, "-C", a.file("asterisk.conf"), "-rx", "core waitfullybooted").Run()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("asterisk doesn't start (ASTERISK_LOG=1 shows why): %w", err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (a *asteriskPeer) pid() int { return a.cmd.Process.Pid }

func (a *asteriskPeer) close() error {
	if a.cmd.Process != nil {
		a.hangUp()
		_ = a.cmd.Process.Kill()
		_ = a.cmd.Wait() // says that it was killed
	}
	var err error
	if a.phones != nil {
		err = a.phones.close()
	}
	return errors.Join(err, os.RemoveAll(a.dir))
}

// configure writes Asterisk's files. With keys, both sides of a bridge may press some for Asterisk to act upon
// (Queue's options t and T), so that it reads all that is sent.
func (a *asteriskPeer) configure(at netip.AddrPort, agents int, keys bool) error {
	options := ""
	if keys {
		options = "tT"
	}
	var members strings.Builder
	for i := range agents {
		fmt.Fprintf(&members, "member => PJSIP/desk/sip:agent%d@%s,0,agent%d,Custom:agent%d\n", i, a.desk.self, i, i)
	}
	files := map[string]string{
		"asterisk.conf": fmt.Sprintf("[directories]\nastetcdir => %[1]s\nastdbdir => %[1]s\nastspooldir => %[1]s\nastrundir => %[1]s\nastlogdir => %[1]s\n[options]\nmaxfiles = 100000\n", a.dir),
		"modules.conf":  "[modules]\nautoload = yes\n",
		"logger.conf":   "[logfiles]\nconsole => error,warning\n",
		"rtp.conf":      "[general]\nrtpstart = 30000\nrtpend = 59999\nicesupport = no\n",
		"pjsip.conf": fmt.Sprintf(`[udp]
type = transport
protocol = udp
bind = %s
[phones](!)
type = endpoint
context = load
disallow = all
allow = alaw
dtmf_mode = rfc4733
direct_media = no
timers = no
[load](phones)
[load]
type = identify
endpoint = load
match = 127.0.0.1
[desk](phones)
`, at),
		"extensions.conf": fmt.Sprintf(`[load]
exten => 4,1,Answer()
 same => n(again),Playback(%s)
 same => n,Goto(again)
exten => 3,1,Answer()
 same => n,Queue(q,%s)
`, a.file("prompt"), options),
		"queues.conf": "[general]\n[q]\nstrategy = rrmemory\nringinuse = no\ntimeout = 15\nretry = 1\n" + members.String(),
		"prompt.alaw": prompt(),
	}
	for name, text := range files {
		if err := os.WriteFile(a.file(name), []byte(text), 0o600); err != nil {
			return fmt.Errorf("configuring asterisk: %w", err)
		}
	}
	return nil
}

// prompt is 20 s of noise in A-law.
func prompt() string {
	b := make([]byte, 20*8000)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return string(b)
}
