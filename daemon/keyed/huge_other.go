//go:build !linux

package keyed

func wantHuge([]bucket) {}
