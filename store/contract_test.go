package store_test

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/souk-market/souk/store"
	"github.com/souk-market/souk/store/storetest"
)

func TestContractInMemory(t *testing.T) {
	storetest.Contract(t, func(t testing.TB, o store.Options) *store.DB {
		o.FS = vfs.NewMem()
		return storetest.OpenWith(t, o)
	})
}

func TestContractUnderFaults(t *testing.T) {
	seed := uint64(0)
	storetest.Contract(t, func(t testing.TB, o store.Options) *store.DB {
		o.FS = vfs.NewMem()
		if o.Faults == nil {
			seed++
			o.Faults = store.NewFaults(seed)
		}
		return storetest.OpenWith(t, o)
	})
}

func TestContractOnDisk(t *testing.T) {
	storetest.Contract(t, func(t testing.TB, o store.Options) *store.DB {
		o.Dir = t.TempDir()
		return storetest.OpenWith(t, o)
	})
}
