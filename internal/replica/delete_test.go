package replica

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLockedFilesAreReported: what an object lock keeps is no error, and named, so that
// it is deleted later; a storage that fails is one.
func TestLockedFilesAreReported(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	answers := map[string]string{} // code by the end of a key
	deny := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/xml")
		if deny {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, "<Error><Code>AccessDenied</Code><Message>no</Message></Error>")
			return
		}
		var asked struct {
			Object []struct{ Key string }
		}
		if err := xml.NewDecoder(r.Body).Decode(&asked); err != nil {
			t.Error(err)
		}
		fmt.Fprint(w, "<DeleteResult>")
		for _, o := range asked.Object {
			for end, code := range answers {
				if strings.HasSuffix(o.Key, end) {
					fmt.Fprintf(w, "<Error><Key>%s</Key><Code>%s</Code><Message>no</Message></Error>", o.Key, code)
				}
			}
		}
		fmt.Fprint(w, "</DeleteResult>")
	}))
	defer server.Close()
	c, err := OpenClient("s3://bucket/path?region=r&endpoint="+server.URL, ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	refs := []fileRef{changeRef(1, 1), changeRef(1, 2), changeRef(1, 3), {level: levelBlobs, min: 7, max: 8}}
	answers["2.ltx"] = "AccessDenied"
	answers["3.ltx"] = "NoSuchKey"
	answers["8.ltx"] = "ObjectLocked"
	failed, err := c.delete(ctx, refs)
	if err != nil || len(failed) != 2 || !(failed[0] == refs[1] && failed[1] == refs[3] || failed[0] == refs[3] && failed[1] == refs[1]) {
		t.Errorf("refused are %v, %v; want file 2 and the blob", failed, err)
	}
	answers["1.ltx"] = "InternalError"
	if _, err := c.delete(ctx, refs[:1]); err == nil || !strings.Contains(err.Error(), "InternalError") {
		t.Errorf("a failing storage: %v", err)
	}
	deny = true
	if failed, err := c.delete(ctx, refs[:3]); err != nil || len(failed) != 3 {
		t.Errorf("a server that may not delete at all: %v, %v", failed, err)
	}
}

// TestDeletingFiles in a directory: what isn't there counts as deleted, and what another
// user owns is reported.
func TestDeletingFiles(t *testing.T) {
	p := &place{t: t, url: "file://" + t.TempDir()}
	p.c = p.client()
	root := p.c.at.where("")
	for _, ref := range []fileRef{changeRef(1, 1), changeRef(2, 1)} {
		name := filepath.Join(root, p.c.at.ltxKey(ref.under(), ref.level, ref.min, ref.max))
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	failed, err := p.c.delete(ctx, []fileRef{changeRef(1, 1), changeRef(2, 1), changeRef(2, 2)})
	if err != nil || len(failed) != 0 {
		t.Errorf("deleting: %v, %v", failed, err)
	}
	p.root = root
	if n := p.objects(); n != 0 {
		t.Errorf("%d files are left", n)
	}
}
