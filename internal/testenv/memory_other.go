//go:build !linux

package testenv

import "testing"

// InMemory runs a package's tests, on the disk.
func InMemory(m *testing.M) (code int) { return m.Run() }
