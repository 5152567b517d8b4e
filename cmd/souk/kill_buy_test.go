//go:build linux

package main

import (
	"context"
	"fmt"
	"html"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"
)

// killedBuyer is a numbered buyer whose order may have to be sent more than once.
type killedBuyer struct {
	number int64
	client *http.Client
	form   url.Values // of the checkout
}

func killedEmail(n int64) string { return fmt.Sprintf("buyer-%d@example.com", n) }

// buy is one buyer's way from the shelf to the receipt. An answer that doesn't come is
// the end of it when nothing was ordered yet.
func (k *killer) buy(ctx context.Context, base string) {
	b := &killedBuyer{number: k.buyers.Add(1) - 1}
	jar, err := cookiejar.New(nil)
	if err != nil {
		k.t.Error(err)
		return
	}
	b.client = &http.Client{Jar: jar, Timeout: 30 * time.Second, Transport: &http.Transport{},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if _, _, err := fetch(b.client.PostForm(base+"/cart", url.Values{"agent": {k.free}})); err != nil {
		k.unanswered(ctx, err)
		return
	}
	_, page, err := fetch(b.client.Get(base + "/checkout"))
	if err != nil {
		k.unanswered(ctx, err)
		return
	}
	b.form = url.Values{"email": {killedEmail(b.number)}, "terms": {"yes"}}
	for _, m := range hidden.FindAllStringSubmatch(page, -1) {
		b.form.Set(m[1], html.UnescapeString(m[2]))
	}
	k.order(ctx, base, b)
}

// order sends the order. The redirect to the receipt confirms it.
func (k *killer) order(ctx context.Context, base string, b *killedBuyer) {
	receipt, page, err := fetch(b.client.PostForm(base+"/checkout", b.form))
	b.client.CloseIdleConnections()
	if err != nil {
		k.unanswered(ctx, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil {
		k.waiting = append(k.waiting, b)
		return
	}
	name := receipt[strings.LastIndex(receipt, "/")+1:]
	if !strings.Contains(receipt, "/o/") { // the cart, which was confirmed too, is gone
		k.lost = append(k.lost, fmt.Sprintf("buyer %d, who has ordered, was led to %q: %s", b.number, receipt, page))
		return
	}
	k.receipts[b.number] = name
	k.fresh = append(k.fresh, b.number)
}

// sendAgain sends the order of who got no answer, to another process.
func (k *killer) sendAgain(ctx context.Context, base string, b *killedBuyer) {
	k.mu.Lock()
	k.again++
	k.mu.Unlock()
	k.order(ctx, base, b)
}

// unanswered is a failure unless the process is being killed.
func (k *killer) unanswered(ctx context.Context, err error) {
	if ctx.Err() == nil {
		k.t.Errorf("a running marketplace doesn't answer: %v", err)
	}
}
