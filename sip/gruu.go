package sip

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	gosip "github.com/emiago/sipgo/sip"
)

// This file gives phones addresses of their own (GRUU, RFC 5627): a public one, which
// names the account and the phone, and temporary ones, which name neither.

// tempPrefix begins the user part of a temporary GRUU.
const tempPrefix = "tgruu."

// gruus seals what a temporary GRUU means: nothing is kept for it. After a restart the
// old ones mean nothing, and phones get others when they register again.
type gruus struct{ seal cipher.AEAD }

func newGRUUs() gruus {
	var key [16]byte
	_, _ = rand.Read(key[:]) // never fails: it ends the program instead
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(fmt.Sprintf("a key of 16 bytes is refused: %v", err))
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(fmt.Sprintf("AES is refused: %v", err))
	}
	return gruus{aead}
}

// temporary is the user part of a new temporary GRUU of a binding.
func (g gruus) temporary(user string, c *Contact) string {
	plain := strings.Join([]string{user, c.instance, c.callID}, "\x00")
	return tempPrefix + base64.RawURLEncoding.EncodeToString(g.seal.Seal(nil, nil, []byte(plain), nil))
}

// open reads the user part of a temporary GRUU.
func (g gruus) open(name string) (user, instance, callID string, ok bool) {
	sealed, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(name, tempPrefix))
	if err != nil {
		return "", "", "", false
	}
	plain, err := g.seal.Open(nil, nil, sealed, nil)
	if err != nil {
		return "", "", "", false
	}
	parts := strings.Split(string(plain), "\x00")
	if len(parts) != 3 {
		return "", "", "", false
	}
	return parts[0], parts[1], parts[2], true
}

// gruuParams are the parameters of a binding in the answer to its REGISTER (RFC 5627
// 5.3); "" for a phone without an instance that a URI can hold. A phone behind a proxy
// gets none: it would be its Contact, and what follows the route set to it would come
// back to us.
func (r *registrar) gruuParams(user string, aor gosip.Uri, c *Contact) string {
	urn := strings.Trim(c.instance, "<>")
	if urn == "" || len(urn) > 128 || len(c.path) > 0 || strings.Trim(urn, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:.-_") != "" || strings.Contains(c.callID, "\x00") {
		return ""
	}
	public := gosip.Uri{Scheme: c.uri.Scheme, User: aor.User, Host: aor.Host, Port: aor.Port}
	temporary := public
	temporary.User = r.gruus.temporary(user, c)
	return fmt.Sprintf(`;pub-gruu="%s;gr=%s";temp-gruu="%s;gr"`, public.String(), urn, temporary.String())
}

// meant is whom a URI of ours means by name: for a GRUU the account and its phone, else
// the name itself. A temporary one lives as long as the registration that got it.
func (s *Stack) meant(u *gosip.Uri, name string) (user, instance string) {
	if strings.HasPrefix(name, tempPrefix) {
		user, instance, callID, ok := s.reg.gruus.open(name)
		if !ok || !s.reg.registered(user, instance, callID) {
			return name, ""
		}
		return user, instance
	}
	if gr, ok := u.UriParams.Get("gr"); ok && gr != "" {
		return name, "<" + gr + ">"
	}
	return name, ""
}

func (r *registrar) registered(user, instance, callID string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.aors[user], func(c *Contact) bool { return c.instance == instance && c.callID == callID })
}

// ContactsAt is [Stack.Contacts] of one phone, by its instance as Incoming and Referral
// tell it; of all for "".
func (s *Stack) ContactsAt(user, instance string) []Contact {
	cs := s.Contacts(user)
	if instance == "" {
		return cs
	}
	return slices.DeleteFunc(cs, func(c Contact) bool { return !strings.EqualFold(c.instance, instance) })
}
