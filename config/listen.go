package config

import (
	"path"
	"slices"
	"strings"
)

// socketOf is the kind of socket under a transport: two listeners can't share one.
func socketOf(network string) string {
	if network == "udp" {
		return "udp"
	}
	return "tcp"
}

// listenTLS finds what a listener needs for its transport, or has no use for.
func (c *checker) listenTLS(i int, l Listen) {
	at := func(field string) string { return index("sip.listen", i, field) }
	if c.bad[at("network")] {
		return
	}
	secure, web := l.Network == "tls" || l.Network == "wss", l.Network == "ws" || l.Network == "wss"
	switch {
	case secure && (l.Certificate == "" || l.Key == "") && !c.bad[at("certificate")] && !c.bad[at("key")]:
		c.wrong(at(""), "add certificate: cert.pem and key: key.pem", "a %s listener needs a certificate and its key", l.Network)
	case !secure && l.Certificate+l.Key+l.ClientCA != "":
		c.wrong(at("network"), "write network: tls, or wss for browsers", "a %s listener has no use for a certificate", l.Network)
	case l.ClientCertificate == "require" && l.ClientCA == "" && !c.bad[at("client_ca")]:
		c.wrong(at("client_certificate"), "add client_ca: ca.pem", "client certificates are required, but no authority for them is named")
	}
	if !web && len(l.Origins) > 0 {
		c.wrong(at("origins"), "leave them out, or write network: wss", "a %s listener has no use for origins", l.Network)
	}
	for j, o := range l.Origins {
		if _, err := path.Match(o, ""); err != nil || o == "*" || strings.HasSuffix(o, "/") {
			c.wrong(index(at("origins"), j, ""), "write a host such as desk.example.com or *.example.com", "origin %s is no host", quote(o))
		}
	}
}

// tlsName finds names that no certificate can prove here.
func (c *checker) tlsName(i int, t Trunk) {
	at := index("trunks", i, "tls_name")
	if t.TLSName == "" || c.bad[at] || c.bad["sip.listen"] {
		return
	}
	if !isHost(t.TLSName) {
		c.wrong(at, "write the domain in its certificate, such as sip.example.com", "tls_name %s is no host", quote(t.TLSName))
		return
	}
	if !slices.ContainsFunc(c.cfg.SIP.Listen, func(l Listen) bool { return l.Network == "tls" && l.ClientCA != "" }) {
		c.wrong(at, "add client_ca: ca.pem to a listener with network: tls", "no listener asks for the certificate of trunk %s", t.Name)
	}
}
