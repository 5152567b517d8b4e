package replica

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	"github.com/studio-b12/gowebdav"

	"github.com/souk-market/souk/internal/market"
)

// explain puts an error of the storage into words when it is known what to do about it.
// It stays an error to try again after: credentials are renewed, and throttling ends.
func (c *Client) explain(err error) error {
	if err == nil || errors.Is(err, ErrExists) || errors.Is(err, ErrCorrupt) {
		return err
	}
	text := advice(err)
	if text == "" {
		return err
	}
	if keys, ok := c.at.(interface{ renewCredentials() }); ok && unlocked(code(err)) != "" {
		keys.renewCredentials()
	}
	return market.Errorf(market.Unavailable, "The replica %s: %s", c, text).Because(brief(err))
}

// told is an error of the storage without what the client library says of how it came to
// it. The whole one is still in its chain.
type told struct {
	text string
	err  error
}

func (t *told) Error() string { return t.text }
func (t *told) Unwrap() error { return t.err }

// brief is an error as short as it can be understood.
func brief(err error) error {
	if dial := undialled(err); dial != nil {
		return dial
	}
	var named smithy.APIError
	if !errors.As(err, &named) || named.ErrorMessage() == "" {
		return err
	}
	text := named.ErrorCode() + ": " + named.ErrorMessage()
	var answer *awshttp.ResponseError
	if errors.As(err, &answer) && answer.ServiceRequestID() != "" {
		text += fmt.Sprintf(" (request %s)", answer.ServiceRequestID())
	}
	return &told{text, err}
}

// undialled is the error of a connection that didn't come about, nil for others.
func undialled(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return op
	}
	return nil
}

// code is what an S3 server calls an error, "" for others.
func code(err error) string {
	var named smithy.APIError
	if errors.As(err, &named) {
		return named.ErrorCode()
	}
	return ""
}

// status is the HTTP status of a server's answer, 0 when there is none.
func status(err error) int {
	var answer *awshttp.ResponseError
	if errors.As(err, &answer) {
		return answer.HTTPStatusCode()
	}
	var dav gowebdav.StatusError
	if errors.As(err, &dav) {
		return dav.Status
	}
	return 0
}

// unlocked says what to do about credentials that a server refuses, "" for other codes.
func unlocked(code string) string {
	switch code {
	case "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired":
		return "its credentials have expired. Renew them where they come from (a credentials file is read again; after a change of the environment, restart)."
	case "InvalidAccessKeyId", "InvalidToken", "InvalidClientTokenId", "XAdminUserNotFound":
		return "the storage doesn't know the access key. Check AWS_ACCESS_KEY_ID and, for temporary keys, AWS_SESSION_TOKEN."
	case "SignatureDoesNotMatch":
		return "the storage refuses the signature. Check AWS_SECRET_ACCESS_KEY, and the region in the URL."
	case "AccessDenied", "AllAccessDisabled":
		return "the storage denies access. The access key needs s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket for this path."
	}
	return ""
}

// advice says in a sentence what to do about an error of the storage; "" when nothing is
// known but to try again.
func advice(err error) string {
	if text := unlocked(code(err)); text != "" {
		return text
	}
	switch code(err) {
	case "NoSuchBucket":
		return "there is no such bucket (NoSuchBucket). Make it, or check its name and region in the URL."
	case "InvalidBucketName":
		return "the bucket's name is none that a bucket can have. Check it in the URL: s3://bucket/path."
	case "AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraintException":
		return "the bucket is in another region, or at another endpoint, than the URL says. Put the right ones into it: ?region=REGION&endpoint=https://HOST."
	case "RequestTimeTooSkewed":
		return "the storage refuses requests because this machine's clock is off. Set the clock (systemctl status systemd-timesyncd)."
	case "SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException", "ServiceUnavailable":
		return throttled
	}
	switch status(err) {
	case http.StatusUnauthorized:
		return "the server refuses user and password. Check the user in the URL and " + passwordVariable + "."
	case http.StatusForbidden:
		return "the server denies access to this path. Check the user's permissions."
	case http.StatusInsufficientStorage:
		return "the storage is full. Make room, or shorten what is retained."
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return throttled
	}
	switch text := err.Error(); {
	case strings.Contains(text, "ssh: unable to authenticate"):
		return "the SSH server refuses the user. Check the user in the URL, and " + passwordVariable + " or keyPath."
	case strings.Contains(text, "ssh: host key mismatch"):
		return "the SSH server has another host key than the URL says. If it was changed on purpose, put the new one into hostKey (ssh-keyscan prints it)."
	case strings.Contains(text, "get credentials: "):
		return "there is no access key for the storage. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
	case strings.Contains(text, "server gave HTTP response to HTTPS client"):
		return "its endpoint speaks plain HTTP. Write endpoint=http:// in the URL if it is on this machine or in a network of your own, and else another port."
	case badCertificate(err):
		return "the certificate of its endpoint can't be trusted. Check the host in the URL; for a certificate authority of your own, name its file in SSL_CERT_FILE."
	case notS3(err):
		return "what answers at its endpoint doesn't speak S3. Check the host, the port and the path in the URL."
	case errors.Is(err, context.DeadlineExceeded):
		return "it did not answer in time. souk tries again by itself; check the network and the storage's status if it lasts."
	case undialled(err) != nil:
		return "it can't be reached. Check the network, and the host in the URL. A running server tries again by itself."
	}
	return ""
}

func badCertificate(err error) bool {
	var bad *tls.CertificateVerificationError
	return errors.As(err, &bad)
}

// notS3 reports whether a refusal couldn't be read, not being XML.
func notS3(err error) bool {
	return strings.Contains(err.Error(), "error while deserializing xml error response") && status(err) < 500
}

const throttled = "the storage asks to slow down (503 or 429). souk tries again by itself, less and less often; a longer replica-interval makes fewer requests."
