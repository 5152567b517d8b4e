package replica

import (
	"context"
	"errors"
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
	if dial := undialled(err); dial != nil {
		err = dial // the rest says how the client library came to it
	}
	return market.Errorf(market.Unavailable, "The replica %s: %s", c, text).Because(err)
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
	case "InvalidAccessKeyId", "InvalidToken", "InvalidClientTokenId":
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
	case errors.Is(err, context.DeadlineExceeded):
		return "it did not answer in time. souk tries again by itself; check the network and the storage's status if it lasts."
	case undialled(err) != nil:
		return "it can't be reached. Check the network, and the host in the URL. A running server tries again by itself."
	}
	return ""
}

const throttled = "the storage asks to slow down (503 or 429). souk tries again by itself, less and less often; a longer replica-interval makes fewer requests."
