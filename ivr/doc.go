// Package ivr is what a caller meets before an agent: flows of prompts, menus and digits, read
// from the YAML of the config, and the interpreter that plays one to one caller.
//
// A flow is a set of named steps. Each step does one thing and says which step is next:
//
//	flows:
//	  main:
//	    start: language            # the first step
//	    time_limit: 10m            # for the whole flow, 10s to 1h; default 10m
//	    too_long: operator         # a queue or hang_up step for when the limit is over; default: hang up
//	    steps:
//	      language:
//	        menu:
//	          prompts: [welcome, choose-language]
//	          wait: 5s             # for a key after the prompts, 1s to 1m; default 5s
//	          tries: 3             # for wrong keys and for no key, each counted alone, 1 to 10; default 3
//	          keys:
//	            "1": {language: zh, next: number}
//	            "2": {language: en, next: number}
//	            "0": operator      # short for {next: operator}
//	          wrong_key: {prompts: [wrong-key], tries: 2, next: operator}  # all optional
//	          no_key: {prompts: [no-key]}
//	          too_many: operator   # where wrong_key and no_key lead without a next of their own
//	      number:
//	        collect:
//	          prompts: [enter-number]
//	          digits: 6..8         # or one number; 1 to 32
//	          end_key: "#"         # "#" (default), "*" or none
//	          wait: 8s             # for the first and for each further digit; default 8s
//	          tries: 3
//	          store: customer_number
//	          next: vip
//	          wrong_input: {prompts: [wrong-key]}   # too few digits, or a key that is none
//	          no_input: {next: vip}
//	          too_many: operator
//	      vip:
//	        branch:                # by tier, language (chosen or known), identified (yes, no) or
//	                               # attestation (A, B, C, none, invalid)
//	          tier: {A1: straight, A2: straight}
//	          else: operator
//	      straight: {play: {prompts: [vip-welcome], barge_in: false, next: operator}}
//	      operator: {queue: {name: operator, prompts: [please-wait]}}  # or {queue: operator}
//	      test:     {echo: {prompts: [welcome], for: 10s, next: bye}}  # what it needs none of: {echo: }
//	      outside:  {dial: {to: "+861085551234", prompts: [please-wait], ring: 30s, next: bye, failed: operator}}
//	      bye:      {hang_up: {prompts: [goodbye]}}                    # or {hang_up: }
//	  closed:
//	    early: 3m                  # heard before the answer, at most so long, 10s to 10m; default: answered at once
//	    start: sorry
//	    steps:
//	      sorry:    {menu: {prompts: [all-busy], keys: {"1": paid}, too_many: no}}
//	      paid:     {answer: {next: operator}}                         # with early only
//	      operator: {queue: operator}
//	      no:       {hang_up: {refuse: 486}}                           # with early only; default 480
//
// A flow with early is heard before the call is answered (183 with SDP), which costs the caller
// nothing. It is answered by an answer step, when an agent or whom a dial step rings answers, or
// when that time is over, as networks end a call that is early for long. A call that ends before
// is refused, by a hang_up step with the status under refuse. Not every trunk passes on what is
// heard early, or keys: try it.
//
// An echo is for test calls: after its prompts, if any, a second of 1004 Hz at -10 dBm0, and then
// the caller hears what he says for 1s to 1m, default 10s; without a next step the call ends.
//
// A dial connects the caller with a number, which the flow needs a right to, or with an agent's
// extension. It rings for 5s to 3m, default 30s. Behind the talk the flow goes on at next, or ends
// without one; busy, no_answer and refused (there, or for want of a right, a place or minutes)
// lead elsewhere, each by its own name or all by failed. The flow's time limit begins anew behind
// the talk.
//
// A key stops the prompts of menu, collect and play at once (play: unless barge_in is false) and
// is used by the next step that wants keys. After a wrong key what else was typed ahead is
// forgotten. Prompts sound in the caller's language; before one is chosen or known, in Chinese
// and then in English. A menu or collect step with pause_recording: true pauses the recording
// of the call while it asks.
package ivr
