package main

import (
	"encoding/json"
	"log/slog"
	"net"
	"os"

	"github.com/emiago/sipgo"
	gosip "github.com/emiago/sipgo/sip"
)

// bare is the least that answers calls with sipgo: 100, 200 with a fixed SDP, and 200 to
// BYE; no media, nobody looked up, nothing written. What the hotline costs beyond it is
// the hotline's own.
func bare() error {
	quiet := slog.New(slog.DiscardHandler)
	gosip.SetDefaultLogger(quiet)
	ua, err := sipgo.NewUA(sipgo.WithUserAgentTransactionLayerOptions(gosip.WithTransactionLayerLogger(quiet)),
		sipgo.WithUserAgentTransportLayerOptions(gosip.WithTransportLayerLogger(quiet)))
	if err != nil {
		return err
	}
	srv, err := sipgo.NewServer(ua, sipgo.WithServerLogger(quiet))
	if err != nil {
		return err
	}
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(loopback))
	if err != nil {
		return err
	}
	_ = conn.SetReadBuffer(4 << 20)
	at := conn.LocalAddr().(*net.UDPAddr)
	contact := gosip.ContactHeader{Address: gosip.Uri{Scheme: "sip", User: "bare", Host: "127.0.0.1", Port: at.Port}}
	srv.OnInvite(func(req *gosip.Request, tx gosip.ServerTransaction) {
		_ = tx.Respond(gosip.NewResponseFromRequest(req, 100, "Trying", nil))
		res := gosip.NewResponseFromRequest(req, 200, "OK", []byte(loadSDP))
		res.AppendHeader(&contact)
		res.AppendHeader(gosip.NewHeader("Content-Type", "application/sdp"))
		_ = tx.Respond(res)
		select {
		case <-tx.Acks():
		case <-tx.Done():
		}
	})
	srv.OnAck(func(*gosip.Request, gosip.ServerTransaction) {})
	srv.OnBye(func(req *gosip.Request, tx gosip.ServerTransaction) {
		_ = tx.Respond(gosip.NewResponseFromRequest(req, 200, "OK", nil))
	})
	if err := json.NewEncoder(os.Stdout).Encode(addresses{SIP: at.AddrPort()}); err != nil {
		return err
	}
	go func() { _ = srv.ServeUDP(conn) }()
	untilClosed()
	return conn.Close()
}
