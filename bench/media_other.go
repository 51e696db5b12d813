//go:build !linux

package main

import "errors"

var errNotLinux = errors.New("media is measured on Linux only")

func mediaCost(mediaOptions) error                { return errNotLinux }
func bareRelay(string, int, string, string) error { return errNotLinux }
