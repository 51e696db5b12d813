package main

import "time"

// mediaOptions say how much is measured.
type mediaOptions struct {
	small, large int // calls at once
	span         time.Duration
	repeat       int
	clean        bool
	only         string
	fill         bool // tell what the whole machine took
}
