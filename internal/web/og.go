package web

import (
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/views"
)

// ogPath is the address of an agent's preview image.
func ogPath(a *market.Agent) string { return views.TilePathOpenGraph(string(a.ID)) }
