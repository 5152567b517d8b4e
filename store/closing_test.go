package store

import (
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/souk-market/souk/internal/market"
)

// TestClosingDuringACheck: a check under way ends when the database is closed, and the
// database is closed when it has ended.
func TestClosingDuringACheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, err := Open(Options{Dir: "db", FS: vfs.NewMem(), Fatal: func(err error) { t.Error(err) }})
		if err != nil {
			t.Fatal(err)
		}
		putEvent(t, db, "a", "")
		closed := make(chan error, 1)
		_, err = db.Check(t.Context(), CheckOptions{Digest: true, Total: func(int) {
			go func() { closed <- db.Close() }()
			synctest.Wait()
		}})
		if !market.Is(err, market.Unavailable) {
			t.Errorf("the check ends with %v, want that the store is closed", err)
		}
		if err := <-closed; err != nil {
			t.Errorf("closing: %v", err)
		}
	})
}
