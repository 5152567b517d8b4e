package replica

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/feature/s3/manager"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/benbjohnson/litestream"
	"github.com/benbjohnson/litestream/s3"
	"github.com/superfly/ltx"

	"github.com/souk-market/souk/internal/market"
)

// s3Parameters are the URL parameters that are passed on to litestream. None is a
// secret, so a URL can be shown and logged. Others are refused: a misspelt endpoint
// would send everything to Amazon.
var s3Parameters = []string{"region", "endpoint", "forcePathStyle", "skipVerify", "storageClass", "sseKmsKeyId", "partSize", "concurrency"}

// s3Transport keeps a replica in a bucket. litestream's client reads, lists, and writes
// what may be overwritten; the conditional writes are its own.
type s3Transport struct {
	rawURL string
	base   *s3.ReplicaClient // read for its settings only
	log    *slog.Logger

	skew atomic.Int64 // nanoseconds; see clockSkew

	mu      sync.Mutex
	clients map[string]*s3.ReplicaClient // by the path under the root; guarded by mu
	own     *awss3.Client                // nil until first used; guarded by mu
}

// openS3 makes the transport of an s3:// URL. Whatever could go wrong by a slip in the
// URL is refused here: a key in it, no path (litestream's keys would begin with a
// slash), an unknown parameter, no region.
func openS3(rawURL string, u *url.URL, log *slog.Logger) (string, transport, error) {
	refuse := func(format string, args ...any) (string, transport, error) {
		return "", nil, market.FieldErrorf("replica", format, args...)
	}
	if u.User != nil {
		return refuse("Keys don't belong into a replica's URL, where logs would show them. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.")
	}
	if u.Host == "" || strings.Trim(path.Clean(u.Path), "/.") == "" {
		return refuse("An S3 replica needs a bucket and a path in it. Write s3://bucket/path?region=REGION&endpoint=https://HOST.")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return refuse("The parameters of the replica's URL can't be read. Write s3://bucket/path?region=REGION&endpoint=https://HOST.")
	}
	for name := range query {
		if !slices.Contains(s3Parameters, name) {
			return refuse("An S3 replica has no parameter %q. There are %s.", name, strings.Join(s3Parameters, ", "))
		}
	}
	t := &s3Transport{rawURL: rawURL, log: log, clients: map[string]*s3.ReplicaClient{}}
	if t.base, err = t.litestreamClient(); err != nil {
		return refuse("The replica's URL can't be used: %v.", err)
	}
	if t.base.Region == "" && t.base.Endpoint == "" {
		return refuse("An S3 replica needs the bucket's region. Add ?region=REGION to the URL, or set AWS_REGION.")
	}
	return u.String(), t, nil
}

// litestreamClient makes a client with the URL's settings, not yet connected.
func (t *s3Transport) litestreamClient() (*s3.ReplicaClient, error) {
	rc, err := litestream.NewReplicaClientFromURL(t.rawURL)
	if err != nil {
		return nil, err
	}
	c, ok := rc.(*s3.ReplicaClient)
	if !ok {
		return nil, fmt.Errorf("litestream's client for it is a %T", rc)
	}
	if c.Region == "" {
		c.Region = os.Getenv("AWS_REGION")
	}
	if os.Getenv("AWS_ACCESS_KEY_ID") != "" {
		// The SDK reads these itself, and with them AWS_SESSION_TOKEN, which litestream drops.
		c.AccessKeyID, c.SecretAccessKey = "", ""
	}
	c.SetLogger(t.log)
	return c, nil
}

// environment guards the process's environment while withoutBundle has changed it.
var environment sync.Mutex

// withoutBundle runs connect with AWS_CA_BUNDLE unset: with it, the SDK refuses
// litestream's HTTP client. Go honours SSL_CERT_FILE instead.
func withoutBundle(connect func() error) error {
	environment.Lock()
	defer environment.Unlock()
	if bundle, ok := os.LookupEnv("AWS_CA_BUNDLE"); ok {
		os.Unsetenv("AWS_CA_BUNDLE")
		defer os.Setenv("AWS_CA_BUNDLE", bundle)
	}
	return connect()
}

// ltx keeps one client for each path, and with it its connections: litestream's client
// has the path among its settings.
func (t *s3Transport) ltx(ctx context.Context, under string) (litestream.ReplicaClient, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c := t.clients[under]; c != nil {
		return c, nil
	}
	c, err := t.litestreamClient()
	if err != nil {
		return nil, fmt.Errorf("replica: %w", err)
	}
	c.Path = path.Join(c.Path, under)
	if err := withoutBundle(func() error { return c.Init(ctx) }); err != nil {
		return nil, fmt.Errorf("replica: connecting to S3: %w", err)
	}
	t.clients[under] = c
	return c, nil
}

// ltxKey follows litestream's s3 client, which has no folder named ltx and writes the
// level with four hexadecimal digits.
func (t *s3Transport) ltxKey(under string, level int, minTXID, maxTXID ltx.TXID) string {
	return path.Join(under, fmt.Sprintf("%04x", level), ltx.FormatFilename(minTXID, maxTXID))
}

func (t *s3Transport) key(key string) string { return path.Join(t.base.Path, key) }

// where leaves out the endpoint: the bucket's name is what an operator knows it by.
func (t *s3Transport) where(key string) string {
	return "s3://" + path.Join(t.base.Bucket, t.base.Path, key)
}

// client connects the transport's own SDK client with the settings of litestream's. It
// tries a call up to four times; the contexts of its callers bound all of them together.
func (t *s3Transport) client(ctx context.Context) (*awss3.Client, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.own != nil {
		return t.own, nil
	}
	options := []func(*config.LoadOptions) error{
		config.WithRegion(cmp.Or(t.base.Region, s3.DefaultRegion)),
		config.WithRetryer(func() aws.Retryer { return retry.AddWithMaxAttempts(retry.NewStandard(), 4) }),
		config.WithHTTPClient(awshttp.NewBuildableClient().WithTransportOptions(func(tr *http.Transport) {
			if t.base.SkipVerify {
				tr.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} // asked for in the URL
			}
		})),
	}
	if t.base.AccessKeyID != "" && t.base.SecretAccessKey != "" {
		options = append(options, config.WithCredentialsProvider(
			credentials.NewStaticCredentialsProvider(t.base.AccessKeyID, t.base.SecretAccessKey, "")))
	}
	var cfg aws.Config
	err := withoutBundle(func() (err error) {
		cfg, err = config.LoadDefaultConfig(ctx, options...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("replica: configuring S3: %w", err)
	}
	t.own = awss3.NewFromConfig(cfg, func(o *awss3.Options) {
		o.UsePathStyle = t.base.ForcePathStyle
		if t.base.Endpoint == "" {
			return
		}
		o.BaseEndpoint = aws.String(t.base.Endpoint)
		// Servers other than Amazon's don't take checksums in chunked trailers.
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
	})
	return t.own, nil
}

// create is a PutObject with If-None-Match: *. The server answers 412 where there is an
// object. 409 says that another create of it is under way: an error like any other,
// after which the caller asks again.
func (t *s3Transport) create(ctx context.Context, key string, body io.ReadSeeker, at time.Time) error {
	return t.write(ctx, key, body, at, aws.String("*"))
}

// overwrite is a PutObject without a condition.
func (t *s3Transport) overwrite(ctx context.Context, key string, body io.ReadSeeker, at time.Time) error {
	return t.write(ctx, key, body, at, nil)
}

// write is a PutObject, with a condition or without.
func (t *s3Transport) write(ctx context.Context, key string, body io.ReadSeeker, at time.Time, ifNoneMatch *string) error {
	client, err := t.client(ctx)
	if err != nil {
		return err
	}
	size, err := body.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = body.Seek(0, io.SeekStart)
	}
	if err != nil {
		return fmt.Errorf("replica: sizing %s: %w", t.where(key), err)
	}
	in := &awss3.PutObjectInput{
		Bucket: aws.String(t.base.Bucket), Key: aws.String(t.key(key)),
		Body: body, ContentLength: aws.Int64(size), IfNoneMatch: ifNoneMatch,
		StorageClass: types.StorageClass(t.base.StorageClass),
		Metadata:     map[string]string{s3.MetadataKeyTimestamp: at.UTC().Format(time.RFC3339Nano)},
	}
	if t.base.SSEKMSKeyID != "" {
		in.ServerSideEncryption, in.SSEKMSKeyId = types.ServerSideEncryptionAwsKms, aws.String(t.base.SSEKMSKeyID)
	}
	out, err := client.PutObject(ctx, in)
	if answered(err, http.StatusPreconditionFailed) {
		return ErrExists
	}
	if err != nil {
		return fmt.Errorf("replica: writing %s: %w", t.where(key), err)
	}
	if server, ok := awsmiddleware.GetServerTime(out.ResultMetadata); ok {
		here, _ := awsmiddleware.GetResponseAt(out.ResultMetadata)
		t.skew.Store(int64(here.Sub(server)))
	}
	return nil
}

// clockSkew is by how much at least this machine's clock is ahead of the server's
// (negative: behind), by the Date header of the last write's answer, which has whole
// seconds.
func (t *s3Transport) clockSkew() time.Duration {
	skew := time.Duration(t.skew.Load())
	if skew > 0 {
		return max(skew-time.Second, 0)
	}
	return skew
}

func (t *s3Transport) exists(ctx context.Context, key string) (bool, error) {
	client, err := t.client(ctx)
	if err != nil {
		return false, err
	}
	_, err = client.HeadObject(ctx, &awss3.HeadObjectInput{Bucket: aws.String(t.base.Bucket), Key: aws.String(t.key(key))})
	if answered(err, http.StatusNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("replica: looking for %s: %w", t.where(key), err)
	}
	return true, nil
}

func (t *s3Transport) createsByReplacing() bool { return false }

// unsupported: a server that doesn't know If-None-Match ignores it or answers 501.
func (t *s3Transport) unsupported(err error) bool { return answered(err, http.StatusNotImplemented) }

// writes: a file of at least a part's size is begun, sent in parts, and ended.
func (t *s3Transport) writes(size int64) uint64 {
	part := cmp.Or(t.base.PartSize, manager.DefaultUploadPartSize)
	if size < part {
		return 1
	}
	return 2 + uint64((size+part-1)/part)
}

// remove deletes a page of files in one call. The answer has a line for each that was
// refused; AccessDenied is what object locks answer, too.
func (t *s3Transport) remove(ctx context.Context, under string, level int, files []fileRef) (refused []fileRef, err error) {
	client, err := t.client(ctx)
	if err != nil {
		return nil, err
	}
	byKey := map[string]fileRef{}
	var ids []types.ObjectIdentifier
	for _, ref := range files {
		key := t.key(t.ltxKey(under, level, ref.min, ref.max))
		byKey[key] = ref
		ids = append(ids, types.ObjectIdentifier{Key: aws.String(key)})
	}
	out, err := client.DeleteObjects(ctx, &awss3.DeleteObjectsInput{
		Bucket: aws.String(t.base.Bucket), Delete: &types.Delete{Objects: ids, Quiet: aws.Bool(true)},
	})
	if answered(err, http.StatusForbidden) {
		return files, nil
	}
	if err != nil {
		return nil, fmt.Errorf("replica: deleting in %s: %w", t.where(under), err)
	}
	for _, e := range out.Errors {
		switch code := aws.ToString(e.Code); code {
		case "NoSuchKey":
		case "AccessDenied", "InvalidRequest", "ObjectLocked", "MethodNotAllowed":
			refused = append(refused, byKey[aws.ToString(e.Key)])
		default:
			err = errors.Join(err, fmt.Errorf("replica: deleting s3://%s/%s: %s: %s", t.base.Bucket, aws.ToString(e.Key), code, aws.ToString(e.Message)))
		}
	}
	return refused, err
}

// answered reports whether an error is a server's answer with an HTTP status.
func answered(err error, status int) bool {
	var answer *awshttp.ResponseError
	return errors.As(err, &answer) && answer.HTTPStatusCode() == status
}

// pastEnd: a range that begins at or behind the end of an object is answered with 416.
func (t *s3Transport) pastEnd(err error) bool {
	return answered(err, http.StatusRequestedRangeNotSatisfiable)
}

// read returns an object of at most 1 MiB.
func (t *s3Transport) read(ctx context.Context, key string) ([]byte, error) {
	client, err := t.client(ctx)
	if err != nil {
		return nil, err
	}
	out, err := client.GetObject(ctx, &awss3.GetObjectInput{Bucket: aws.String(t.base.Bucket), Key: aws.String(t.key(key))})
	var missing *types.NoSuchKey
	if errors.As(err, &missing) {
		return nil, fmt.Errorf("replica: reading %s: %w", t.where(key), fs.ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("replica: reading %s: %w", t.where(key), err)
	}
	defer out.Body.Close()
	b, err := io.ReadAll(io.LimitReader(out.Body, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("replica: reading %s: %w", t.where(key), err)
	}
	return b, nil
}

// renewCredentials lets the next calls connect anew, with what the credentials file or
// the provider says then.
func (t *s3Transport) renewCredentials() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.own = nil
	clear(t.clients)
}
