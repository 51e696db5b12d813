package sip

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"
	"time"

	gosip "github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"
)

// authenticator issues and checks digest nonces (RFC 7616, RFC 3261 22). A nonce
// is its time of issue, random bytes and a keyed hash over both and the source that
// asked: nothing is kept until a request with correct credentials has used it.
type authenticator struct {
	realm string
	ttl   time.Duration
	key   [32]byte
	tries *guesses
	spent spentNonces
}

func newAuthenticator(realm string, ttl time.Duration) *authenticator {
	a := &authenticator{realm: realm, ttl: ttl, tries: newGuesses(), spent: spentNonces{ttl: ttl}}
	// crypto/rand.Read never fails: it ends the program instead.
	_, _ = rand.Read(a.key[:])
	return a
}

func (a *authenticator) nonce(now time.Time, source netip.Prefix) string {
	var b [8 + 12 + 16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(now.UnixMicro()))
	_, _ = rand.Read(b[8:20])
	copy(b[20:], a.sign(b[:20], source))
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func (a *authenticator) sign(b []byte, source netip.Prefix) []byte {
	m := hmac.New(sha256.New, a.key[:])
	m.Write(b)
	m.Write(source.Addr().AsSlice())
	return m.Sum(nil)[:16]
}

// genuine tells whether the nonce is one that we gave the source, and whether it
// still lives.
func (a *authenticator) genuine(nonce string, source netip.Prefix, now time.Time) (ours, fresh bool, made time.Time) {
	b, err := base64.RawURLEncoding.DecodeString(nonce)
	if err != nil || len(b) != 36 || !hmac.Equal(b[20:], a.sign(b[:20], source)) {
		return false, false, time.Time{}
	}
	made = time.UnixMicro(int64(binary.BigEndian.Uint64(b[:8])))
	return true, now.Before(made.Add(a.ttl)), made
}

// challenge lists one WWW-Authenticate field per algorithm.
func (a *authenticator) challenge(alg Algorithm, source netip.Prefix, stale bool) []gosip.Header {
	var hs []gosip.Header
	nonce := a.nonce(time.Now(), source)
	for _, name := range alg.names() {
		c := digest.Challenge{Realm: a.realm, Nonce: nonce, Algorithm: name, QOP: []string{"auth"}, Stale: stale}
		hs = append(hs, gosip.NewHeader("WWW-Authenticate", c.String()))
	}
	return hs
}

// verdict of one Authorization field.
type verdict int

const (
	authMissing verdict = iota
	authWrong
	authForeign // of the last run, given to another address, or made up
	authStale
	authReplayed
	authGuessing
	authRight
)

// check judges the credentials of a request against those known for the user it
// names. The same work is done for a user that doesn't exist, so that the time
// an answer takes doesn't tell who does.
func (a *authenticator) check(req *gosip.Request, lookup func(user string) *Credentials) (string, verdict) {
	h := req.GetHeader("Authorization")
	if h == nil {
		return "", authMissing
	}
	cred, err := digest.ParseCredentials(h.Value())
	if err != nil || cred.Realm != a.realm {
		return "", authMissing
	}
	known := lookup(cred.Username)
	want := known
	if want == nil {
		want = &Credentials{User: cred.Username, Password: "\x00no such user"}
	}
	// Whatever an account is set to, SHA-256 may have been offered beside it (see accessTable.offerToCaller).
	offered := strings.EqualFold(cred.Algorithm, "SHA-256")
	for _, n := range want.Algorithm.names() {
		offered = offered || strings.EqualFold(n, cred.Algorithm) || (n == "MD5" && cred.Algorithm == "")
	}
	chal := &digest.Challenge{Realm: a.realm, Nonce: cred.Nonce, Algorithm: cred.Algorithm}
	if cred.QOP != "" {
		chal.QOP = []string{cred.QOP}
	}
	now, source := time.Now(), requestSource(req)
	if !a.tries.allowed(source, cred.Username) {
		return "", authGuessing
	}
	ours, fresh, made := a.genuine(cred.Nonce, source, now)
	good, err := digest.Digest(chal, digest.Options{
		Method: string(req.Method), URI: cred.URI, Count: cred.Nc,
		Username: want.User, Password: want.Password, Cnonce: cred.Cnonce,
	})
	match := err == nil && subtle.ConstantTimeCompare([]byte(good.Response), []byte(strings.ToLower(cred.Response))) == 1
	if ours && (!match || known == nil) {
		a.tries.wrong(source, cred.Username)
	}
	switch {
	case !ours:
		return "", authForeign
	case !match || known == nil || !offered || (cred.QOP != "" && cred.QOP != "auth") || !sameTarget(req, cred.URI):
		return "", authWrong
	case !fresh:
		return "", authStale
	}
	if v := a.spent.spend(cred.Nonce, cred.Nc, made, now); v != authRight {
		return "", v
	}
	a.tries.right(source, cred.Username)
	return known.User, authRight
}

// sameTarget keeps credentials made for one request from serving another: the
// digest-uri must name the host of the Request-URI (RFC 7616 3.4.6), the rest
// aside: sipp and several phones leave user and parameters out.
func sameTarget(req *gosip.Request, uri string) bool {
	var u gosip.Uri
	if err := gosip.ParseUri(uri, &u); err != nil {
		return false
	}
	return strings.EqualFold(u.Host, req.Recipient.Host)
}

// authenticate lets a request through with the name of its user, or answers it:
// 401 with a fresh challenge, whatever was wrong, so that nothing can be learnt.
func (s *Stack) authenticate(req *gosip.Request, tx *transaction, offer Algorithm) (string, bool) {
	user, v := s.auth.check(req, func(u string) *Credentials {
		c, _, _ := s.access.Load().credentialsOf(u)
		return c
	})
	switch v {
	case authRight:
		s.flood.known.add(sourceAddr(req).Addr(), time.Now())
		if _, _, tr := s.access.Load().credentialsOf(user); tr != nil {
			s.peers.note(sourceAddr(req), tr.Name, true)
		}
		if c := tx.by.conn; c != nil {
			c.known.Store(true)
		}
		return user, true
	case authWrong, authForeign:
		s.obs.Refused("bad_credentials")
	case authStale:
		s.obs.Refused("stale_nonce")
	case authReplayed:
		s.obs.Refused("replayed_nonce")
	case authGuessing:
		// The same for a name that exists and one that doesn't.
		s.obs.Refused("guessing")
		var later []gosip.Header
		if tr := s.trunkFrom(sourceAddr(req), tx.by.conn); tr == nil || !tr.SoleUpstream {
			later = append(later, gosip.NewHeader("Retry-After", strconv.Itoa(int(userEvery/time.Second))))
		}
		s.refuse(req, tx, 503, "Service Unavailable", later...)
		return "", false
	}
	s.refuse(req, tx, 401, "Unauthorized", s.auth.challenge(offer, requestSource(req), v == authStale || v == authReplayed || v == authForeign)...)
	return "", false
}

// authorise adds the answer to a 401 or 407 to a request that is sent again. It
// takes the first challenge whose algorithm the credentials allow.
func authorise(req *gosip.Request, res *gosip.Response, c Credentials) bool {
	challenge, answer := "WWW-Authenticate", "Authorization"
	if res.StatusCode == 407 {
		challenge, answer = "Proxy-Authenticate", "Proxy-Authorization"
	}
	for _, h := range res.GetHeaders(challenge) {
		chal, err := digest.ParseChallenge(h.Value())
		if err != nil {
			continue
		}
		if c.Realm != "" && chal.Realm != c.Realm {
			continue // somebody else's challenge, passed on: our answer is none of their business
		}
		chal.Algorithm = strings.ToUpper(chal.Algorithm)
		allowed := false
		for _, n := range c.Algorithm.names() {
			allowed = allowed || n == chal.Algorithm || (n == "MD5" && chal.Algorithm == "")
		}
		if !allowed {
			continue
		}
		cred, err := digest.Digest(chal, digest.Options{Method: string(req.Method), URI: req.Recipient.Addr(), Username: c.User, Password: c.Password, Count: 1})
		if err != nil {
			continue
		}
		req.RemoveHeader(answer)
		req.AppendHeader(gosip.NewHeader(answer, cred.String()))
		return true
	}
	return false
}

// stale tells whether a challenge says that only the nonce was too old.
func stale(res *gosip.Response) bool {
	for _, name := range []string{"WWW-Authenticate", "Proxy-Authenticate"} {
		for _, h := range res.GetHeaders(name) {
			if c, err := digest.ParseChallenge(h.Value()); err == nil && c.Stale {
				return true
			}
		}
	}
	return false
}
