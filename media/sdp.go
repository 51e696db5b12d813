package media

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
)

var (
	// ErrNoCommonCodec says that the peer offers or answers no active audio stream over
	// RTP with a codec of ours. The call should be refused with 488.
	ErrNoCommonCodec = errors.New("no audio stream in a common codec")

	// ErrBadSDP says that the peer's SDP can't be understood. The request should be refused
	// with 400 or 488.
	ErrBadSDP = errors.New("unusable SDP")
)

// maxSDP bounds a session description; real ones stay below 4 kB.
const maxSDP = 64 << 10

// direction is which way sound flows, as two bits, from the point of view of who says it.
type direction uint8

const (
	inactive direction = 0
	sendOnly direction = 1
	recvOnly direction = 2
	sendRecv direction = sendOnly | recvOnly
)

var directionNames = [...]string{"inactive", "sendonly", "recvonly", "sendrecv"}

func (d direction) String() string { return directionNames[d&sendRecv] }

// mirror gives the same direction from the other side (RFC 3264 section 6.1).
func (d direction) mirror() direction { return d>>1&1 | d&1<<1 }

// format is a payload type with what it carries.
type format struct {
	payload uint8
	codec   Codec // may be event
}

// remoteMedia is the audio stream that a peer's SDP describes.
type remoteMedia struct {
	index     int // of its m-line
	formats   []format
	dir       direction      // the peer's; 0.0.0.0 takes its recvonly away (RFC 3264 section 8.4)
	rtp, rtcp netip.AddrPort // rtp.Addr() may be unspecified: hold
	packing   packing
	mux       bool // reports go by the RTP port
	metrics   bool // reports shall hold VoIP metrics

	protos  []string  // of the m= line
	savp    bool      // the m= line wants SRTP
	cryptos []sdesKey // the peer's keys that we can use

	dtls        bool // keys come by DTLS
	fingerprint fingerprint
	setup       string // "actpass", "active" or "passive"
	ufrag       string // of ICE; "" without, or when the peer is lite too
	mid, bundle string

	// What was decided: how the stream is carried, with which keys.
	kind        Security
	client      bool // we begin the handshake
	crypto, own sdesKey
}

// held tells whether the peer has put us on hold: it doesn't want to hear us.
func (m *remoteMedia) held() bool { return m.dir&recvOnly == 0 }

// find gives the payload type of a codec, the first one listed.
func (m *remoteMedia) find(c Codec) (format, bool) {
	i := slices.IndexFunc(m.formats, func(f format) bool { return f.codec == c })
	if i < 0 {
		return format{}, false
	}
	return m.formats[i], true
}

// extras are the payload types that go beside voice: telephone-event and comfort noise.
func (m *remoteMedia) extras() (beside []format) {
	for _, c := range []Codec{event, noise} {
		if f, ok := m.find(c); ok {
			beside = append(beside, f)
		}
	}
	return beside
}

// packingOf reads ptime and maxptime (RFC 4566 section 6). Lengths that phones don't have are
// ignored: packets of 20 ms suit everybody.
func packingOf(m *sdp.MediaDescription) (p packing) {
	const perMs = clockRate / 1000
	value := func(key string) int {
		text, _ := m.Attribute(key)
		ms, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || ms < 10 || ms > 1000 {
			return 0
		}
		return ms / 10 * 10 * perMs
	}
	p.most = value("maxptime")
	if size := value("ptime"); size <= 60*perMs {
		p.size = size
	}
	if p.most != 0 && p.size > p.most {
		p.size = p.most
	}
	return p
}

func parseSDP(raw []byte) (*sdp.SessionDescription, error) {
	if len(raw) > maxSDP {
		return nil, fmt.Errorf("%w: %d bytes; at most %d are read", ErrBadSDP, len(raw), maxSDP)
	}
	if !bytes.HasPrefix(raw, []byte("v=0")) {
		return nil, fmt.Errorf("%w: it does not begin with v=0", ErrBadSDP)
	}
	session := new(sdp.SessionDescription)
	if err := session.Unmarshal(raw); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrBadSDP, err)
	}
	return session, nil
}

// activeAudio finds the audio stream to use: one that is not refused, shares a codec with us and
// passes judge; the first encrypted one, else the first.
func activeAudio(session *sdp.SessionDescription, judge func(*remoteMedia) error) (best *remoteMedia, err error) {
	err = ErrNoCommonCodec
	for i, m := range session.MediaDescriptions {
		if m.MediaName.Media != "audio" || m.MediaName.Port.Value == 0 || !carries(m.MediaName.Protos) {
			continue
		}
		formats := knownFormats(m)
		if !slices.ContainsFunc(formats, func(f format) bool { return f.codec.voice() }) {
			continue
		}
		r, wrong := describe(session, m, i, formats)
		if wrong == nil {
			wrong = judge(r)
		}
		switch {
		case wrong != nil && err == ErrNoCommonCodec:
			err = wrong
		case wrong == nil && (best == nil || best.kind == Plain && r.kind != Plain):
			best = r
		}
	}
	if best != nil {
		return best, nil
	}
	return nil, err
}

// carries tells whether we know a transport of m= lines.
func carries(protos []string) bool {
	switch strings.Join(protos, "/") {
	case "RTP/AVP", "RTP/AVPF", "RTP/SAVP", "RTP/SAVPF", "UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVPF":
		return true
	}
	return false
}

func describe(session *sdp.SessionDescription, m *sdp.MediaDescription, index int, formats []format) (*remoteMedia, error) {
	port := m.MediaName.Port.Value
	if port < 0 || port > 0xFFFF {
		return nil, fmt.Errorf("%w: port %d in m=audio", ErrBadSDP, port)
	}
	connection := m.ConnectionInformation
	if connection == nil {
		connection = session.ConnectionInformation
	}
	addr, err := connectionAddr(connection)
	if err != nil {
		return nil, err
	}
	r := &remoteMedia{index: index, formats: formats, dir: streamDirection(session, m)}
	r.rtp = netip.AddrPortFrom(addr, uint16(port))
	r.packing, r.metrics = packingOf(m), wantsMetrics(session, m)
	r.protos, r.cryptos = m.MediaName.Protos, cryptos(m)
	r.savp = strings.HasPrefix(r.protos[len(r.protos)-1], "SAVP")
	r.readDTLS(session, m)
	if addr.IsUnspecified() && r.ufrag == "" { // with ICE it says that candidates tell where
		r.dir &^= recvOnly
	}
	if _, r.mux = m.Attribute("rtcp-mux"); r.mux {
		r.rtcp = r.rtp
		return r, nil
	}
	r.rtcp, err = reportAddr(m, r.rtp)
	return r, err
}

func connectionAddr(c *sdp.ConnectionInformation) (netip.Addr, error) {
	if c == nil || c.Address == nil {
		return netip.Addr{}, fmt.Errorf("%w: no c= line for the audio stream", ErrBadSDP)
	}
	addr, err := netip.ParseAddr(c.Address.Address)
	if err != nil || addr.IsMulticast() {
		return netip.Addr{}, fmt.Errorf("%w: c= line must hold a unicast IP address", ErrBadSDP)
	}
	return addr.Unmap().WithZone(""), nil
}

// reportAddr gives where reports go: the port after RTP's, or what a=rtcp says (RFC 3605).
func reportAddr(m *sdp.MediaDescription, rtp netip.AddrPort) (netip.AddrPort, error) {
	value, ok := m.Attribute("rtcp")
	if !ok {
		return netip.AddrPortFrom(rtp.Addr(), rtp.Port()+1), nil
	}
	fields := strings.Fields(value)
	if len(fields) != 1 && len(fields) != 4 {
		return netip.AddrPort{}, fmt.Errorf("%w: a=rtcp needs a port, or a port and an address", ErrBadSDP)
	}
	port, err := strconv.ParseUint(fields[0], 10, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%w: a=rtcp names no port", ErrBadSDP)
	}
	addr := rtp.Addr()
	if len(fields) == 4 {
		if addr, err = netip.ParseAddr(fields[3]); err != nil || addr.IsMulticast() {
			return netip.AddrPort{}, fmt.Errorf("%w: a=rtcp must hold a unicast IP address", ErrBadSDP)
		}
	}
	return netip.AddrPortFrom(addr.Unmap().WithZone(""), uint16(port)), nil
}

// streamDirection is the stream's own attribute, else the session's, else sendrecv.
func streamDirection(session *sdp.SessionDescription, m *sdp.MediaDescription) direction {
	for _, attributes := range [][]sdp.Attribute{m.Attributes, session.Attributes} {
		for _, a := range attributes {
			if i := slices.Index(directionNames[:], a.Key); i >= 0 {
				return direction(i)
			}
		}
	}
	return sendRecv
}

// knownFormats lists the payload types we can use in the peer's order, as rtpmap names them or,
// without rtpmap, as RFC 3551 assigns them.
func knownFormats(m *sdp.MediaDescription) []format {
	var known []format
	for _, text := range m.MediaName.Formats {
		pt, err := strconv.ParseUint(text, 10, 7)
		if err != nil {
			continue
		}
		if c := formatCodec(m, text); c != 0 {
			known = append(known, format{uint8(pt), c})
		}
	}
	return known
}

func formatCodec(m *sdp.MediaDescription, payload string) Codec {
	for _, a := range m.Attributes {
		if a.Key != "rtpmap" {
			continue
		}
		if pt, encoding, ok := strings.Cut(a.Value, " "); ok && pt == payload {
			return encodingCodec(strings.TrimSpace(encoding))
		}
	}
	switch payload {
	case "0":
		return PCMU
	case "8":
		return PCMA
	case "9":
		return G722
	case "13":
		return noise
	}
	return 0
}

func encodingCodec(encoding string) Codec {
	encoding = strings.TrimSuffix(encoding, "/1") // one channel, which is the default
	for _, c := range []Codec{PCMA, PCMU, G722, event, noise} {
		if strings.EqualFold(encoding, c.String()+"/8000") {
			return c
		}
	}
	return 0
}

// localMedia is what we say in an SDP of ours.
type localMedia struct {
	session, version uint64
	rtp              netip.AddrPort
	formats          []format
	dir              direction
	mux              bool
	metrics          bool
	protos           []string
	cryptos          []sdesKey
	browser          *browserMedia // nil: keys don't come by DTLS
}

// description renders the session; streams are its m-lines.
func (l *localMedia) description(streams []*sdp.MediaDescription) ([]byte, error) {
	family := "IP4"
	if l.rtp.Addr().Is6() {
		family = "IP6"
	}
	addr := l.rtp.Addr().String()
	d := sdp.SessionDescription{
		Origin: sdp.Origin{
			Username: "-", SessionID: l.session, SessionVersion: l.version,
			NetworkType: "IN", AddressType: family, UnicastAddress: addr,
		},
		SessionName: "-",
		ConnectionInformation: &sdp.ConnectionInformation{
			NetworkType: "IN", AddressType: family, Address: &sdp.Address{Address: addr},
		},
		TimeDescriptions:  []sdp.TimeDescription{{}},
		MediaDescriptions: streams,
	}
	l.browser.session(&d)
	return d.Marshal()
}

// stream renders our audio stream.
func (l *localMedia) stream() *sdp.MediaDescription {
	m := &sdp.MediaDescription{MediaName: sdp.MediaName{
		Media: "audio", Port: sdp.RangedPort{Value: int(l.rtp.Port())}, Protos: l.protos,
	}}
	for _, f := range l.formats {
		pt := strconv.Itoa(int(f.payload))
		m.MediaName.Formats = append(m.MediaName.Formats, pt)
		m.WithValueAttribute("rtpmap", fmt.Sprintf("%s %s/%d", pt, f.codec, clockRate))
		if f.codec == event {
			m.WithValueAttribute("fmtp", pt+" 0-15")
		}
	}
	m.WithValueAttribute("ptime", strconv.Itoa(int(ptime.Milliseconds())))
	for _, c := range l.cryptos {
		m.WithValueAttribute("crypto", c.attribute())
	}
	l.browser.stream(m, l.rtp)
	if l.mux {
		m.WithPropertyAttribute("rtcp-mux")
	}
	if l.metrics {
		m.WithValueAttribute("rtcp-xr", xrMetrics)
	}
	return m.WithPropertyAttribute(l.dir.String())
}

// answerStreams answers each m-line of the offer in its place: ours for the accepted one, all
// others refused with port 0 (RFC 3264 section 6).
func (l *localMedia) answerStreams(offer *sdp.SessionDescription, accepted int) []*sdp.MediaDescription {
	streams := make([]*sdp.MediaDescription, len(offer.MediaDescriptions))
	for i, m := range offer.MediaDescriptions {
		if i == accepted {
			streams[i] = l.stream()
			continue
		}
		streams[i] = &sdp.MediaDescription{MediaName: sdp.MediaName{
			Media: m.MediaName.Media, Protos: m.MediaName.Protos, Formats: m.MediaName.Formats,
		}}
	}
	return streams
}
