package sandbox

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
)

// entry is one change of the bank's state, and one line of its journal. What belongs
// together (a payment and the webhook that tells of it) is one entry, so a crash keeps
// both or neither.
type entry struct {
	Secret    string   `json:"secret,omitempty"`    // the signing secret the bank made for itself
	Session   *session `json:"session,omitempty"`   // the session's whole new state
	Event     *message `json:"event,omitempty"`     // a webhook now due
	Delivered string   `json:"delivered,omitempty"` // the ID of an event that was accepted
}

// journal is an append-only file of lines "crc32c-in-hex json\n".
type journal struct {
	path string

	mu   sync.Mutex // guards what follows
	f    *os.File
	size int64 // bytes written, all of them whole lines
	err  error // why nothing more may be written

	syncing sync.Mutex // held during fsync and taken before mu
	synced  int64      // bytes known to be on disk; guarded by syncing
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func encodeLine(e entry) ([]byte, error) {
	body, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "%08x %s\n", crc32.Checksum(body, castagnoli), body), nil
}

func decodeLine(line []byte) (entry, error) {
	var e entry
	line, whole := bytes.CutSuffix(line, []byte("\n"))
	sum, body, ok := bytes.Cut(line, []byte(" "))
	if !whole || !ok {
		return e, io.ErrUnexpectedEOF
	}
	want, err := strconv.ParseUint(string(sum), 16, 32)
	if err != nil || uint32(want) != crc32.Checksum(body, castagnoli) {
		return e, fmt.Errorf("checksum differs")
	}
	return e, json.Unmarshal(body, &e)
}

// replayFile calls fn for each entry of the file at path. A crash can leave unsynced
// garbage at the end, which was promised to nobody and is skipped; garbage with a good
// line after it is damage, and an error that names the place.
func replayFile(path string, fn func(entry)) error {
	f, err := os.Open(path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	r := bufio.NewReader(f)
	var bad error
	for at := int64(0); ; {
		line, err := r.ReadBytes('\n')
		if err != nil && err != io.EOF {
			return err
		}
		if len(line) == 0 {
			return nil
		}
		e, badLine := decodeLine(line)
		switch {
		case badLine == nil && bad != nil:
			return bad
		case badLine == nil:
			fn(e)
		case bad == nil:
			bad = fmt.Errorf("%s is damaged at byte %d: %w", path, at, badLine)
		}
		at += int64(len(line))
	}
}

// createJournal replaces the file at path by one holding entries, and opens it for more.
// The old file stays until the new one is wholly on disk.
func createJournal(path string, entries []entry) (*journal, error) {
	next := path + ".next"
	f, err := os.OpenFile(next, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	j := &journal{path: path, f: f}
	if err := j.fill(entries); err != nil {
		f.Close()
		return nil, err
	}
	if err := os.Rename(next, path); err != nil {
		f.Close()
		return nil, err
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		f.Close()
		return nil, err
	}
	return j, nil
}

func (j *journal) fill(entries []entry) error {
	w := bufio.NewWriter(j.f)
	for _, e := range entries {
		line, err := encodeLine(e)
		if err != nil {
			return err
		}
		n, err := w.Write(line)
		if err != nil {
			return err
		}
		j.size += int64(n)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	j.synced = j.size
	return j.f.Sync()
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// append writes e after all that was appended before. It is on disk only after sync.
func (j *journal) append(e entry) error {
	line, err := encodeLine(e)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return j.err
	}
	if _, err := j.f.Write(line); err != nil {
		return j.takeBack(err)
	}
	j.size += int64(len(line))
	return nil
}

// takeBack cuts off a line that was written in part (a full disk), so that later ones
// don't follow garbage. j.mu is held.
func (j *journal) takeBack(cause error) error {
	err := j.f.Truncate(j.size)
	if err == nil {
		_, err = j.f.Seek(j.size, io.SeekStart)
	}
	if err != nil {
		j.err = fmt.Errorf("%s can't be written: %w", j.path, cause)
	}
	return cause
}

// sync returns when all that was appended before the call is on disk. Callers share
// one fsync: whoever waited for another's finds that it covered them too.
//
// After a failed fsync the kernel may have dropped the pages, so the journal takes
// nothing more until it is opened anew.
func (j *journal) sync() error {
	end, err := j.end()
	if err != nil {
		return err
	}
	j.syncing.Lock()
	defer j.syncing.Unlock()
	if j.synced >= end {
		return nil
	}
	if end, err = j.end(); err != nil {
		return err
	}
	if err := j.f.Sync(); err != nil {
		return j.fail(fmt.Errorf("%s can't be synced: %w", j.path, err))
	}
	j.synced = end
	return nil
}

func (j *journal) end() (int64, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.size, j.err
}

func (j *journal) fail(err error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err == nil {
		j.err = err
	}
	return j.err
}

func (j *journal) close() error {
	err := j.sync()
	j.fail(os.ErrClosed)
	if e := j.f.Close(); err == nil {
		err = e
	}
	return err
}
