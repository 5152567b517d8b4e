package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// Garbage allowed before it is collected, in percent of the memory in use. Most of that is
// the store's, in large pieces that stay and cost the collector nothing; Go would let
// garbage grow as large.
const (
	leastGarbage  = 30 // while serving: 10 minutes of load over 30,000 agents leave 241 MB resident, 259 at 40
	mostGarbage   = 50 // what is in use may double in the second before it is looked at again
	importGarbage = 70
)

// roomyHeap is how large a server's heap may grow with garbage, in bytes, where leastGarbage
// wouldn't let it: it is what the load that leastGarbage was measured under needs.
const roomyHeap = 150 << 20

// limitGarbage bounds garbage, unless the environment does.
func limitGarbage(percent int) {
	if !garbageIsSet() {
		debug.SetGCPercent(percent)
	}
}

func garbageIsSet() bool { return os.Getenv("GOGC") != "" }

// paceGarbage lets a server have the garbage that its heap has room for, so that it collects
// less often until leastGarbage is what there is room for.
func paceGarbage(ctx context.Context) error {
	if garbageIsSet() {
		return nil
	}
	again := time.NewTicker(time.Second)
	defer again.Stop()
	for allowed := leastGarbage; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
		}
		if percent := roomForGarbage(heapInUse()); percent != allowed {
			allowed = percent
			debug.SetGCPercent(percent)
		}
	}
}

// roomForGarbage is the garbage to allow where so many bytes are in use, in percent of
// them, in steps of ten.
func roomForGarbage(inUse uint64) int {
	room := (roomyHeap - int64(inUse)) * 100 / max(int64(inUse), 1)
	return int(min(max(room/10*10, leastGarbage), mostGarbage))
}

// heapInUse is what the last collection found in use, in bytes.
func heapInUse() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
