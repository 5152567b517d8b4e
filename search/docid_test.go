package search

import (
	"testing"
	"time"

	"github.com/souk-market/souk/internal/market"
)

func TestDocID(t *testing.T) {
	ids := []market.AgentID{"", "agt_", "agt_1", "agt_" + "80000000000000000000000000", "agt_0000000000000000000000000u", "agt_7zzzzzzzzzzzzzzzzzzzzzzzzz"}
	for range 100 {
		ids = append(ids, market.NewAgentID(time.Now()))
	}
	for _, id := range ids {
		doc := docID(tenant, id)
		if got, agent, ok := parseDocID(doc); !ok || got != tenant || agent != id {
			t.Errorf("%q came back as %q %q, %t", id, got, agent, ok)
		}
	}
	if n := len(docID(tenant, ids[len(ids)-1])); n != len(tenant)+2+16 {
		t.Errorf("a document's ID has %d bytes", n)
	}
	for _, doc := range []string{"", "ten_main", "ten_main/", "ten_main/#", "ten_main/#123"} {
		if _, _, ok := parseDocID(doc); ok {
			t.Errorf("%q was taken", doc)
		}
	}
}
