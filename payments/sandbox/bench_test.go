package sandbox_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/souk-market/souk/payments/paymentstest"
	"github.com/souk-market/souk/payments/sandbox"
)

// BenchmarkPurchase is a session made, paid on the page over HTTP, and its webhook
// delivered over HTTP, by 16 buyers at once. Each purchase waits for the disk twice.
func BenchmarkPurchase(b *testing.B) {
	bank, err := sandbox.Open(sandbox.Options{Dir: b.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer bank.Close()
	page := httptest.NewServer(bank)
	defer page.Close()
	var told sync.WaitGroup
	shop := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { told.Done() }))
	defer shop.Close()
	bank.SetBaseURL(page.URL)
	bank.SetWebhookURL(shop.URL)
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- bank.Run(ctx) }()
	buyer := &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: 16},
		CheckRedirect: client.CheckRedirect,
	}

	var n atomic.Int64
	told.Add(b.N)
	b.SetParallelism(8) // times GOMAXPROCS
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			key := strconv.FormatInt(n.Add(1), 10)
			s, err := bank.CreateSession(ctx, paymentstest.Request(key, time.Now()))
			if err != nil {
				b.Error(err)
				return
			}
			res, err := buyer.PostForm(s.URL, card(goodCard))
			if err != nil {
				b.Error(err)
				return
			}
			res.Body.Close()
			if res.StatusCode != http.StatusSeeOther {
				b.Errorf("paying answered %s", res.Status)
			}
		}
	})
	told.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "purchases/s")
	stop()
	<-ended
}
