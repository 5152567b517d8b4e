package api

import (
	"context"
	"math"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/time/rate"

	"github.com/souk-market/souk/internal/licensing"
	"github.com/souk-market/souk/internal/market"
)

// Validating is limited because each one reads the disk for whoever asks. Guessing a key
// is hopeless at any rate: it has 140 random bits.
const (
	validateRate  = rate.Limit(1) // a second, for each client
	validateBurst = 30

	maxValidateBody = 4 << 10
)

// Validation says whether a licence key is good.
type Validation struct {
	Valid  bool           `json:"valid" doc:"Whether the software may run." example:"true"`
	Code   licensing.Code `json:"code" enum:"VALID,NOT_FOUND,SUSPENDED,EXPIRED,REVOKED" doc:"Why." example:"VALID"`
	Detail string         `json:"detail" doc:"Why, for people." example:"The key is valid."`
	Agent  *LicensedAgent `json:"agent,omitempty" doc:"What the key is for; only for a key that exists."`
}

// LicensedAgent is what a licence is for.
type LicensedAgent struct {
	ID   market.AgentID `json:"id" doc:"Names the agent for good." example:"agt_01k3a9v5t8zq4m7x2r6wnd0e1c"`
	Slug string         `json:"slug" doc:"Names the agent in addresses." example:"langchain-chroma"`
	Name string         `json:"name" doc:"As people call it." example:"langchain-chroma"`
}

type validateInput struct {
	Body ValidateRequest
}

// ValidateRequest asks about a key.
type ValidateRequest struct {
	Key string `json:"key" minLength:"1" maxLength:"200" doc:"The licence key. Case, spaces and missing hyphens don't matter." example:"SOUK-7K3M-92QX-4DFT-01AB-8ZQ4-M7X2-R6WN"`
}

type validateOutput struct{ Body Validation }

func (a *API) routeLicenses() {
	op := a.operation("validate-license", http.MethodPost, "/api/v1/licenses/validate",
		http.StatusBadRequest, http.StatusRequestTimeout, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusTooManyRequests)
	op.Summary = "Validate a licence key"
	op.Description = "Says whether a key is good. A key that isn't is an answer with status 200 as well. " +
		"Each client address may ask 60 times a minute, and 30 times at once."
	op.Tags = []string{"Licences"}
	op.MaxBodyBytes = maxValidateBody
	op.Middlewares = huma.Middlewares{a.limitValidates}
	route(a, op, a.validate)
}

func (a *API) validate(ctx context.Context, in *validateInput) (*validateOutput, error) {
	v, err := a.Licenses.Validate(ctx, in.Body.Key)
	if err != nil {
		return nil, err
	}
	out := Validation{Valid: v.Valid(), Code: v.Code, Detail: v.Detail}
	if v.Agent != nil {
		out.Agent = &LicensedAgent{v.Agent.ID, v.Agent.Slug, v.Agent.Name}
	}
	return &validateOutput{out}, nil
}

// limitValidates refuses a client that asks too often before its body is read.
func (a *API) limitValidates(ctx huma.Context, next func(huma.Context)) {
	wait, ok := a.validates.allow(ctx.RemoteAddr(), a.Clock())
	if ok {
		next(ctx)
		return
	}
	ctx.SetHeader("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	huma.WriteErr(a.huma, ctx, http.StatusTooManyRequests,
		"That was too often. Ask again after the seconds in Retry-After, and keep an answer instead of asking at each start.")
}
