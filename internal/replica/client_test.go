package replica

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/internal/testenv"
)

func TestURLs(t *testing.T) {
	t.Setenv("AWS_REGION", "")
	for _, tt := range []struct{ url, want string }{
		{"file:///var/backups/souk", ""},
		{"file:///var/backups/a%20b", ""},
		{"s3://bucket/souk?region=eu-central-1", ""},
		{"s3://bucket/souk?endpoint=https://s3.example.test&forcePathStyle=true", ""},
		{"", "is no URL"},
		{"/var/backups", "is no URL"},
		{"file://var/backups", "three slashes"},
		{"file:relative", "three slashes"},
		{"file:///x?y=1", "no parameters"},
		{"s3://bucket", "a bucket and a path"},
		{"s3://bucket/?region=x", "a bucket and a path"},
		{"s3:///path", "a bucket and a path"},
		{"s3://bucket/souk", "region"},
		{"s3://bucket/souk?endpont=http://127.0.0.1:1", `no parameter "endpont"`},
		{"s3://key:secret@bucket/souk?region=x", "AWS_ACCESS_KEY_ID"},
		{"sftp://user:secret@host/souk", passwordVariable},
		{"sftp://user@host/souk", "ssh-keyscan"},
		{"sftp://host/souk?hostKey=x", "a user, a host and a path"},
		{"sftp://user@host/souk?hostkey=x", "hostKey and keyPath"},
		{"sftp://user@host/souk?keyPath=/key&hostKey=ssh-ed25519+AAAAC3NzaC1lZDI1NTE5AAAAIIjwGNdyhXB++kCKDpyuZFIfdd/fxsBfJB/8Q0Ac6aDM", ""},
		{"webdavs://host/souk", ""},
		{"webdavs://user:secret@host/souk", passwordVariable},
		{"webdav://user@example.test/souk", "in the clear"},
		{"webdavs://host/", "a host and a path"},
		{"gs://bucket/souk", "-tags souk_allreplicas"},
		{"ftp://host/souk", "can't be reached by ftp://"},
	} {
		c, err := OpenClient(tt.url, ClientOptions{})
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", tt.url, err)
		case tt.want == "":
			if again, err := OpenClient(c.String(), ClientOptions{}); err != nil || again.String() != c.String() {
				t.Errorf("%s is shown as %s, which can't be opened as the same (%v)", tt.url, c, err)
			}
		case !market.Is(err, market.Invalid) || !strings.Contains(market.Message(err), tt.want):
			t.Errorf("%s: got %v, want a sentence with %q", tt.url, err, tt.want)
		case strings.Contains(err.Error(), "secret"):
			t.Errorf("%s: the error shows the password: %v", tt.url, err)
		}
	}
}

// forgetful replaces objects that should be created only once.
type forgetful struct{ transport }

func (f forgetful) create(ctx context.Context, key string, body io.ReadSeeker, at time.Time) error {
	return f.transport.overwrite(ctx, key, body, at)
}

// flaky answers creations as it is told.
type flaky struct {
	transport
	answer func(key string) error
}

func (f flaky) create(ctx context.Context, key string, body io.ReadSeeker, at time.Time) error {
	return f.answer(key)
}

func TestProbe(t *testing.T) {
	c, err := OpenClient("file://"+t.TempDir(), ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	honest := c.at
	liar := flaky{honest, func(string) error { return ErrExists }}
	c.at = liar
	if _, err := c.Probe(ctx); !market.Is(err, market.Unavailable) {
		t.Errorf("a refusal to create what isn't there: %v, want Unavailable", err)
	}
	c.at = flaky{honest, func(string) error { return nil }}
	if can, err := c.Probe(ctx); !market.Is(err, market.Unavailable) {
		t.Errorf("a creation that leaves nothing: %v, %v, want Unavailable", can, err)
	}
	c.at = &lossy{honest, 1}
	if _, err := c.Probe(ctx); !market.Is(err, market.Unavailable) {
		t.Errorf("a lost answer: %v, want Unavailable", err)
	}
	c.at = honest
	for range 2 {
		if can, err := c.Probe(ctx); err != nil || !can.CreateIfAbsent {
			t.Fatalf("a replica that creates only once: %v, %v", can, err)
		}
	}
	c.at = forgetful{honest}
	if can, err := c.Probe(ctx); err != nil || can.CreateIfAbsent {
		t.Errorf("a replica that overwrites: %v, %v, want no CreateIfAbsent", can, err)
	}
	// From then on it looks before it creates, which is the best that can be done there.
	if err := c.createObject(ctx, probeKey, nil); !errors.Is(err, ErrExists) {
		t.Errorf("creating what is there: %v, want ErrExists", err)
	}
}

func TestProbeSaysWhatCantBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := OpenClient("file://"+file+"/below", ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Probe(ctx); !market.Is(err, market.Unavailable) {
		t.Errorf("a directory that can't be made: %v, want Unavailable", err)
	}
	server := testenv.S3(t)
	c, err = OpenClient(strings.Replace(server.URL("x"), server.Bucket, "no-such-bucket", 1), ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Probe(ctx); !market.Is(err, market.Unavailable) || !strings.Contains(err.Error(), "NoSuchBucket") {
		t.Errorf("a bucket that isn't there: %v, want Unavailable", err)
	}
}
