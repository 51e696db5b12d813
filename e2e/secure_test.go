package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"hotline/config"
)

// certificates makes an authority and a certificate for localhost in a folder, as
// an operator would: ca.pem, server.pem, server.key.
func certificates(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	openssl(t, dir, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "30", "-subj", "/CN=test authority")
	certificate(t, dir, "first")
	return dir
}

// certificate makes a new server.pem and server.key whose subject is name.
func certificate(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "ext"), []byte("subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	openssl(t, dir, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN="+name)
	openssl(t, dir, "x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30", "-extfile", "ext", "-out", "server.pem")
}

func openssl(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := opensslTry(t, dir, args...)
	if err != nil {
		t.Fatalf("openssl %s: %v\n%s", args[0], err, out)
	}
	return out
}

func opensslTry(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	bin, err := exec.LookPath("openssl")
	if err != nil {
		t.Fatal("openssl is missing: make deps installs it")
	}
	cmd := exec.CommandContext(t.Context(), bin, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// secureProgram is the program with a TLS listener and one agent, whose phone knows
// this digest algorithm.
func secureProgram(t *testing.T, certs, algorithm string) (p *program, port string) {
	t.Helper()
	p = newProgram(t)
	port = fmt.Sprint(freePorts(t, 1))
	text := p.config("carol")
	text = strings.Replace(text, `[{network: udp, address: "`+p.sip+`"}]`, fmt.Sprintf(`[{network: udp, address: %q}, {network: tls, address: "127.0.0.1:%s", certificate: %q, key: %q}]`,
		p.sip, port, filepath.Join(certs, "server.pem"), filepath.Join(certs, "server.key")), 1)
	text = strings.Replace(text, "ring_time: 3s", "ring_time: 9s", 1) // linphone may take its time right after it came back
	p.write(strings.ReplaceAll(text, "queues: [sales]}", "queues: [sales], algorithm: "+algorithm+"}"))
	return p, port
}

// linphone registers by TLS with SHA-256, gets a call from the queue, and is back
// by itself after the server was killed.
func TestLinphoneByTLS(t *testing.T) {
	certs := certificates(t)
	p, port := secureProgram(t, certs, "sha-256")
	p.start()
	carol := startLinphone(t, "carol", port, filepath.Join(certs, "ca.pem"))
	p.log.await(t, "seat registered", "seat", "carol")
	talk := func(from string) {
		t.Helper()
		phone := openPhone(t, p.uri())
		c := dial(t, phone, "1", from)
		p.log.await(t, "talk started", "seat", "carol")
		carol.await("Media streams established")
		c.Hangup()
		p.log.await(t, "call closed", "outcome", "answered")
	}
	talk("13900000001")
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.ended
	p.start()
	p.log.awaitFor(t, 90*time.Second, "seat registered", "seat", "carol")
	talk("13900000002")
	carol.stop() // which writes the rest of its log
	if !carol.sent("algorithm=SHA-256, username=\"carol\"") {
		t.Error("linphone didn't answer with SHA-256")
	}
}

// baresip does the same with MD5, which is all it knows; its phone hangs up.
func TestBaresipByTLS(t *testing.T) {
	certs := certificates(t)
	p, port := secureProgram(t, certs, "md5")
	p.start()
	carol := startBaresip(t, baresipOptions{user: "carol", password: password, server: "127.0.0.1:" + port, transport: "tls", ca: filepath.Join(certs, "ca.pem"), regint: 10})
	p.log.await(t, "seat registered", "seat", "carol")
	talk := func(from string) {
		t.Helper()
		c := dial(t, openPhone(t, p.uri()), "1", from)
		p.log.await(t, "talk started", "seat", "carol")
		carol.await("CALL_ESTABLISHED", patience)
		carol.command("hangup", "")
		awaitDone(t, "end of the call", c.Done())
		p.log.await(t, "call closed", "outcome", "answered")
	}
	talk("13900000001")
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.ended
	p.start()
	p.log.awaitFor(t, 90*time.Second, "seat registered", "seat", "carol")
	talk("13900000002")
}

// openssl sees TLS 1.2 and 1.3 and nothing older, and the new certificate after
// SIGHUP.
func TestTLSAsOpensslSeesIt(t *testing.T) {
	certs := certificates(t)
	p, port := secureProgram(t, certs, "md5")
	p.start()
	client := func(args ...string) (string, error) {
		t.Helper()
		return opensslTry(t, certs, append([]string{"s_client", "-connect", "127.0.0.1:" + port, "-CAfile", "ca.pem", "-verify_return_error", "-brief"}, args...)...)
	}
	for args, ok := range map[string]bool{"-tls1_3": true, "-tls1_2": true, "-tls1_1 -cipher DEFAULT@SECLEVEL=0": false, "-tls1 -cipher DEFAULT@SECLEVEL=0": false} {
		if out, err := client(strings.Fields(args)...); (err == nil) != ok || ok && !strings.Contains(out, "Verification: OK") {
			t.Errorf("%s: %v, want accepted %t:\n%s", args, err, ok, out)
		}
	}
	if out, _ := client(); !strings.Contains(out, "CN = first") {
		t.Errorf("the first certificate isn't shown:\n%s", out)
	}
	certificate(t, certs, "second")
	p.signal(syscall.SIGHUP)
	p.log.await(t, "config reloaded")
	if out, _ := client(); !strings.Contains(out, "CN = second") {
		t.Errorf("the new certificate isn't shown:\n%s", out)
	}
	if err := os.WriteFile(filepath.Join(certs, "server.pem"), []byte("spoilt"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.signal(syscall.SIGHUP)
	p.log.await(t, "certificate not taken over; the old one stays")
	p.log.await(t, "config reloaded")
	if out, _ := client(); !strings.Contains(out, "CN = second") {
		t.Errorf("a spoilt certificate was taken over:\n%s", out)
	}
	failures := `hotline_sip_certificate_failures_total{file="` + filepath.Join(certs, "server.pem") + `"}`
	if got := scrape(t, p.http)[failures]; got != 1 {
		t.Errorf("%s is %v, want 1", failures, got)
	}
}

// sipp calls by IPv6, over UDP and TCP, and is hung up on by the IVR.
func TestSippByIPv6(t *testing.T) {
	six := netip.MustParseAddr("::1")
	h := startHotline(t, func(c *config.Config) {
		for i := range c.SIP.Listen {
			c.SIP.Listen[i].Address = netip.AddrPortFrom(six, 0)
		}
		c.Media.Address = six
		c.Trunks[0].Addresses = []netip.Prefix{netip.PrefixFrom(six, 128)}
	})
	for i, transport := range []string{"u1", "t1"} {
		at := net.JoinHostPort("::1", fmt.Sprint(h.SIPAddrs()[i].Port()))
		if err := awaitSipp(t, sippCallers{scenario: "caller.xml", server: at, did: "3", calls: 5, rate: 10, local: "::1", args: []string{"-t", transport}}.start(t)); err != nil {
			t.Errorf("%s: %v", transport, err)
		}
	}
}
