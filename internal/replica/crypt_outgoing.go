package replica

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// outgoing is a file in the form in which it is sent.
type outgoing struct {
	io.ReadSeeker
	size int64
	file *os.File // to close; nil when there is none
}

func (o *outgoing) discard() {
	if o.file != nil {
		o.file.Close()
	}
}

// sealed is the form in which a file goes to the replica, of its plain form in body. It
// is the same bytes however often it is read: age would make others of each attempt, and
// a signed request needs its body twice.
func (c *Client) sealed(f *footer, body io.ReadSeeker, size int64) (*outgoing, error) {
	if c.key == nil {
		return &outgoing{body, size, nil}, nil
	}
	plain, ok := body.(io.ReaderAt)
	if !ok {
		return nil, fmt.Errorf("replica: a %T can't be sealed", body)
	}
	if size <= smallFile {
		var b bytes.Buffer
		err := c.key.seal(&b, f, plain)
		return &outgoing{bytes.NewReader(b.Bytes()), int64(b.Len()), nil}, err
	}
	dir := ""
	if f, ok := body.(*os.File); ok {
		dir = filepath.Dir(f.Name())
	}
	file, err := spoolFile(dir)
	if err != nil {
		return nil, err
	}
	err = c.key.seal(file, f, plain)
	if err == nil {
		size, err = sizeOf(file)
	}
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("replica: sealing a file: %w", err)
	}
	return &outgoing{file, size, file}, nil
}
