package media

import (
	"slices"
	"sync"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
)

// maxTag is what SRTP and SRTCP add to a packet at most: a tag of 16 bytes, and the index of SRTCP.
const maxTag = 16 + 4

// opener decrypts what a leg receives (RFC 3711). Packets that it can't open are none of the peer's.
type opener struct {
	mu sync.Mutex
	// try are the keys in force, the newest first. When one that is new opens a voice packet, the
	// peer has changed over and the others end. Empty: the keys aren't known yet.
	try   []*srtp.Context
	from  sdesKey
	hdr   rtp.Header // parsed into, so that parsing allocates nothing
	spare []byte     // a copy of what one key may spoil; nil until needed

	bad uint64 // packets that no key opened, or that came twice
}

// rekey puts another key of the peer's in force; what was sent with the old one is still opened. ssrc
// is the peer's stream: whether its rollover counter goes on or begins anew is told by its first packet
// (RFC 3711 section 3.3.1 says that it goes on; many phones begin anew).
func (o *opener) rekey(from sdesKey, ssrc uint32) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.try) > 0 && o.from.equal(from) {
		return nil
	}
	fresh, err := from.context()
	if err != nil {
		return err
	}
	try := []*srtp.Context{fresh}
	if len(o.try) > 0 {
		old := o.try[len(o.try)-1] // newer ones that nothing came with yet know no counter
		if roc, ok := old.ROC(ssrc); ok && roc > 0 {
			running, err := from.context()
			if err != nil {
				return err
			}
			running.SetROC(ssrc, roc)
			try = append(try, running)
		}
		try = append(try, old)
	}
	o.try, o.from = try, from
	return nil
}

// open decrypts an RTP packet in place.
func (o *opener) open(data []byte) (plain []byte, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	plain, i := o.with(data, func(c *srtp.Context, data []byte) ([]byte, error) { return c.DecryptRTP(data, data, &o.hdr) })
	if i >= 0 && i < len(o.try)-1 {
		o.try = slices.Clone(o.try[i : i+1])
	}
	return plain, i >= 0
}

// openReport decrypts an RTCP packet in place.
func (o *opener) openReport(data []byte) (plain []byte, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	plain, i := o.with(data, func(c *srtp.Context, data []byte) ([]byte, error) { return c.DecryptRTCP(data, data, nil) })
	return plain, i >= 0
}

// with tells which key has opened the packet, -1 for none.
func (o *opener) with(data []byte, decrypt func(*srtp.Context, []byte) ([]byte, error)) (plain []byte, key int) {
	if len(o.try) > 1 {
		o.spare = append(o.spare[:0], data...)
	}
	for i, c := range o.try {
		if i > 0 {
			data = data[:copy(data, o.spare)]
		}
		if plain, err := decrypt(c, data); err == nil {
			return plain, i
		}
	}
	o.bad++
	return nil, -1
}

func (o *opener) unauthentic() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.bad
}

// sealer encrypts what a leg sends. Guarded by the sender's lock.
type sealer struct {
	context *srtp.Context
	with    sdesKey
	hdr     rtp.Header
	buf     [rtpHeader + maxPayload + maxTag]byte // packets are made on the stack and can't be lent out
}

func newSealer(with sdesKey) (*sealer, error) {
	c, err := with.context()
	if err != nil {
		return nil, err
	}
	return &sealer{context: c, with: with}, nil
}

// seal returns the packet encrypted; it is valid until the next call.
func (s *sealer) seal(packet []byte) ([]byte, error) {
	n := copy(s.buf[:], packet)
	return s.context.EncryptRTP(s.buf[:n], s.buf[:n], &s.hdr)
}

// sealReport likewise.
func (s *sealer) sealReport(compound []byte) ([]byte, error) {
	return s.context.EncryptRTCP(nil, compound, nil)
}
