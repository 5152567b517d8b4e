package edge

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
)

func TestZapBridge(t *testing.T) {
	var log journal
	z := bridge(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelInfo})))
	z.Debug("hidden")
	z.Named("obtain").With(zap.String("identifier", "example.test")).
		Error("failed", zap.Error(errors.New("no route")), zap.Duration("wait", time.Minute), zap.Strings("names", []string{"a", "b"}))
	got := log.String()
	want := `level=ERROR msg=failed identifier=example.test error="no route" wait=1m0s names="[a b]"`
	if !strings.Contains(got, want) || strings.Contains(got, "hidden") {
		t.Errorf("%s\nwant %s", got, want)
	}
}
