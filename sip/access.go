package sip

import (
	"net/netip"

	gosip "github.com/emiago/sipgo/sip"
)

// Algorithm is what a digest challenge offers.
type Algorithm string

// The algorithms of a trunk or account. With Both, SHA-256 is offered first, as
// RFC 8760 section 2.4 wants; a client that knows only MD5 may fail on that.
const (
	MD5    Algorithm = "md5"
	SHA256 Algorithm = "sha-256"
	Both   Algorithm = "both"
)

// names are the values for the algorithm parameter, most preferred first.
func (a Algorithm) names() []string {
	switch a {
	case SHA256:
		return []string{"SHA-256"}
	case Both:
		return []string{"SHA-256", "MD5"}
	default:
		return []string{"MD5"}
	}
}

// and is what both are offered by, or what there is of them.
func (a Algorithm) and(b Algorithm) Algorithm {
	switch {
	case a == "" || a == b:
		return b
	case b == "":
		return a
	default:
		return Both
	}
}

// Credentials are a digest user name and its password.
type Credentials struct {
	User      string
	Password  string
	Algorithm Algorithm // "" is MD5
	// Realm, when set, is the only one whose challenges are answered.
	Realm string
}

// Trunk is a peer that sends callers: known by its addresses, by digest, or, with
// both set, by both together.
type Trunk struct {
	Name string
	// Addresses the trunk sends from. Empty: any address, then Credentials are
	// needed.
	Addresses   []netip.Prefix
	Credentials *Credentials
	// TLSName is the name that the trunk's TLS certificate bears (RFC 5922): who
	// shows it is the trunk, from its Addresses if there are any. The listener
	// needs a CA.
	TLSName string
	// Region is the ISO 3166 code ("CN") that completes national numbers.
	Region string
	// Numbers are the rules for the numbers that come from it, before Region
	// completes them.
	Numbers NumberRules
	// TrustIdentity takes the caller's number from P-Asserted-Identity
	// (RFC 3325) where present, else from Remote-Party-ID, and believes Diversion
	// and History-Info.
	TrustIdentity bool
	// VerifyIdentity judges the Identity of its calls by Options.STIR.
	VerifyIdentity bool
	// Symmetric sends requests within a dialog to where the INVITE came from,
	// not to its Contact: for a trunk behind NAT.
	Symmetric bool
	// Limits bound its calls.
	Limits TrunkLimits
	// SoleUpstream says that the peer has no other way to send its calls: a 503
	// to it carries no Retry-After, after which it would stop altogether.
	SoleUpstream bool
	// VIP says that new calls of the trunk are refused last when there are too many.
	VIP bool
	// Outbound is how calls leave by it.
	Outbound Outbound
}

// Account is somebody who registers: an agent's softphone.
type Account struct {
	Credentials
}

// Access is who may do what: trunks call in, accounts register and dial codes.
type Access struct {
	Trunks   []Trunk
	Accounts []Account
}

type accessTable struct {
	trunks   []*Trunk
	byName   map[string]*Trunk
	byUser   map[string]*Trunk // trunks with digest
	accounts map[string]*Account
	anybody  bool      // could authenticate
	callers  Algorithm // of the trunks that are known by their password alone; "": there is none
	decoys   decoys
}

func newAccessTable(a Access) *accessTable {
	t := &accessTable{byName: make(map[string]*Trunk), byUser: make(map[string]*Trunk), accounts: make(map[string]*Account)}
	for i := range a.Trunks {
		tr := a.Trunks[i]
		t.trunks = append(t.trunks, &tr)
		t.byName[tr.Name] = &tr
		if tr.Credentials != nil {
			t.byUser[tr.Credentials.User] = &tr
		}
	}
	for i := range a.Accounts {
		acc := a.Accounts[i]
		t.accounts[acc.User] = &acc
	}
	for _, tr := range t.byUser {
		if tr.byPasswordAlone() {
			t.callers = t.callers.and(tr.Credentials.Algorithm)
		}
	}
	t.anybody = len(t.accounts)+len(t.byUser) > 0
	t.decoys = newDecoys(t)
	return t
}

// trunkAt is the trunk with the longest prefix that holds addr, of those that need
// no certificate.
func (t *accessTable) trunkAt(addr netip.Addr) *Trunk {
	var best *Trunk
	bits := -1
	for _, tr := range t.trunks {
		if tr.TLSName != "" {
			continue
		}
		for _, p := range tr.Addresses {
			if p.Contains(addr) && p.Bits() > bits {
				best, bits = tr, p.Bits()
			}
		}
	}
	return best
}

// byPasswordAlone tells of a trunk that may call from anywhere.
func (t *Trunk) byPasswordAlone() bool {
	return t.Credentials != nil && len(t.Addresses) == 0 && t.TLSName == ""
}

// credentialsOf looks a digest user up among accounts and trunks.
func (t *accessTable) credentialsOf(user string) (c *Credentials, acc *Account, tr *Trunk) {
	if a, ok := t.accounts[user]; ok {
		return &a.Credentials, a, nil
	}
	if tr, ok := t.byUser[user]; ok {
		return tr.Credentials, nil, tr
	}
	return nil, nil, nil
}

func sourceAddr(req *gosip.Request) netip.AddrPort {
	ap, err := netip.ParseAddrPort(req.Source())
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// admitInvite decides who is calling. When nobody is let in it has answered
// already (401, 403) and ok is false.
func (s *Stack) admitInvite(req *gosip.Request, tx *transaction) (tr *Trunk, user string, ok bool) {
	table := s.access.Load()
	named := table.trunkNamed(tx.by.conn)
	at := named
	if at == nil {
		at = table.trunkAt(sourceAddr(req).Addr())
	}
	if at != nil && named == nil && s.reg.knows(sourceAddr(req)) {
		// A phone that registered from the very address and port shares its
		// machine with the trunk (a demo, a test, a NAT): it calls as an agent.
		at = nil
	}
	if at != nil && at.Credentials == nil {
		return at, "", true
	}
	var offer Algorithm
	switch {
	case at != nil:
		offer = at.Credentials.Algorithm
	case table.anybody:
		offer = s.offerAt(tx, table.offerToCaller(req.From().Address.User))
	default:
		s.obs.Refused("unknown_source")
		s.refuse(req, tx, 403, "Forbidden")
		return nil, "", false
	}
	user, ok = s.authenticate(req, tx, offer)
	if !ok {
		return nil, "", false
	}
	_, acc, byDigest := table.credentialsOf(user)
	switch {
	case at != nil && byDigest == at:
		return at, user, true
	case at == nil && acc != nil:
		return nil, user, true
	case at == nil && byDigest != nil && byDigest.byPasswordAlone():
		return byDigest, user, true
	default:
		s.obs.Refused("unknown_source")
		s.respond(req, tx, 403, "Forbidden")
		return nil, "", false
	}
}
