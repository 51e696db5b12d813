package sip

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// signers sign certificates of those who sign for callers.
type signers struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newKey(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newSigners(t *testing.T) *signers {
	a := &signers{t: t, key: newKey(t, elliptic.P256())}
	a.cert = &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0), KeyUsage: x509.KeyUsageCertSign}
	return a
}

// issue makes a certificate for a key, in PEM; that of the authority when key is nil.
func (a *signers) issue(key *ecdsa.PrivateKey, until time.Time) []byte {
	c := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "signer"}, NotBefore: time.Unix(0, 0), NotAfter: until}
	if key == nil {
		c, key = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// identity is an Identity field signed with key.
func identity(t *testing.T, key *ecdsa.PrivateKey, head, body, info string) string {
	b64 := base64.RawURLEncoding.EncodeToString
	signed := b64([]byte(head)) + "." + b64([]byte(body))
	sum := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return signed + "." + b64(sig) + ";info=<" + info + ">;alg=ES256;ppt=\"shaken\""
}

// RFC 8224, RFC 8588: what a signed caller is worth, and each way in which it isn't.
func TestIdentityIsVerified(t *testing.T) {
	const good = "https://certs.example/a/signer.pem"
	dir, root, other := t.TempDir(), newSigners(t), newSigners(t)
	key, key384 := newKey(t, elliptic.P256()), newKey(t, elliptic.P384())
	far, rootFile := time.Unix(1<<33, 0), filepath.Join(dir, "roots")
	for name, text := range map[string][]byte{
		"roots": root.issue(nil, far), "certs.example_a_signer.pem": root.issue(key, far),
		"certs.example_other.pem": other.issue(key, far), "certs.example_old.pem": root.issue(key, time.Unix(1, 0)),
		"certs.example_384.pem": root.issue(key384, far), "certs.example_junk.pem": []byte("junk"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	head := func(x5u string) string {
		return `{"alg":"ES256","ppt":"shaken","typ":"passport","x5u":"` + x5u + `"}`
	}
	now := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Unix() // when synctest begins

	body := func(level, from, to string, at int64) string {
		return fmt.Sprintf(`{"attest":"%s","dest":{"tn":["%s"]},"iat":%d,"orig":{"tn":"%s"},"origid":"x"}`, level, to, at, from)
	}
	right := body("A", "8613800000000", "95599", now)
	valid := identity(t, key, head(good), right, good)
	flipped := []byte(valid)
	at := strings.Index(valid, ";info") - 20 // within the signature
	flipped[at] = map[bool]byte{true: 'B', false: 'A'}[valid[at] == 'A']
	for _, tc := range []struct {
		name, identity string
		want           Attestation
	}{
		{"valid", valid, Attestation{"valid", "A", ""}},
		{"level C, 59 s old", identity(t, key, head(good), body("C", "8613800000000", "95599", now-59), good), Attestation{"valid", "C", ""}},
		{"without", "", Attestation{"none", "", ""}},
		{"another caller", identity(t, key, head(good), body("A", "8613900000000", "95599", now), good), Attestation{Problem: "signed for another caller"}},
		{"another number dialled", identity(t, key, head(good), body("A", "8613800000000", "110", now), good), Attestation{Problem: "signed for another number dialled"}},
		{"old", identity(t, key, head(good), body("A", "8613800000000", "95599", now-61), good), Attestation{Problem: "stale"}},
		{"from the future", identity(t, key, head(good), body("A", "8613800000000", "95599", now+61), good), Attestation{Problem: "stale"}},
		{"another level", identity(t, key, head(good), body("Z", "8613800000000", "95599", now), good), Attestation{Problem: "attests nothing"}},
		{"another key", identity(t, newKey(t, elliptic.P256()), head(good), right, good), Attestation{Problem: "wrong signature"}},
		{"a changed signature", string(flipped), Attestation{Problem: "wrong signature"}},
		{"another place of the certificate", identity(t, key, head(good), right, "https://evil.example/x"), Attestation{Problem: "info and x5u differ"}},
		{"an authority that isn't trusted", identity(t, key, head("https://certs.example/other.pem"), right, "https://certs.example/other.pem"), Attestation{Problem: "the signer's certificate isn't trusted"}},
		{"a certificate that is over", identity(t, key, head("https://certs.example/old.pem"), right, "https://certs.example/old.pem"), Attestation{Problem: "the signer's certificate isn't trusted"}},
		{"a certificate that isn't there", identity(t, key, head("https://certs.example/none.pem"), right, "https://certs.example/none.pem"), Attestation{Problem: "the signer's certificate isn't there"}},
		{"no certificate", identity(t, key, head("https://certs.example/junk.pem"), right, "https://certs.example/junk.pem"), Attestation{Problem: "the signer's certificate can't be read"}},
		{"another curve", identity(t, key, head("https://certs.example/384.pem"), right, "https://certs.example/384.pem"), Attestation{Problem: "the signer's key isn't one for ES256"}},
		{"without TLS", identity(t, key, head("http://certs.example/a/signer.pem"), right, "http://certs.example/a/signer.pem"), Attestation{Problem: "x5u is no https URL"}},
		{"out of the directory", identity(t, key, head("https://..\\u002f/etc"), right, "https://../etc"), Attestation{Problem: "info and x5u differ"}},
		{"no algorithm", identity(t, key, `{"alg":"none","ppt":"shaken","typ":"passport","x5u":"`+good+`"}`, right, good), Attestation{Problem: "another kind of PASSporT"}},
		{"the compact form", ".." + valid[strings.Index(valid, ";info")-86:], Attestation{Problem: "no full PASSporT"}},
		{"junk", "a.b.c;info=<x>", Attestation{Problem: "PASSporT can't be read"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newMemNet()
				tr := carrier
				tr.VerifyIdentity = true
				legs := make(chan *Leg, 1)
				srv := memStack(t, n, serverAddr, Options{STIR: &STIR{Certificates: dir, Roots: rootFile}, Access: Access{Trunks: []Trunk{tr}},
					Handlers: Handlers{Invite: func(l *Leg) { _ = l.Reject(486, "Busy"); legs <- l }}})
				defer srv.Close()
				u := newUAC(t, n, callerAddr)
				var fields []string
				if tc.identity != "" {
					fields = []string{"Identity: " + tc.identity}
				}
				u.send("INVITE", 1, append(fields, sdp("v=0")...)...)
				u.until("SIP/2.0 486", "")
				u.send("ACK", 1)
				if tc.want.Result == "" {
					tc.want.Result = "invalid"
				}
				if got := (<-legs).Incoming().Attestation; got != tc.want {
					t.Errorf("got %+v, want %+v", got, tc.want)
				}
			})
		})
	}
}

// A caller who withholds his number from those we connect him with has signed it for us; of one whose number we aren't told
// nothing can be said.
func TestIdentityOfTheWithheld(t *testing.T) {
	const x5u = "https://certs.example/signer.pem"
	dir, root, key := t.TempDir(), newSigners(t), newKey(t, elliptic.P256())
	far := time.Unix(1<<33, 0)
	for name, text := range map[string][]byte{"roots": root.issue(nil, far), "certs.example_signer.pem": root.issue(key, far)} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	signed := identity(t, key, `{"alg":"ES256","ppt":"shaken","typ":"passport","x5u":"`+x5u+`"}`,
		fmt.Sprintf(`{"attest":"A","dest":{"tn":["95599"]},"iat":%d,"orig":{"tn":"8613800000000"},"origid":"x"}`, now), x5u)
	for _, tc := range []struct {
		name  string
		trust bool
		want  Attestation
	}{
		{"told to us", true, Attestation{"valid", "A", ""}},
		{"not told", false, Attestation{Result: "none", Problem: "the caller's number isn't told"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newMemNet()
				tr := carrier
				tr.VerifyIdentity, tr.TrustIdentity = true, tc.trust
				legs := make(chan *Leg, 1)
				srv := memStack(t, n, serverAddr, Options{STIR: &STIR{Certificates: dir, Roots: filepath.Join(dir, "roots")}, Access: Access{Trunks: []Trunk{tr}},
					Handlers: Handlers{Invite: func(l *Leg) { _ = l.Reject(486, "Busy"); legs <- l }}})
				defer srv.Close()
				u := newUAC(t, n, callerAddr)
				u.send("INVITE", 1, append([]string{"Identity: " + signed, "Privacy: id", "P-Asserted-Identity: <sip:+8613800000000@x>"}, sdp("v=0")...)...)
				u.until("SIP/2.0 486", "")
				u.send("ACK", 1)
				in := (<-legs).Incoming()
				if in.Attestation != tc.want || in.Caller.Number != "" {
					t.Errorf("got %+v of %+v, want %+v", in.Attestation, in.Caller, tc.want)
				}
			})
		})
	}
}

// Without the option, or for a trunk that doesn't ask for it, nothing is looked at;
// roots that can't be read stop the start.
func TestIdentityIsNotVerified(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		legs := make(chan *Leg, 1)
		srv := memStack(t, n, serverAddr, Options{Access: Access{Trunks: []Trunk{carrier}}, Handlers: Handlers{Invite: func(l *Leg) { _ = l.Reject(486, "Busy"); legs <- l }}})
		defer srv.Close()
		u := newUAC(t, n, callerAddr)
		u.send("INVITE", 1, append([]string{"Identity: a.b.c;info=<x>"}, sdp("v=0")...)...)
		u.until("SIP/2.0 486", "")
		u.send("ACK", 1)
		if got := (<-legs).Incoming().Attestation; got != (Attestation{}) {
			t.Errorf("got %+v", got)
		}
		if _, err := Open(Options{STIR: &STIR{Roots: "/nowhere"}, Listen: []Listener{{Network: "udp", PacketConn: n.listen(agentAddr)}}}); err == nil {
			t.Error("roots that aren't there are taken")
		}
	})
}
