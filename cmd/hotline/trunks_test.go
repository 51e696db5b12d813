package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"hotline/server"
)

func TestTrunksAreListed(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	trunks := []server.TrunkStatus{
		{Name: "carrier", CallsIn: 3, CallsOut: 2, RefusedIn: 1, RefusedOut: 4, Gateways: []server.GatewayStatus{
			{Gateway: "sip.carrier.example", Up: true, Addresses: []server.AddressStatus{{Network: "UDP", Address: "192.0.2.1:5060", State: "up"}, {Network: "TCP", Address: "192.0.2.2:5060", State: "resting"}}},
			{Gateway: "192.0.2.9:5060", Addresses: []server.AddressStatus{{Network: "UDP", Address: "192.0.2.9:5060", State: "down"}}},
		}, Registration: &server.RegistrationStatus{Registered: true, Expires: now.Add(90 * time.Second)}},
		{Name: "in", Registration: &server.RegistrationStatus{Failures: 2, Problem: "the registrar answers 403"}},
	}
	var out bytes.Buffer
	if err := printTrunks(&out, trunks, now); err != nil {
		t.Fatal(err)
	}
	want := `TRUNK    IN  OUT  REFUSED  REGISTERED                                GATEWAY              STATE  ADDRESSES
carrier  3   2    5        for 1m30s                                 sip.carrier.example  up     udp 192.0.2.1:5060 up, tcp 192.0.2.2:5060 resting
                                                                     192.0.2.9:5060       down   udp 192.0.2.9:5060 down
in       0   0    0        no, 2 failures: the registrar answers 403  -                    -      -
`
	if got := out.String(); !equalWords(got, want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}

	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/trunks" {
			w.WriteHeader(http.StatusNotFound)
		}
		_ = json.NewEncoder(w).Encode(trunks)
	}))
	defer api.Close()
	if code := run(context.Background(), []string{"trunks", "--url", api.URL}); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// equalWords compares what is written, without the width of the columns.
func equalWords(a, b string) bool {
	return bytes.Equal(bytes.Join(bytes.Fields([]byte(a)), []byte(" ")), bytes.Join(bytes.Fields([]byte(b)), []byte(" ")))
}
