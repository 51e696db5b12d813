package media

import (
	"math/rand/v2"

	"github.com/pion/rtcp"
)

// past is what a sender has sent under an SSRC that it had to give up.
type past struct {
	renamed         bool
	packets, octets uint64
}

// compare notes that the peer sends with our SSRC (RFC 3550 section 8.2). What others send never gets here.
func (l *Leg) compare(ssrc uint32) {
	s := &l.sender
	s.mu.Lock()
	same := ssrc == s.hdr.SSRC && !s.past.renamed
	s.mu.Unlock()
	if same {
		l.collides.Store(true)
	}
}

// rename takes another SSRC and says goodbye to the one before. It happens once: who uses the next one, too,
// sends back what we send.
func (l *Leg) rename() {
	l.collides.Store(false)
	old, used, ok := l.sender.rename()
	if !ok {
		return
	}
	l.log.Info("the peer uses our SSRC: we take another one")
	if used {
		l.sendCompound([]rtcp.Packet{
			&rtcp.ReceiverReport{SSRC: old}, rtcp.NewCNAMESourceDescription(old, l.engine.cname), &rtcp.Goodbye{Sources: []uint32{old}},
		})
	}
}

// rename takes another SSRC, once; used tells that packets left with the old one.
func (s *sender) rename() (old uint32, used, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.past.renamed {
		return 0, false, false
	}
	s.takeBack()
	old = s.hdr.SSRC
	for s.hdr.SSRC == old {
		s.hdr.SSRC = rand.Uint32()
	}
	s.past = past{true, s.packets, s.octets}
	s.last = fromNothing
	return old, s.packets > 0, true
}
