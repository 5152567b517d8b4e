package main

import (
	"runtime"
	"testing"
)

func TestRoomForGarbage(t *testing.T) {
	for _, c := range []struct {
		inUse uint64
		want  int
	}{
		{0, 50}, {20 << 20, 50}, {100 << 20, 50}, {105 << 20, 40}, {110 << 20, 30}, {150 << 20, 30}, {4 << 30, 30},
	} {
		if got := roomForGarbage(c.inUse); got != c.want {
			t.Errorf("with %d MiB in use, %d %% of garbage; want %d", c.inUse>>20, got, c.want)
		}
	}
}

// What is in use is known by the name that it is asked for.
func TestHeapInUse(t *testing.T) {
	held := make([]byte, 64<<20)
	runtime.GC()
	if with := heapInUse(); with < 64<<20 {
		t.Errorf("%d bytes in use, of which %d are held here", with, len(held))
	}
	runtime.KeepAlive(held)
}
