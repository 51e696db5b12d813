package sip

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	gosip "github.com/emiago/sipgo/sip"
)

// STIR checks who signed for a caller's number (RFC 8224, with SHAKEN's PASSporT,
// RFC 8588).
type STIR struct {
	// Certificates is the directory with the signers' certificates, leaf first and
	// in PEM: the one at https://HOST/PATH is the file HOST_PATH, slashes in PATH
	// made underscores. Nothing is fetched for a call.
	Certificates string
	// Roots is a file of PEM certificates that signers must descend from.
	Roots string
}

// Attestation is what the Identity of a call is worth.
type Attestation struct {
	// Result is "" when it wasn't looked at, "none" without an Identity or a number that it could be of, "valid" or
	// "invalid".
	Result string
	// Level is what the signer attests of a valid one: "A" (the number is the
	// caller's), "B" (the caller is known) or "C" (it came in by a gateway).
	Level string
	// Problem says in a few words why it isn't valid.
	Problem string
}

// freshFor is how far the PASSporT's time may be from ours (RFC 8224 12.1).
const freshFor = time.Minute

// maxCertificates bounds how many signers are remembered, certLife how long.
const (
	maxCertificates = 1024
	certLife        = time.Hour
)

// stir is a STIR at work.
type stir struct {
	dir   string
	roots *x509.CertPool

	mu    sync.Mutex
	known map[string]signer // by URL
}

type signer struct {
	key    *ecdsa.PublicKey
	expire time.Time
}

func newSTIR(o *STIR) (*stir, error) {
	if o == nil {
		return nil, nil
	}
	text, err := os.ReadFile(o.Roots)
	if err != nil {
		return nil, fmt.Errorf("read roots of caller identities: %w", err)
	}
	st := &stir{dir: o.Certificates, roots: x509.NewCertPool(), known: make(map[string]signer)}
	if !st.roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("read roots of caller identities: no certificate in %s", o.Roots)
	}
	return st, nil
}

// attest judges the Identity of an INVITE from a trunk that asks for it. The caller
// is in E.164; dialled holds the forms of one number, as a short one is signed with
// its country or without.
func (st *stir) attest(req *gosip.Request, caller string, dialled []string, now time.Time) Attestation {
	hs := append(req.GetHeaders("Identity"), req.GetHeaders("y")...)
	if len(hs) == 0 {
		return Attestation{Result: "none"}
	}
	if caller == "" { // withheld from us, too: RFC 8224 6.2 step 2 has nothing to compare
		return Attestation{Result: "none", Problem: "the caller's number isn't told"}
	}
	// Other kinds of PASSporT (div, rcd) may stand beside SHAKEN's.
	err := errors.New("no PASSporT of SHAKEN")
	for _, h := range hs[:min(len(hs), 4)] {
		var level string
		if level, err = st.verify(h.Value(), caller, dialled, now); err == nil {
			return Attestation{Result: "valid", Level: level}
		}
	}
	return Attestation{Result: "invalid", Problem: err.Error()}
}

// passport are the two parts of a PASSporT that are signed (RFC 8225, RFC 8588).
type passport struct {
	head struct {
		Alg, Typ, PPT, X5U string
	}
	body struct {
		Attest string
		Dest   struct{ TN []string }
		Iat    int64
		Orig   struct{ TN string }
	}
}

// verify is RFC 8224 6.2.
func (st *stir) verify(value, caller string, dialled []string, now time.Time) (level string, err error) {
	token, params, _ := strings.Cut(value, ";")
	parts := strings.Split(strings.TrimSpace(token), ".")
	if len(value) > 8192 || len(parts) != 3 || parts[0] == "" || parts[1] == "" {
		return "", errors.New("no full PASSporT")
	}
	var p passport
	if err := decodePart(parts[0], &p.head); err != nil {
		return "", err
	}
	if err := decodePart(parts[1], &p.body); err != nil {
		return "", err
	}
	switch age := now.Sub(time.Unix(p.body.Iat, 0)); {
	case p.head.Alg != "ES256" || p.head.Typ != "passport" || p.head.PPT != "shaken":
		return "", errors.New("another kind of PASSporT")
	case infoOf(params) != p.head.X5U:
		return "", errors.New("info and x5u differ")
	case age > freshFor || age < -freshFor:
		return "", errors.New("stale")
	case digits(p.body.Orig.TN) == "" || digits(p.body.Orig.TN) != digits(caller):
		return "", errors.New("signed for another caller")
	case !slices.ContainsFunc(dialled, func(n string) bool {
		return n != "" && slices.ContainsFunc(p.body.Dest.TN, func(tn string) bool { return digits(tn) == digits(n) })
	}):
		return "", errors.New("signed for another number dialled")
	case p.body.Attest != "A" && p.body.Attest != "B" && p.body.Attest != "C":
		return "", errors.New("attests nothing")
	}
	key, err := st.key(p.head.X5U, now)
	if err != nil {
		return "", err
	}
	sig, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || len(sig) != 64 {
		return "", errors.New("no signature of ES256")
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if !ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])) {
		return "", errors.New("wrong signature")
	}
	return p.body.Attest, nil
}

func decodePart(part string, v any) error {
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil || json.Unmarshal(text, v) != nil {
		return errors.New("PASSporT can't be read")
	}
	return nil
}

// infoOf is the URI of the parameter info.
func infoOf(params string) string {
	for p := range strings.SplitSeq(params, ";") {
		if k, v, ok := strings.Cut(p, "="); ok && strings.EqualFold(strings.TrimSpace(k), "info") {
			return strings.Trim(strings.TrimSpace(v), "<>")
		}
	}
	return ""
}

// digits is a number without its plus sign (RFC 8225 5.2.1).
func digits(number string) string { return strings.TrimPrefix(number, "+") }

// key is the signer's public key, from its certificate in the directory.
func (st *stir) key(x5u string, now time.Time) (*ecdsa.PublicKey, error) {
	st.mu.Lock()
	k, ok := st.known[x5u]
	st.mu.Unlock()
	if ok && now.Before(k.expire) {
		return k.key, nil
	}
	name, err := certificateFile(x5u)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(st.dir, name))
	if err != nil {
		return nil, errors.New("the signer's certificate isn't there")
	}
	k, err = st.trust(text, now)
	if err != nil {
		return nil, err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if len(st.known) >= maxCertificates {
		clear(st.known)
	}
	st.known[x5u] = k
	return k.key, nil
}

// certificateFile is where the certificate of a URL is kept.
func certificateFile(x5u string) (string, error) {
	u, err := url.Parse(x5u)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.Path == "" || len(x5u) > 512 {
		return "", errors.New("x5u is no https URL")
	}
	name := u.Host + strings.ReplaceAll(u.Path, "/", "_")
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != "" {
		return "", errors.New("x5u is no plain URL")
	}
	return name, nil
}

// trust checks a chain, leaf first, against the roots.
func (st *stir) trust(text []byte, now time.Time) (signer, error) {
	var leaf *x509.Certificate
	between := x509.NewCertPool()
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return signer{}, errors.New("the signer's certificate can't be read")
		}
		if leaf == nil {
			leaf = c
		} else {
			between.AddCert(c)
		}
	}
	if leaf == nil {
		return signer{}, errors.New("the signer's certificate can't be read")
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: st.roots, Intermediates: between, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		return signer{}, errors.New("the signer's certificate isn't trusted")
	}
	key, ok := leaf.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return signer{}, errors.New("the signer's key isn't one for ES256")
	}
	expire := now.Add(certLife)
	if leaf.NotAfter.Before(expire) {
		expire = leaf.NotAfter
	}
	return signer{key, expire}, nil
}
