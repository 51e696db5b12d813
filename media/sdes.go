package media

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
	"github.com/pion/srtp/v3"
)

// suite is a crypto-suite of RFC 4568 section 6.2, RFC 6188 or RFC 7714.
type suite struct {
	name      string
	profile   srtp.ProtectionProfile
	key, salt int // bytes
}

var suites = []suite{
	{"AEAD_AES_128_GCM", srtp.ProtectionProfileAeadAes128Gcm, 16, 12},
	{"AES_CM_128_HMAC_SHA1_80", srtp.ProtectionProfileAes128CmHmacSha1_80, 16, 14},
	{"AEAD_AES_256_GCM", srtp.ProtectionProfileAeadAes256Gcm, 32, 12},
	{"AES_256_CM_HMAC_SHA1_80", srtp.ProtectionProfileAes256CmHmacSha1_80, 32, 14},
	{"AES_CM_128_HMAC_SHA1_32", srtp.ProtectionProfileAes128CmHmacSha1_32, 16, 14},
}

// offeredSuites are what we offer, the preferred one first: the first costs the least where the
// processor has instructions for it, the second is what all phones know.
var offeredSuites = []string{"AEAD_AES_128_GCM", "AES_CM_128_HMAC_SHA1_80", "AEAD_AES_256_GCM", "AES_CM_128_HMAC_SHA1_32"}

func suiteNamed(name string) (suite, bool) {
	i := slices.IndexFunc(suites, func(s suite) bool { return strings.EqualFold(s.name, name) })
	if i < 0 {
		return suite{}, false
	}
	return suites[i], true
}

// sdesKey is one a=crypto attribute (RFC 4568). It must never be logged.
type sdesKey struct {
	tag   string // 1 to 9 digits
	suite suite
	keys  []byte // master key and salt
	mki   []byte // nil: packets carry none
}

func (c sdesKey) equal(o sdesKey) bool {
	return c.suite.name == o.suite.name && bytes.Equal(c.keys, o.keys) && bytes.Equal(c.mki, o.mki)
}

// parseCrypto reads the value of an a=crypto attribute; ok is false when it is wrong or asks for
// what we don't do: then the next attribute counts (RFC 4568 section 5.1.2).
func parseCrypto(value string) (c sdesKey, ok bool) {
	fields := strings.Fields(value)
	if len(fields) < 3 || len(fields[0]) > 9 || strings.Trim(fields[0], "0123456789") != "" {
		return c, false
	}
	if c.suite, ok = suiteNamed(fields[1]); !ok {
		return c, false
	}
	for _, param := range fields[3:] {
		// A hint of the window's size binds nobody; all others change what packets look like.
		if !strings.HasPrefix(param, "WSH=") && !strings.HasPrefix(param, "-") {
			return c, false
		}
	}
	c.tag = fields[0]
	c.keys, c.mki, ok = parseInline(fields[2], c.suite.key+c.suite.salt)
	return c, ok
}

// parseInline reads "inline:KEY|LIFETIME|MKI:LENGTH" with a key of size bytes. Several keys at once are
// not taken.
func parseInline(text string, size int) (keys, mki []byte, ok bool) {
	text, ok = strings.CutPrefix(text, "inline:")
	if !ok || strings.Contains(text, ";") {
		return nil, nil, false
	}
	parts := strings.Split(text, "|")
	keys, err := base64.StdEncoding.DecodeString(parts[0])
	if err != nil {
		keys, err = base64.RawStdEncoding.DecodeString(parts[0])
	}
	if err != nil || len(keys) != size || len(parts) > 3 {
		return nil, nil, false
	}
	if number, length, found := strings.Cut(parts[len(parts)-1], ":"); found && len(parts) > 1 {
		if mki, ok = parseMKI(number, length); !ok {
			return nil, nil, false
		}
		parts = parts[:len(parts)-1]
	}
	if len(parts) == 2 && !isLifetime(parts[1]) || len(parts) > 2 {
		return nil, nil, false
	}
	return keys, mki, true
}

// isLifetime tells whether text is a number of packets, "2^31" or plain. That we keep to it needs no
// counting: the least that phones give lasts for days.
func isLifetime(text string) bool {
	text = strings.TrimPrefix(text, "2^")
	n, err := strconv.ParseUint(text, 10, 48)
	return err == nil && n > 0
}

// parseMKI writes the number in so many bytes, as packets carry it.
func parseMKI(number, length string) ([]byte, bool) {
	n, err := strconv.ParseUint(number, 10, 64)
	size, err2 := strconv.ParseUint(length, 10, 8)
	if err != nil || err2 != nil || size == 0 || size > 128 {
		return nil, false
	}
	mki := make([]byte, size)
	for i := len(mki) - 1; i >= 0; i-- {
		mki[i] = byte(n)
		n >>= 8
	}
	return mki, n == 0
}

// attribute is the crypto as our SDP says it.
func (c sdesKey) attribute() string {
	return fmt.Sprintf("%s %s inline:%s", c.tag, c.suite.name, base64.StdEncoding.EncodeToString(c.keys))
}

// cryptos are the stream's a=crypto attributes that we can use, in the peer's order.
func cryptos(m *sdp.MediaDescription) (list []sdesKey) {
	const most = 16
	for _, a := range m.Attributes {
		if a.Key != "crypto" || len(list) == most {
			continue
		}
		if c, ok := parseCrypto(a.Value); ok {
			list = append(list, c)
		}
	}
	return list
}

// newKeys makes a master key and salt.
func (s suite) newKeys() []byte {
	b := make([]byte, s.key+s.salt)
	rand.Read(b) // never fails
	return b
}

// context makes what encrypts or decrypts with the key.
func (c sdesKey) context() (*srtp.Context, error) {
	const window = 128 // packets; further back they would be too late to be played
	options := []srtp.ContextOption{srtp.SRTPReplayProtection(window), srtp.SRTCPReplayProtection(window)}
	if c.mki != nil {
		options = append(options, srtp.MasterKeyIndicator(c.mki))
	}
	return srtp.CreateContext(c.keys[:c.suite.key], c.keys[c.suite.key:], c.suite.profile, options...)
}
