package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// rtpengine is Sipwise's relay as Debian packs it, forwarding in userland, driven by its control
// protocol "ng": a cookie and a bencoded dictionary in a UDP datagram.
type rtpengine struct {
	cmd     *exec.Cmd
	control net.Conn
	cookie  int
}

var errNoRTPEngine = errors.New("rtpengine is not installed (scripts/bench-deps.sh)")

func startRTPEngine(ctx context.Context) (*rtpengine, error) {
	path, free, err := installed("rtpengine", errNoRTPEngine)
	if err != nil {
		return nil, err
	}
	at := free.String()
	e := &rtpengine{cmd: exec.Command("taskset", "-c", serverCore, path, "--config-file=none", "--foreground", "--log-stderr", "--log-level=2",
		"--table=-1", "--interface=127.0.0.1", "--listen-ng="+at, "--port-min=30000", "--port-max=59999", "--num-threads=1", "--pidfile=/dev/null")}
	if os.Getenv("RTPENGINE_LOG") != "" {
		e.cmd.Stderr = os.Stderr
	}
	if err := e.cmd.Start(); err != nil {
		return nil, err
	}
	if e.control, err = net.Dial("udp", at); err != nil {
		return nil, errors.Join(err, e.close())
	}
	for end := time.Now().Add(5 * time.Second); ; {
		if _, err = e.command("command", "ping"); err == nil {
			return e, nil
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return nil, errors.Join(fmt.Errorf("rtpengine doesn't answer: %w", err), e.close())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (e *rtpengine) close() error {
	if e.control != nil {
		_ = e.control.Close()
	}
	_ = e.cmd.Process.Kill()
	_ = e.cmd.Wait() // says that it was killed
	return nil
}

// command sends pairs of keys and values and returns the answer as it is.
func (e *rtpengine) command(pairs ...string) (answer []byte, err error) {
	e.cookie++
	var b bytes.Buffer
	fmt.Fprintf(&b, "%d d", e.cookie)
	for _, s := range pairs { // sorted by key, as bencoding wants it
		fmt.Fprintf(&b, "%d:%s", len(s), s)
	}
	b.WriteString("e")
	if _, err := e.control.Write(b.Bytes()); err != nil {
		return nil, err
	}
	buf := make([]byte, 8192)
	_ = e.control.SetReadDeadline(time.Now().Add(time.Second))
	n, err := e.control.Read(buf)
	if err != nil {
		return nil, err
	}
	answer = buf[:n]
	if !bytes.Contains(answer, []byte("6:result2:ok")) && !bytes.Contains(answer, []byte("6:result4:pong")) {
		return nil, fmt.Errorf("rtpengine: %s", answer)
	}
	return answer, nil
}

// connect makes call i between a caller and an agent and returns the ports they send to.
func (e *rtpengine) connect(i int, caller, agent netip.AddrPort) (ports [2]uint16, err error) {
	id, from, to := "call"+strconv.Itoa(i), "a"+strconv.Itoa(i), "b"+strconv.Itoa(i)
	offered, err := e.command("ICE", "remove", "call-id", id, "command", "offer", "from-tag", from, "sdp", sdpWithPort(caller.Port()))
	if err != nil {
		return ports, err
	}
	answered, err := e.command("ICE", "remove", "call-id", id, "command", "answer", "from-tag", from, "sdp", sdpWithPort(agent.Port()), "to-tag", to)
	if err != nil {
		return ports, err
	}
	// The offer goes on to the agent, so it has the port that agents send to.
	ports[1], ports[0] = audioPort(offered), audioPort(answered)
	return ports, nil
}

// sdpWithPort is what a phone offers or answers when its RTP port is that.
func sdpWithPort(port uint16) string {
	return strings.Replace(loadSDP, "m=audio 9 ", fmt.Sprintf("m=audio %d ", port), 1)
}
