//go:build !linux

package main

import (
	"errors"
	"time"
)

var errNotLinux = errors.New("media is measured on Linux only")

func soak(time.Duration, int) error               { return errNotLinux }
func mediaCost(mediaOptions) error                { return errNotLinux }
func fillCore() error                             { return errNotLinux }
func bareRelay(string, int, string, string) error { return errNotLinux }
