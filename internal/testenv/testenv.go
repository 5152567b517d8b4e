// Package testenv starts the real servers that tests talk to, on loopback and on ports
// of their own, and stops them with the test. It is for tests only.
//
// It leaves installing to people and to .ci/run: a tool that is missing skips the test
// and says how to get it, or fails it where nothing may be skipped.
package testenv

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Binary returns the path of the program called name: from PATH, or else from the
// user's cache directory under souk-testenv/bin. When it is in neither, the test is
// skipped, or fails if SOUK_REQUIRE_TOOLS is 1; howToInstall ends the sentence "to
// install it, …".
func Binary(t testing.TB, name, howToInstall string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	cache, err := os.UserCacheDir()
	if err == nil {
		path, err := exec.LookPath(filepath.Join(cache, "souk-testenv", "bin", name))
		if err == nil {
			return path
		}
	}
	const missing = "%s is neither in PATH nor in the user's cache directory under souk-testenv/bin; to install it, %s"
	if os.Getenv("SOUK_REQUIRE_TOOLS") == "1" {
		t.Fatalf(missing, name, howToInstall)
	}
	t.Skipf(missing, name, howToInstall)
	return ""
}
