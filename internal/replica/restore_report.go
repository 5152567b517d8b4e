package replica

import (
	"log/slog"
	"time"

	"github.com/souk-market/souk/store"
)

// Target says to which moment of a history to restore. The zero Target is the newest.
// At most one of TXID, LSN and Time is set. A replica has a file's end now and then, not
// one for each commit: a restore ends with the last end that isn't beyond the target.
type Target struct {
	Generation uint32    // of the first source; 0 is its newest
	TXID       uint64    // the last file of that generation to apply; 0 is all
	LSN        store.LSN // the last commit; 0 is all
	Time       time.Time // what had been shipped by then
}

// past reports whether an earlier moment is asked for than the newest of the newest generation.
func (t Target) past() bool { return t != Target{} }

// RestoreOptions of Restore. The zero value is right.
type RestoreOptions struct {
	Logger *slog.Logger     // nil discards
	Clock  func() time.Time // nil is the machine's clock
	// AllowMissingBlobs restores without the files that no source holds whole;
	// Report.MissingBlobs names them. Without it they are an error.
	AllowMissingBlobs bool
	// Attach makes the directory usable before its data have been downloaded: it reads
	// what it lacks from the sources until Attachment.Finish is done. A snapshot that
	// isn't one of segments is restored in full instead.
	Attach bool
	// Progress, when set, is called with the bytes that are done of how many. The total
	// grows while more becomes known. It is called from one goroutine at a time.
	Progress func(done, total int64)
}

// Report says what a restore did. It is written as JSON by the commands.
type Report struct {
	Generation uint32      `json:"generation"` // of the source that the last file is from
	TXID       uint64      `json:"txid"`       // the last file applied, by that source's numbers
	LSN        store.LSN   `json:"lsn"`
	Chain      store.Chain `json:"-"`
	Time       time.Time   `json:"time"`      // when that file was cut: everything shipped by then is here
	Committed  time.Time   `json:"committed"` // when the last commit was made
	// Age is how old the newest file was when the restore ended its work: the RPO if the
	// server was lost then. What was committed later and not shipped is not here.
	Age          time.Duration  `json:"age"`
	Files        int            `json:"files"`    // change files and snapshots
	Segments     int            `json:"segments"` // of the snapshot
	Bytes        int64          `json:"bytes"`    // of files and segments, as stored in the replica
	Blobs        int            `json:"blobs"`
	BlobBytes    int64          `json:"blobBytes"`
	Reused       int64          `json:"reused"` // bytes of segments and blobs that an interrupted restore had left
	Duration     time.Duration  `json:"duration"`
	Sources      []SourceReport `json:"sources"`
	Healed       []Healing      `json:"healed,omitempty"`
	MissingBlobs []string       `json:"missingBlobs,omitempty"` // SHA-256 of blobs that no source holds whole (AllowMissingBlobs)
	// Attached: the segments are still in the replica, and so are all blobs; see Attachment.
	Attached      bool  `json:"attached,omitempty"`
	AttachedBytes int64 `json:"attachedBytes,omitempty"` // of the segments
}

// SourceReport says what of a restore came from one replica.
type SourceReport struct {
	URL      string    `json:"url"` // without credentials
	LSN      store.LSN `json:"lsn"` // the last commit that it holds up to the target; 0 when it wasn't looked at
	Files    int       `json:"files"`
	Segments int       `json:"segments"`
	Blobs    int       `json:"blobs"`
	Bytes    int64     `json:"bytes"`
	Err      string    `json:"err,omitempty"` // why it couldn't be used
}

// Healing is an object that was missing or damaged and could be done without.
type Healing struct {
	Name   string `json:"name"`   // the object, as the replica calls it
	Reason string `json:"reason"` // what is wrong with it
	By     string `json:"by"`     // what was taken instead
}

// reset forgets what an attempt has counted, but not what it found damaged.
func (r *Report) reset() {
	r.Files, r.Segments, r.Bytes, r.Blobs, r.BlobBytes, r.Reused = 0, 0, 0, 0, 0, 0
	for i := range r.Sources {
		s := &r.Sources[i]
		s.Files, s.Segments, s.Blobs, s.Bytes = 0, 0, 0, 0
	}
}
