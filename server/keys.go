package server

import (
	"hotline/config"
	"hotline/media"
	"hotline/sip"
)

// keysWith has keys travel on a trunk's leg as the trunk wants them; see config.Trunk.DTMF.
func keysWith(l *sip.Leg, m *media.Leg, way string) {
	switch way {
	case config.KeysInfo:
		m.KeysBy(func(key byte) { l.SendDigit(key) })
	case config.KeysEvents:
		l.RefuseDigits()
	}
}
