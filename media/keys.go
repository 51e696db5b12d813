package media

import "time"

// KeysBy sets another way by which keys reach the peer than events beside the sound (RFC 4733): those
// are neither offered nor taken then, and send gets each key that whom the leg is bridged with presses.
// It must not block or use the leg. Call it before the first Offer or Answer, or before SetAnswer when
// only the answer tells who the peer is.
func (l *Leg) KeysBy(send func(key byte)) { l.keysBy.Store(&send) }

// beside are the payload types beside voice that the leg takes of the peer's.
func (l *Leg) beside(remote *remoteMedia) []format {
	extras := remote.extras()
	if l.keysBy.Load() == nil {
		return extras
	}
	var out []format
	for _, f := range extras {
		if f.codec != event {
			out = append(out, f)
		}
	}
	return out
}

// tellPeer gives a key to a bridged leg that sends keys by another way. The leg's lock is held.
func (l *Leg) tellPeer(key byte) {
	if peer := l.peer.Load(); peer != nil {
		if send := peer.keysBy.Load(); send != nil {
			(*send)(key)
		}
	}
}

// passedPress is how long a key is held whose own length isn't known.
const passedPress = 160 * time.Millisecond

// passOn sends a key that came without a packet as events of a bridged leg; those of packets are
// relayed. The leg's lock isn't held.
func (l *Leg) passOn(key byte) {
	if peer := l.peer.Load(); peer != nil && peer.keysBy.Load() == nil {
		_ = peer.SendDigit(key, passedPress) // a peer without events hears nothing
	}
}
