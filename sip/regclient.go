package sip

import (
	"context"
	"fmt"
	"strconv"
	"time"

	gosip "github.com/emiago/sipgo/sip"
)

// Register sends one REGISTER for cred.User to the registrar (a SIP URI such as
// "sip:127.0.0.1:5060"), answering its challenge, and returns the life granted.
// A life of 0 removes the binding. It blocks for at most Timer F, 32 s, or until
// ctx ends.
func (s *Stack) Register(ctx context.Context, registrar string, cred Credentials, life time.Duration) (time.Duration, error) {
	to, err := s.ContactTo(registrar)
	if err != nil {
		return 0, err
	}
	req := gosip.NewRequest(gosip.REGISTER, to.uri)
	s.address(req, to.bind, to.Network, "")
	aor := gosip.Uri{Scheme: "sip", User: cred.User, Host: to.uri.Host, Port: to.uri.Port}
	from := &gosip.FromHeader{Address: aor}
	from.Params.Add("tag", gosip.GenerateTagN(16))
	req.AppendHeader(from)
	req.AppendHeader(&gosip.ToHeader{Address: *aor.Clone()})
	id := gosip.CallIDHeader(gosip.GenerateTagN(24))
	req.AppendHeader(&id)
	req.AppendHeader(&gosip.CSeqHeader{SeqNo: newSeq(), MethodName: gosip.REGISTER})
	s.common(req, to.bind)
	req.Contact().Address.User = cred.User
	req.AppendHeader(gosip.NewHeader("Expires", strconv.Itoa(int(life/time.Second))))

	res, err := s.send(ctx, req)
	if err != nil {
		return 0, err
	}
	if res.StatusCode == 401 || res.StatusCode == 407 {
		again := req.Clone()
		again.RemoveHeader("Via")
		if !authorise(again, res, cred) {
			return 0, fmt.Errorf("register %s: no challenge of %d can be answered with the algorithm configured", cred.User, res.StatusCode)
		}
		s.address(again, to.bind, to.Network, "")
		again.CSeq().SeqNo++
		if res, err = s.send(ctx, again); err != nil {
			return 0, err
		}
	}
	if res.StatusCode != 200 {
		return 0, fmt.Errorf("register %s: %d %s", cred.User, res.StatusCode, res.Reason)
	}
	granted := life
	for _, h := range res.GetHeaders("Contact") {
		if c, ok := h.(*gosip.ContactHeader); ok && c.Address.Host == req.Contact().Address.Host && c.Address.Port == req.Contact().Address.Port {
			if v, ok := c.Params.Get("expires"); ok {
				if d, err := seconds(v); err == nil {
					granted = d
				}
			}
		}
	}
	return granted, nil
}
