package blob

import (
	"os"

	"golang.org/x/sys/unix"
)

// fewPaths is where one sync of the whole filesystem, with whatever else is dirty on
// it, gets cheaper than a sync of each path.
const fewPaths = 8

// barrier waits until a batch's files or folders are on disk. It is opened before the
// batch writes: syncfs(2) reports the write errors since its descriptor was opened.
type barrier struct{ root *os.File }

func openBarrier(dir string) (*barrier, error) {
	root, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	return &barrier{root}, nil
}

func (b *barrier) sync(paths []string) error {
	if len(paths) <= fewPaths {
		return syncEach(paths)
	}
	return os.NewSyscallError("syncfs", unix.Syncfs(int(b.root.Fd())))
}

func (b *barrier) close() { b.root.Close() }
