package testenv

import (
	"bytes"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// Keys of the S3 server of tests.
const (
	s3AccessKey = "souk-test-key"
	s3SecretKey = "souk-test-secret"
)

// S3Server is a real S3 server with one bucket, on loopback.
type S3Server struct {
	Endpoint string   // http://127.0.0.1:port
	Bucket   string   // an empty bucket
	Dir      string   // where the server keeps the bucket's objects, as files by their keys
	Env      []string // what a program needs to be let in, as KEY=value
}

// URL is the replica URL of a path in the bucket.
func (s *S3Server) URL(path string) string {
	q := url.Values{"endpoint": {s.Endpoint}, "region": {"us-east-1"}}
	return "s3://" + s.Bucket + "/" + path + "?" + q.Encode()
}

// S3 starts versitygw, which lives as long as the test, and sets the environment of this
// process so that S3 clients are let in. So the test can't be parallel.
func S3(t testing.TB) *S3Server {
	t.Helper()
	program := Binary(t, "versitygw", "CGO_ENABLED=0 go install github.com/versity/versitygw/cmd/versitygw@v1.8.0")
	root := t.TempDir()
	s := &S3Server{Bucket: "souk-test", Env: []string{"AWS_ACCESS_KEY_ID=" + s3AccessKey, "AWS_SECRET_ACCESS_KEY=" + s3SecretKey}}
	s.Dir = filepath.Join(root, "data", s.Bucket) // its buckets are the folders of its root
	for _, dir := range []string{s.Dir, filepath.Join(root, "side")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("AWS_ACCESS_KEY_ID", s3AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", s3SecretKey)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")

	addr := freeAddr(t)
	s.Endpoint = "http://" + addr
	var log bytes.Buffer
	// A sidecar folder keeps the metadata, since not every disk has extended attributes.
	cmd := exec.Command(program, "--quiet", "--port", addr, "posix", "--sidecar", filepath.Join(root, "side"), filepath.Join(root, "data"))
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+s3AccessKey, "ROOT_SECRET_KEY="+s3SecretKey)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting versitygw: %v", err)
	}
	exited := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		cmd.Wait()
		close(exited)
	})
	t.Cleanup(func() {
		cmd.Process.Kill()
		running.Wait()
	})
	if !answers(s.Endpoint, exited) {
		cmd.Process.Kill()
		<-exited
		t.Fatalf("versitygw does not answer at %s:\n%s", s.Endpoint, log.Bytes())
	}
	return s
}

// answers waits until an HTTP server answers anything at all, or has exited.
func answers(endpoint string, exited <-chan struct{}) bool {
	deadline := time.After(20 * time.Second)
	client := &http.Client{Timeout: time.Second}
	for {
		if resp, err := client.Get(endpoint); err == nil {
			resp.Body.Close()
			return true
		}
		select {
		case <-exited:
			return false
		case <-deadline:
			return false
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// freeAddr is an address of loopback that nothing listened at a moment ago: versitygw
// can't be given a listener, and doesn't tell the port it chose.
func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
