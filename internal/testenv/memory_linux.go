package testenv

import (
	"flag"
	"os"
	"syscall"
	"testing"
)

// memory is where Linux has a file system in memory.
const memory = "/dev/shm"

// memoryNeeded is what must be free there, in bytes: several times what tests write.
const memoryNeeded = 4 << 30

// InMemory runs a package's tests with their temporary directories in memory, where there is
// room: most of their time would go into waiting for a disk, which shows nothing, because
// no test takes the machine's power away. Benchmarks stay on the disk, and so do all when
// TMPDIR is set. Nothing that is put there can be executed on some machines.
func InMemory(m *testing.M) (code int) {
	flag.Parse()
	var fs syscall.Statfs_t
	if os.Getenv("TMPDIR") != "" || flag.Lookup("test.bench").Value.String() != "" ||
		syscall.Statfs(memory, &fs) != nil || fs.Bavail*uint64(fs.Bsize) < memoryNeeded {
		return m.Run()
	}
	dir, err := os.MkdirTemp(memory, "souk-test-")
	if err != nil {
		return m.Run()
	}
	defer os.RemoveAll(dir)
	os.Setenv("TMPDIR", dir)
	return m.Run()
}
