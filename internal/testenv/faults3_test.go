package testenv

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// client makes an S3 client that tries each call once.
func (f *FaultyS3) client() *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(f.Endpoint), UsePathStyle: true, Region: "us-east-1", Retryer: aws.NopRetryer{},
		Credentials:                credentials.NewStaticCredentialsProvider(s3AccessKey, s3SecretKey, ""),
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired, ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	})
}

func (f *FaultyS3) put(key, body string) error {
	_, err := f.client().PutObject(context.Background(), &s3.PutObjectInput{Bucket: &f.Bucket, Key: &key, Body: strings.NewReader(body)})
	return err
}

func (f *FaultyS3) get(key string) (string, error) {
	out, err := f.client().GetObject(context.Background(), &s3.GetObjectInput{Bucket: &f.Bucket, Key: &key})
	if err != nil {
		return "", err
	}
	defer out.Body.Close()
	b, err := io.ReadAll(out.Body)
	return string(b), err
}

func (f *FaultyS3) keys(t *testing.T) int {
	t.Helper()
	out, err := f.client().ListObjectsV2(context.Background(), &s3.ListObjectsV2Input{Bucket: &f.Bucket})
	if err != nil {
		t.Fatal(err)
	}
	return len(out.Contents)
}

// TestFaultyS3 shows each fault to be what its name says.
func TestFaultyS3(t *testing.T) {
	f := NewFaultyS3(t, S3(t))
	body := strings.Repeat("0123456789", 1000)
	if err := f.put("a", body); err != nil {
		t.Fatal(err)
	}
	if got, err := f.get("a"); err != nil || got != body {
		t.Fatalf("reading through the proxy: %d bytes, %v", len(got), err)
	}
	if f.keys(t) != 1 {
		t.Fatal("the listing doesn't have the object")
	}
	if got, want := f.Requests(), (S3Requests{Put: 1, Get: 1, List: 1, BytesIn: 10_000}); got.Put != want.Put || got.Get != want.Get ||
		got.List != want.List || got.BytesIn != want.BytesIn || got.BytesOut < 10_000 {
		t.Errorf("counted %+v, want %+v", got, want)
	}
	only := func(x Fault) { f.Choose(func(*http.Request) Fault { return x }) }
	for x, word := range map[Fault]string{Drop: "send failed", ServerErr: "InternalError", SlowDown: "SlowDown", Expired: "ExpiredToken"} {
		only(x)
		if err := f.put("b", body); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%v: %v", x, err)
		}
	}
	only(Stale)
	if f.keys(t) != 1 {
		t.Error("an object appeared after faults that keep requests from the server")
	}
	only(Forget)
	if err := f.put("c", body); err == nil {
		t.Error("a forgotten answer came")
	}
	only(Truncate)
	if got, err := f.get("c"); err == nil || len(got) != 5_000 {
		t.Errorf("a truncated answer: %d bytes, %v", len(got), err)
	}
	only(Trickle)
	if got, err := f.get("c"); err != nil || got != body {
		t.Errorf("a slow answer: %d bytes, %v", len(got), err)
	}
	only(Stale)
	if f.keys(t) != 1 {
		t.Error("a stale listing has the new object")
	}
	f.Choose(nil)
	if f.keys(t) != 2 {
		t.Error("the listing doesn't have the object whose answer was lost")
	}
}
