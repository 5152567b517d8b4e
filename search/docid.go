package search

import (
	"encoding/binary"
	"strings"

	"github.com/souk-market/souk/internal/market"
)

// A document's ID is its tenant's, a slash, and its agent's: "#" and 16 bytes where that
// has the form of market.NewID, which makes the index a twentieth smaller; else "=" and
// the ID as it is. Tenant IDs have no slash.

const (
	agentPrefix = "agt_"
	idDigits    = "0123456789abcdefghjkmnpqrstvwxyz" // as in market
	idLen       = len(agentPrefix) + 26
)

func docID(tenant market.TenantID, id market.AgentID) string {
	if packed, ok := packID(string(id)); ok {
		return string(tenant) + "/#" + packed
	}
	return string(tenant) + "/=" + string(id)
}

// parseDocID is the reverse of docID.
func parseDocID(doc string) (tenant market.TenantID, id market.AgentID, ok bool) {
	t, rest, ok := strings.Cut(doc, "/")
	switch {
	case !ok || rest == "":
		return "", "", false
	case rest[0] == '=':
		return market.TenantID(t), market.AgentID(rest[1:]), true
	}
	return market.TenantID(t), market.AgentID(unpackID(rest[1:])), len(rest) == 17
}

func packID(id string) (string, bool) {
	if len(id) != idLen || !strings.HasPrefix(id, agentPrefix) || id[len(agentPrefix)] > '7' {
		return "", false
	}
	var high, low uint64
	for _, c := range []byte(id[len(agentPrefix):]) {
		digit := strings.IndexByte(idDigits, c)
		if digit < 0 {
			return "", false
		}
		high = high<<5 | low>>59
		low = low<<5 | uint64(digit)
	}
	return string(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, high), low)), true
}

func unpackID(packed string) string {
	if len(packed) != 16 {
		return ""
	}
	high, low := binary.BigEndian.Uint64([]byte(packed[:8])), binary.BigEndian.Uint64([]byte(packed[8:]))
	id := []byte(agentPrefix + strings.Repeat("0", 26))
	for i := len(id) - 1; i >= len(agentPrefix); i-- {
		id[i] = idDigits[low&31]
		low = low>>5 | high<<59
		high >>= 5
	}
	return string(id)
}
