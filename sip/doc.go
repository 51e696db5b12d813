// Package sip is the SIP front end: transports, trunks, the registrar for
// agents, digest authentication, and the INVITE dialogs ("legs") of callers and
// agents.
//
// Client transactions and the parser are emiago/sipgo's; server transactions, the dialog layer,
// the rules who may do what, and the cures for what sipgo leaves open are ours.
// No other package of the project sees sipgo.
//
// A [Stack] is one user agent with its listeners. An incoming INVITE becomes a
// [Leg] that is handed to its owner by [Handlers.Invite]; an outgoing one is a
// [Dialing] that ends with a Leg or with the reason why there is none.
package sip
