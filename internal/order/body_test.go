package order_test

import (
	"io"
	"net/http"
	"testing"
)

func body(t *testing.T, r *http.Request) []byte {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	return b
}
