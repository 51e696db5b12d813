package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hotline/config"
)

// callSigner signs for callers' numbers; its certificate is in dir, with the roots.
type callSigner struct {
	dir string
	key *ecdsa.PrivateKey
}

const signerURL = "https://certs.example/signer.pem"

func newCallSigner(t *testing.T) *callSigner {
	t.Helper()
	s := &callSigner{dir: t.TempDir()}
	root, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err == nil {
		s.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, NotAfter: time.Unix(1<<33, 0)}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), NotAfter: time.Unix(1<<33, 0)}
	for name, c := range map[string]*x509.Certificate{"roots": ca, "certs.example_signer.pem": leaf} {
		public := &s.key.PublicKey
		if c == ca {
			public = &root.PublicKey
		}
		der, err := x509.CreateCertificate(rand.Reader, c, ca, public, root)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(s.dir, name), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// identity is the field that vouches at a level for the caller of a number dialled (RFC 8224, RFC 8588).
func (s *callSigner) identity(t *testing.T, level, caller, dialled string) string {
	t.Helper()
	b64 := base64.RawURLEncoding.EncodeToString
	signed := b64([]byte(`{"alg":"ES256","ppt":"shaken","typ":"passport","x5u":"`+signerURL+`"}`)) + "." +
		b64(fmt.Appendf(nil, `{"attest":"%s","dest":{"tn":["%s"]},"iat":%d,"orig":{"tn":"%s"},"origid":"x"}`, level, dialled, time.Now().Unix(), caller))
	sum := sha256.Sum256([]byte(signed))
	r, sig, err := ecdsa.Sign(rand.Reader, s.key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	both := make([]byte, 64)
	r.FillBytes(both[:32])
	sig.FillBytes(both[32:])
	return "Identity: " + signed + "." + b64(both) + ";info=<" + signerURL + ">;alg=ES256;ppt=\"shaken\""
}

// A flow treats callers by who vouches for their number: signed A, signed lower, wrongly or not at all.
func TestFlowBranchesByAttestation(t *testing.T) {
	s := newCallSigner(t)
	flows, err := config.Parse("flows", []byte(`
sip: {listen: [{address: "127.0.0.1:5060"}]}
trunks: [{name: carrier, addresses: [127.0.0.1], dids: [{number: "6", flow: judged}]}]
queues: [{name: sales}]
agents: [{user: alice, password: a-long-secret, queues: [sales]}]
flows:
  judged:
    early: 1m
    start: who
    steps:
      who: {branch: {attestation: {A: sure, C: hardly}, else: unsure}}
      sure: {hang_up: {refuse: 486}}
      hardly: {hang_up: {refuse: 410}}
      unsure: {hang_up: {refuse: 603}}
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, code, recorded string
		headers              []string
	}{
		{"A", "486", "A", []string{s.identity(t, "A", "8613800000001", "6")}},
		{"C", "410", "C", []string{s.identity(t, "C", "8613800000001", "6")}},
		{"another caller's", "603", "invalid", []string{s.identity(t, "A", "8613900000009", "6")}},
		{"not signed", "603", "none", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := start(t, func(c *config.Config) {
				c.SIP.STIR.Roots, c.SIP.STIR.Certificates = filepath.Join(s.dir, "roots"), s.dir
				c.Trunks[0].VerifyIdentity = true
				c.Flows["judged"] = flows.Flows["judged"]
				c.Trunks[0].DIDs = append(c.Trunks[0].DIDs, flows.Trunks[0].DIDs...)
			})
			p := h.textPhone()
			p.send("INVITE", "sip:6@127.0.0.1", "<sip:13800000001@127.0.0.1>;tag=c", "<sip:6@127.0.0.1>", "signed", sdp(40000, "8", "sendrecv"), tc.headers...)
			res := p.until("SIP/2.0 ", "INVITE")
			for strings.HasPrefix(res, "SIP/2.0 1") {
				res = p.until("SIP/2.0 ", "INVITE")
			}
			if !strings.HasPrefix(res, "SIP/2.0 "+tc.code) {
				t.Errorf("got %q, want %s", res, tc.code)
			}
			p.acknowledgeRefusal("sip:6@127.0.0.1", "<sip:13800000001@127.0.0.1>;tag=c", field(res, "To"), "signed")
			if rec := h.one(); rec["attestation"] != tc.recorded {
				t.Errorf("recorded %v, want %s", rec["attestation"], tc.recorded)
			}
		})
	}
}
