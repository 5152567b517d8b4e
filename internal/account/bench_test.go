package account

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/souk-market/souk/internal/market"
)

// BenchmarkWrongPassword reports the median time of a refused attempt for an address
// with an account and for one without, taken in turns; their difference should be under
// 5 % (-benchtime 2000x).
func BenchmarkWrongPassword(b *testing.B) {
	in := newInn(b)
	in.create(NewAccount{Email: address})
	emails := []string{address, "bob@example.com"}
	var times [2][]float64
	for b.Loop() {
		for _, i := range rand.Perm(2) { // in turns, one would always meet the other's garbage
			email := emails[i]
			in.pass(time.Minute)
			started := time.Now()
			_, err := in.SignIn(context.Background(), Attempt{Email: email, Password: "not the password", Remote: home})
			times[i] = append(times[i], float64(time.Since(started)))
			if !market.Is(err, market.Invalid) {
				b.Fatal(err)
			}
		}
	}
	slices.Sort(times[0])
	slices.Sort(times[1])
	known, unknown := times[0][len(times[0])/2], times[1][len(times[1])/2]
	b.ReportMetric(known/1e6, "ms/known")
	b.ReportMetric(unknown/1e6, "ms/unknown")
	b.ReportMetric(100*(known/unknown-1), "%difference")
}
