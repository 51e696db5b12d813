// Package metrics counts what the hotline does, for Prometheus. No other package of the project
// sees client_golang.
//
// Every figure about calls comes from the routing decisions, as the call records do, so that
// metrics and records can't disagree. What became of a call's wait is counted when it is known: when
// the talk begins, or when the call ends without one. Then hotline_calls_offered_total and the
// histogram of the waits count it together, so that at every scrape the exits of a tier and queue
// equal its entries and the service level doesn't lag behind the talks. hotline_calls_total counts
// the call by outcome when it ends. A call that still waits is in the gauges alone.
//
// The waits' buckets hold each tier's target. hotline_tier_target_seconds tells them by tier, so
// that the recording rules in rules/ find the bucket that counts for the service level.
//
// All label values come from fixed sets or from the config; what a peer sends is folded to "other"
// when it is none of the known names.
package metrics
