package api

import (
	"context"
	"net/http"
	"time"

	"github.com/souk-market/souk/internal/catalog"
	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// Agent is a published listing.
type Agent struct {
	ID         market.AgentID  `json:"id" doc:"Names the agent for good." example:"agt_01k3a9v5t8zq4m7x2r6wnd0e1c"`
	Slug       string          `json:"slug" doc:"Names the agent in addresses. It never changes." example:"langchain-chroma"`
	Name       string          `json:"name" doc:"As people call it." example:"langchain-chroma"`
	Summary    string          `json:"summary" doc:"One line of plain text." example:"An integration package connecting Chroma and LangChain"`
	ExternalID string          `json:"external_id,omitempty" doc:"Names the agent in the registry it was imported from." example:"pypi:langchain-chroma"`
	Category   market.Category `json:"category" doc:"The slug of its category." example:"mcp-server"`
	Price      Price           `json:"price" doc:"What it costs."`
	Version    string          `json:"version,omitempty" doc:"Of the newest release." example:"0.2.5"`
	Source     string          `json:"source,omitempty" doc:"The registry it was imported from." example:"pypi"`
	Popularity int64           `json:"popularity" doc:"Downloads a month, where the source counts them." example:"1820344"`
	Updated    time.Time       `json:"updated,omitzero" doc:"When the listing changed at its source." example:"2026-08-31T00:00:00Z"`
	Seller     Seller          `json:"seller" doc:"Who lists it."`
	URL        string          `json:"url" doc:"The agent's page." example:"https://market.example/agents/langchain-chroma"`
	License    bool            `json:"license" doc:"Whether a purchase gives a licence key." example:"true"`
}

// Price of an agent.
type Price struct {
	Amount    int64           `json:"amount" doc:"In minor units of the currency: 900 USD is nine dollars." example:"900"`
	Currency  market.Currency `json:"currency" doc:"ISO 4217." example:"USD"`
	Formatted string          `json:"formatted" doc:"In major units, with the currency." example:"9.00 USD"`
	Free      bool            `json:"free" doc:"Whether there is nothing to pay." example:"false"`
}

// Seller of an agent.
type Seller struct {
	Slug string `json:"slug" doc:"Names the seller in addresses." example:"imported"`
	Name string `json:"name" doc:"As people call it." example:"Imported"`
}

// AgentList is a page of agents.
type AgentList struct {
	Items []Agent `json:"items" nullable:"false" doc:"The agents of this page."`
	Total int     `json:"total" doc:"How many there are on all pages." example:"30000"`
	Next  *string `json:"next" doc:"The cursor of the next page; null on the last one." example:"f________4Y5"`
}

type listAgentsInput struct {
	Category market.Category `query:"category" maxLength:"40" doc:"Only agents of this category." example:"mcp-server"`
	Limit    int             `query:"limit" minimum:"1" maximum:"100" default:"20" doc:"How many agents a page has at most."`
	Cursor   store.Cursor    `query:"cursor" maxLength:"200" doc:"The next of the page before, unchanged. Leave it out for the first page."`
}

type agentListOutput struct{ Body AgentList }

type agentInput struct {
	Slug string `path:"slug" doc:"The agent's slug." example:"langchain-chroma"`
}

type agentOutput struct{ Body Agent }

func (a *API) routeAgents() {
	op := a.operation("list-agents", http.MethodGet, "/api/v1/agents", http.StatusBadRequest)
	op.Summary = "List agents"
	op.Description = "Published agents, the most popular first."
	op.Tags = []string{"Agents"}
	route(a, op, a.listAgents)

	op = a.operation("agent", http.MethodGet, "/api/v1/agents/{slug}", http.StatusNotFound)
	op.Summary = "Show an agent"
	op.Description = "One published agent."
	op.Tags = []string{"Agents"}
	route(a, op, a.showAgent)
}

func (a *API) listAgents(ctx context.Context, in *listAgentsInput) (*agentListOutput, error) {
	p, err := a.Catalog.Browse(ctx, in.Category, in.Cursor, in.Limit)
	if err != nil {
		return nil, err
	}
	return &agentListOutput{AgentList{a.agents(p.Listings), p.Total, optional(string(p.Next))}}, nil
}

func (a *API) showAgent(ctx context.Context, in *agentInput) (*agentOutput, error) {
	l, err := a.Catalog.Agent(ctx, in.Slug)
	if err != nil {
		return nil, err
	}
	return &agentOutput{a.agent(&l, a.BaseURL())}, nil
}

func (a *API) agents(ls []catalog.Listing) []Agent {
	base := a.BaseURL()
	as := make([]Agent, len(ls))
	for i := range ls {
		as[i] = a.agent(&ls[i], base)
	}
	return as
}

func (a *API) agent(l *catalog.Listing, base string) Agent {
	return Agent{
		ID: l.ID, Slug: l.Slug, Name: l.Name, Summary: l.Summary, ExternalID: l.ExternalID, Category: l.Category,
		Price: a.price(l.Offer.Price), Version: l.Release.Version, Source: l.Source, Popularity: l.Popularity,
		Updated: l.Updated.UTC(), Seller: Seller{l.Seller.Slug, l.Seller.Name},
		URL: base + "/agents/" + l.Slug, License: l.Offer.License,
	}
}

func (a *API) price(m market.Money) Price {
	if m.Currency == "" {
		m.Currency = a.Currency
	}
	return Price{m.Amount, m.Currency, m.String(), m.IsZero()}
}

// optional is nil for the empty text.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
