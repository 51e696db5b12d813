// Package metrics counts what the hotline does, for Prometheus. No other package of the project
// sees client_golang.
//
// Every figure about calls comes from the routing decisions, as the call records do, so that
// metrics and records can't disagree. A call is counted when it ends, with all its parts at once:
// in hotline_calls_offered_total, in hotline_calls_total by outcome and, if it was answered or
// abandoned, in the histogram of its waits. So at every scrape the exits of a tier and queue equal
// its entries, and a call that still waits or talks is in the gauges alone.
//
// The waits' buckets hold each tier's target. hotline_tier_target_seconds tells them by tier, so
// that the recording rules in rules/ find the bucket that counts for the service level.
//
// All label values come from fixed sets or from the config; what a peer sends is folded to "other"
// when it is none of the known names.
package metrics
