package mail

import (
	"context"
	"fmt"
	"testing"
)

func BenchmarkOutboxSend(b *testing.B) {
	o, err := OpenOutbox(b.TempDir(), clock)
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; b.Loop(); i++ {
		if err := o.Send(context.Background(), receipt(fmt.Sprint("job_", i))); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOutboxList lists the first page of 5,000 mails.
func BenchmarkOutboxList(b *testing.B) {
	o, err := OpenOutbox(b.TempDir(), clock)
	if err != nil {
		b.Fatal(err)
	}
	for i := range 5000 {
		if err := o.Send(context.Background(), receipt(fmt.Sprint("job_", i))); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if _, err := o.List(context.Background(), "", 50); err != nil {
			b.Fatal(err)
		}
	}
}
