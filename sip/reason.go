package sip

import (
	gosip "github.com/emiago/sipgo/sip"
)

// The reasons that we give with BYE and CANCEL (RFC 3326).
const reasonElsewhere = `SIP;cause=200;text="Call completed elsewhere"`

// endReason is what a BYE or CANCEL says of why.
func endReason(req *gosip.Request) string {
	v, _ := field(req, "Reason")
	return v[:min(len(v), 128)]
}
