package main

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hotline/server"
)

func ladderOf(raw string) []server.TraceMessage {
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	local, caller, agent := netip.MustParseAddrPort("192.0.2.1:5060"), netip.MustParseAddrPort("192.0.2.2:5060"), netip.MustParseAddrPort("[2001:db8::3]:5062")
	return []server.TraceMessage{
		{At: at, Network: "UDP", Local: local, Remote: caller, Line: "INVITE sip:955…99@192.0.2.1 SIP/2.0", CSeq: "1 INVITE", SDP: "IN IP4 192.0.2.2, audio 4000 RTP/AVP 8", Raw: []byte(raw)},
		{At: at.Add(time.Millisecond), Sent: true, Network: "UDP", Local: local, Remote: caller, Line: "SIP/2.0 200 OK", CSeq: "1 INVITE"},
		{At: at.Add(2 * time.Second), Sent: true, Network: "TLS", Local: netip.MustParseAddrPort("[2001:db8::1]:5061"), Remote: agent, Line: "BYE sip:alice@[2001:db8::3] SIP/2.0", CSeq: "7 BYE", Reason: "Q.850;cause=16;text=\"<&\"", Raw: []byte(raw)},
	}
}

func TestLadder(t *testing.T) {
	var b bytes.Buffer
	if err := printLadder(&b, ladderOf("")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"A = 192.0.2.2:5060", "B = [2001:db8::3]:5062", "A ──▶ hotline      UDP INVITE sip:955…99@192.0.2.1 (1)", "hotline ──▶ A  UDP 200 OK (1 INVITE)", "+2.000", "Reason: Q.850;cause=16"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	svg := ladderSVG(ladderOf(""))
	var any struct {
		Lines []struct{} `xml:"g"`
	}
	if err := xml.Unmarshal([]byte(svg), &any); err != nil || len(any.Lines) != 3 {
		t.Errorf("%v, %d arrows in %s", err, len(any.Lines), svg)
	}
}

// Each whole message is a packet with right lengths and checksums.
func TestPcap(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.pcap")
	if err := writePcap(file, ladderOf("")); err == nil {
		t.Error("an empty capture was written")
	}
	const raw = "INVITE sip:x SIP/2.0\r\n\r\n!"
	if err := writePcap(file, ladderOf(raw)); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if binary.LittleEndian.Uint32(data) != 0xa1b2c3d4 || binary.LittleEndian.Uint32(data[20:]) != 101 {
		t.Fatalf("head % x", data[:24])
	}
	data = data[24:]
	var versions []byte
	for len(data) > 0 {
		n := binary.LittleEndian.Uint32(data[8:])
		p := data[16 : 16+n]
		data = data[16+n:]
		versions = append(versions, p[0]>>4)
		if !bytes.HasSuffix(p, []byte(raw)) {
			t.Errorf("packet % x", p)
		}
		if p[0]>>4 == 4 && (sum(0, p[:20]) != 0xffff || int(binary.BigEndian.Uint16(p[2:])) != len(p)) {
			t.Errorf("IPv4 header % x", p[:20])
		}
		if p[0]>>4 == 6 && sum(uint32(sum(uint32(len(p)-40)+17, p[8:40])), p[40:]) != 0xffff {
			t.Error("wrong UDP checksum")
		}
	}
	if string(versions) != "\x04\x06" {
		t.Errorf("versions %v", versions)
	}
}

// A capture is asked for by number or by call, by one of the two.
func TestCaptureCommand(t *testing.T) {
	var asked []string
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.String())
		_, _ = w.Write([]byte(`{"until": "2026-11-23T11:00:00Z"}`))
	}))
	defer api.Close()
	for _, tc := range []struct{ args, want string }{
		{"13800000000", "POST /api/captures?number=13800000000"},
		{"--call a-1/2", "POST /api/captures?call=a-1%2F2"},
		{"13800000000 --call a-1", ""}, {"", ""},
	} {
		asked = nil
		cmd := traceCommand()
		var out bytes.Buffer
		cmd.SetOut(&out)
		cmd.SetErr(&out)
		cmd.SetArgs(append([]string{"capture", "--url", api.URL}, strings.Fields(tc.args)...))
		err := cmd.Execute()
		if (err == nil) != (tc.want != "") || strings.Join(asked, "") != tc.want {
			t.Errorf("capture %s: %v, asked %q, want %q", tc.args, err, asked, tc.want)
		}
		if err == nil && !strings.Contains(out.String(), "until 2026-11-23T11:00:00Z") {
			t.Errorf("capture %s prints %q", tc.args, out.String())
		}
	}
}
