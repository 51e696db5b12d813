package sip

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// TLSFiles name the PEM files of a TLS listener, or of what connects by TLS. They
// are read again when they change.
type TLSFiles struct {
	// Certificate, with those between it and its authority behind it, and its
	// Key. A listener needs both.
	Certificate, Key string
	// CA are the authorities that a peer's certificate must come from. For a
	// listener "" asks clients for none; for connections of ours "" means the
	// system's authorities.
	CA string
	// Require refuses clients without a certificate; else one is checked if it
	// is given. Only for a listener with CA.
	Require bool
}

// Certificate is one that the stack shows.
type Certificate struct {
	File    string
	Expires time.Time
	// Failures counts the changed files that could not be taken over, since
	// the start.
	Failures int
}

const (
	// watchFiles is how soon a changed file is seen.
	watchFiles = 10 * time.Second
	// warnBefore is when the end of a certificate is logged, once a day.
	warnBefore = 14 * 24 * time.Hour
)

// tlsFile is one set of files and what they hold. What is in use is always whole:
// files that don't fit each other change nothing.
type tlsFile struct {
	files TLSFiles
	log   *slog.Logger
	now   atomic.Pointer[tlsState]

	mu       sync.Mutex
	tried    []byte // content that was tried last
	failures int
	warned   time.Time
}

type tlsState struct {
	config  *tls.Config
	expires time.Time // zero without a certificate
}

// tlsFiles reads what connections of ours need.
func (s *Stack) tlsFiles() (err error) {
	s.client, err = s.openTLS(s.opt.TLS)
	return err
}

func (s *Stack) openTLS(files TLSFiles) (*tlsFile, error) {
	t := &tlsFile{files: files, log: s.log}
	content, err := t.read()
	if err == nil {
		err = t.take(content)
	}
	if err != nil {
		return nil, err
	}
	t.tried = content.all()
	if files != (TLSFiles{}) {
		s.tls = append(s.tls, t)
	}
	return t, nil
}

// serverTLS is the configuration of a listener: each connection gets the
// certificate that is in use then.
func (s *Stack) serverTLS(files TLSFiles) (*tls.Config, error) {
	if files.Certificate == "" || files.Key == "" {
		return nil, errors.New("a certificate and its key are needed")
	}
	if files.Require && files.CA == "" {
		return nil, errors.New("client certificates are required, but no authority for them is named")
	}
	t, err := s.openTLS(files)
	if err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return t.now.Load().config, nil }}, nil
}

// pemFiles is the content of a set of files.
type pemFiles struct{ cert, key, ca []byte }

func (p pemFiles) all() []byte { return bytes.Join([][]byte{p.cert, p.key, p.ca}, []byte{0}) }

func (t *tlsFile) read() (p pemFiles, err error) {
	get := func(name string) []byte {
		if name == "" || err != nil {
			return nil
		}
		var b []byte
		b, err = os.ReadFile(name)
		return b
	}
	p.cert, p.key, p.ca = get(t.files.Certificate), get(t.files.Key), get(t.files.CA)
	return p, err
}

// take puts the content in use, or none of it.
func (t *tlsFile) take(p pemFiles) error {
	st := &tlsState{config: &tls.Config{MinVersion: tls.VersionTLS12}}
	if t.files.Certificate != "" {
		pair, err := tls.X509KeyPair(p.cert, p.key)
		if err != nil {
			return fmt.Errorf("certificate %s with key %s: %w", t.files.Certificate, t.files.Key, err)
		}
		st.config.Certificates = []tls.Certificate{pair}
		st.expires = pair.Leaf.NotAfter
	}
	if t.files.CA != "" {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(p.ca) {
			return fmt.Errorf("%s holds no certificate", t.files.CA)
		}
		st.config.ClientCAs, st.config.RootCAs = pool, pool
		st.config.ClientAuth = tls.VerifyClientCertIfGiven
		if t.files.Require {
			st.config.ClientAuth = tls.RequireAndVerifyClientCert
		}
	}
	t.now.Store(st)
	return nil
}

// dialling is the configuration for a connection to a host of that name.
func (t *tlsFile) dialling(name string) *tls.Config {
	cfg := t.now.Load().config.Clone()
	cfg.ServerName = name
	return cfg
}

// shows tells whether connections of ours show a certificate.
func (t *tlsFile) shows() bool { return len(t.now.Load().config.Certificates) > 0 }

// reload takes changed files over. Files that are wrong are told of once and
// change nothing.
func (t *tlsFile) reload() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	content, err := t.read()
	if err == nil {
		if bytes.Equal(content.all(), t.tried) {
			return nil
		}
		err = t.take(content)
	}
	if err != nil {
		if content.cert == nil || !bytes.Equal(content.all(), t.tried) {
			t.failures++
			t.log.Error("certificate not taken over; the old one stays", "error", err)
		}
		t.tried = content.all()
		return err
	}
	t.tried = content.all()
	t.log.Info("certificate taken over", "file", t.files.Certificate, "expires", t.now.Load().expires)
	return nil
}

// warn tells of a certificate near its end, once a day.
func (t *tlsFile) warn(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	expires := t.now.Load().expires
	if expires.IsZero() || expires.Sub(now) > warnBefore || now.Sub(t.warned) < 24*time.Hour {
		return
	}
	t.warned = now
	t.log.Warn("certificate ends soon", "file", t.files.Certificate, "expires", expires)
}

// ReloadCertificates reads the TLS files again; those that changed are used by
// connections from now on. On an error the files named keep their old content.
// Files are also watched: a change is seen within ten seconds.
func (s *Stack) ReloadCertificates() error {
	var err error
	for _, t := range s.tls {
		err = errors.Join(err, t.reload())
	}
	return err
}

// Certificates lists what the stack shows.
func (s *Stack) Certificates() []Certificate {
	var out []Certificate
	for _, t := range s.tls {
		if t.files.Certificate == "" {
			continue
		}
		t.mu.Lock()
		out = append(out, Certificate{File: t.files.Certificate, Expires: t.now.Load().expires, Failures: t.failures})
		t.mu.Unlock()
	}
	return out
}

func (s *Stack) watchCertificates() {
	tick := time.NewTicker(watchFiles)
	defer tick.Stop()
	for {
		for _, t := range s.tls {
			t.warn(time.Now())
		}
		select {
		case <-tick.C:
			_ = s.ReloadCertificates() // told there
		case <-s.closed:
			return
		}
	}
}

// bearsName tells whether a verified certificate names the SIP domain (RFC 5922
// 7.2): by a URI where it has SIP URIs, else by a DNS name; wildcards don't count.
func bearsName(c *x509.Certificate, name string) bool {
	if c == nil || name == "" {
		return false
	}
	uris := false
	for _, u := range c.URIs {
		if !strings.EqualFold(u.Scheme, "sip") {
			continue
		}
		uris = true
		host := u.Host
		if host == "" {
			host = u.Opaque // sip:example.com has no slashes
		}
		if strings.EqualFold(host, name) { // one with a user part names no domain
			return true
		}
	}
	if uris {
		return false
	}
	for _, d := range c.DNSNames {
		if strings.EqualFold(d, name) {
			return true
		}
	}
	return false
}

// trunkNamed is the trunk that the certificate of a connection names; one with
// addresses must come from there, too.
func (t *accessTable) trunkNamed(c *streamConn) *Trunk {
	if c == nil || c.peer == nil {
		return nil
	}
	for _, tr := range t.trunks {
		if tr.TLSName == "" || !bearsName(c.peer, tr.TLSName) {
			continue
		}
		if len(tr.Addresses) == 0 || tr.holds(addrOf(c.RemoteAddr())) {
			return tr
		}
	}
	return nil
}

// holds tells whether one of the trunk's networks has the address.
func (tr *Trunk) holds(a netip.Addr) bool {
	return slices.ContainsFunc(tr.Addresses, func(p netip.Prefix) bool { return p.Contains(a) })
}
