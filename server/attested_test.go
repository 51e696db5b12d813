package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hotline/config"
)

// What the network says of a caller's number, and whom the call was meant for before, is in
// the call's record; nothing is where nobody looked, or the trunk isn't trusted.
func TestAttestationAndDiversionsAreRecorded(t *testing.T) {
	roots := rootFile(t)
	const diverted = `Diversion: <sip:13900000000@carrier>;reason=no-answer;counter=1, <sip:01058490000@carrier>;reason="unconditional"`
	const history = `History-Info: <sip:13900000000@carrier?Reason=SIP%3Bcause%3D486>;index=1, <sip:3@carrier>;index=1.1`
	for _, tc := range []struct {
		name       string
		trusted    bool
		verified   bool
		headers    []string
		attested   any
		diversions any
	}{
		{"nobody looks", false, false, []string{diverted, "Identity: x.y.z;info=<https://x/y>"}, nil, nil},
		{"diverted twice, wrongly signed", true, true, []string{diverted, "Identity: x.y.z;info=<https://x/y>"}, "invalid", []any{
			map[string]any{"number": "+8613900000000", "reason": "no-answer"}, map[string]any{"number": "+861058490000", "reason": "unconditional"}}},
		{"history, not signed", true, true, []string{history}, "none", []any{map[string]any{"number": "+8613900000000", "reason": "user-busy"}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := start(t, func(c *config.Config) {
				c.SIP.STIR.Roots, c.SIP.STIR.Certificates = roots, filepath.Dir(roots)
				c.Trunks[0].TrustIdentity, c.Trunks[0].VerifyIdentity = tc.trusted, tc.verified
			})
			p := h.textPhone()
			p.send("INVITE", "sip:3@"+h.SIPAddr().String(), "<sip:13800000001@127.0.0.1>;tag=c", "<sip:3@127.0.0.1>", "came", sdp(40000, "8", "sendrecv"), tc.headers...)
			ok := p.until("SIP/2.0 200", "INVITE")
			p.send("ACK", "sip:3@"+h.SIPAddr().String(), "<sip:13800000001@127.0.0.1>;tag=c", field(ok, "To"), "came", "")
			p.reply(p.until("BYE ", "BYE"), "200 OK", "", "")
			rec := h.one()
			if rec["attestation"] != tc.attested || rec["number"] != "+8613800000001" {
				t.Errorf("attested %v of %v", rec["attestation"], rec["number"])
			}
			if diff := cmp.Diff(tc.diversions, rec["diversions"]); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// rootFile is a certificate that signers could descend from.
func rootFile(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	root := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, NotAfter: time.Unix(1<<33, 0)}
	der, err := x509.CreateCertificate(rand.Reader, root, root, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
