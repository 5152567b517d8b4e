package catalog

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/souk-market/souk/internal/market"
)

// Limits of what a listing says of itself, in bytes, besides those of market.
const (
	maxCategory = 40
	maxVersion  = 64
	maxSource   = 32
	maxChannel  = 20
	maxReason   = 1_000
	maxURL      = 200
)

var (
	slugForm    = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	countryForm = regexp.MustCompile(`^[A-Z]{2}$`)
)

// isSlug reports whether a text is a slug of at most n bytes.
func isSlug(s string, n int) bool { return len(s) <= n && slugForm.MatchString(s) }

// cleanLine makes one line of *s and refuses one that is longer than n bytes.
func cleanLine(field string, s *string, n int) error {
	if *s = market.CleanText(*s); len(*s) > n {
		return market.FieldErrorf(field, "The %s is longer than %d bytes.", field, n)
	}
	return nil
}

// cleanLong makes a text of several lines fit to be stored: lines end with \n, and there
// are no control characters but that and tabs.
func cleanLong(field string, s *string, n int) error {
	if len(*s) > n {
		return market.FieldErrorf(field, "The %s is longer than %d bytes.", field, n)
	}
	if !utf8.ValidString(*s) {
		return market.FieldErrorf(field, "The %s isn't valid UTF-8.", field)
	}
	text := strings.ReplaceAll(*s, "\r\n", "\n")
	*s = strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0xe0000 && r <= 0xe007f || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069:
			return -1 // control characters, tags, and overrides of the direction of text
		}
		return r
	}, text))
	return nil
}

// cleanOffers checks all ways to buy an agent. Several need a name each.
func cleanOffers(offers []market.Offer) error {
	if len(offers) == 0 || len(offers) > market.MaxOffers {
		return market.FieldErrorf("offers", "An agent has 1 to %d offers.", market.MaxOffers)
	}
	names := map[string]bool{}
	for i := range offers {
		o := &offers[i]
		if err := cleanOffer(o); err != nil {
			return err
		}
		if len(offers) > 1 && (o.Name == "" || names[o.Name]) {
			return market.FieldErrorf("offers", "Several offers need a name each, so that buyers can tell them apart.")
		}
		names[o.Name] = true
	}
	return nil
}

func cleanOffer(o *market.Offer) error {
	if o.Price.Amount < 0 || !o.Price.Currency.Valid() && o.Price != (market.Money{}) {
		return market.FieldErrorf("price", "%s is no price.", o.Price)
	}
	if err := cleanLine("offer's name", &o.Name, market.MaxOfferText); err != nil {
		return err
	}
	var includes []string
	for _, line := range o.Includes {
		if err := cleanLine("line of what an offer includes", &line, market.MaxOfferText); err != nil {
			return err
		}
		if line != "" {
			includes = append(includes, line)
		}
	}
	if o.Includes = includes; len(includes) > market.MaxIncludes {
		return market.FieldErrorf("includes", "An offer lists %d things at most that it includes.", market.MaxIncludes)
	}
	return nil
}

// aliases are what tags stand for others.
type aliases map[market.Tag]market.Tag

// cleanTags brings tags into the form that is stored: slugs, sorted, each once, and those
// that stand for others replaced.
func (al aliases) cleanTags(tags []market.Tag) ([]market.Tag, error) {
	var list []market.Tag
	for _, t := range tags {
		slug := market.Tag(market.Slug(string(t)))
		if other, ok := al[slug]; ok {
			slug = other
		}
		if len(slug) > market.MaxTagLen {
			return nil, market.FieldErrorf("tags", "The tag %q is longer than %d bytes.", t, market.MaxTagLen)
		}
		if slug != "" {
			list = append(list, slug)
		}
	}
	slices.Sort(list)
	if list = slices.Compact(list); len(list) > market.MaxTags {
		return nil, market.FieldErrorf("tags", "An agent has %d tags at most.", market.MaxTags)
	}
	return list, nil
}

// cleanAgentText checks what an agent says at length.
func cleanAgentText(t *market.AgentText) error {
	if err := cleanLong("description", &t.Description, market.MaxText); err != nil {
		return err
	}
	if err := cleanLong("terms", &t.Terms, market.MaxTerms); err != nil {
		return err
	}
	if err := cleanLong("refunds", &t.Refunds, market.MaxTerms); err != nil {
		return err
	}
	if len(t.Demo) > market.MaxTurns {
		return market.FieldErrorf("demo", "A transcript has %d turns at most.", market.MaxTurns)
	}
	for i := range t.Demo {
		if err := cleanLine("demo", &t.Demo[i].Who, market.MaxOfferText); err != nil {
			return err
		}
		if err := cleanLong("demo", &t.Demo[i].Text, market.MaxTurnText); err != nil {
			return err
		}
	}
	return nil
}

// cleanRelease checks what a version says of itself.
func cleanRelease(r *market.AgentRelease) error {
	if err := cleanLine("version", &r.Version, maxVersion); err != nil {
		return err
	}
	if err := cleanLong("notes", &r.Notes, market.MaxText); err != nil {
		return err
	}
	if err := cleanLine("reason", &r.Reason, maxReason); err != nil {
		return err
	}
	if r.Channel == "stable" {
		r.Channel = ""
	}
	if r.Channel != "" && !isSlug(r.Channel, maxChannel) {
		return market.FieldErrorf("channel", "The channel %q must be lower-case letters, digits and hyphens, %d at most.", r.Channel, maxChannel)
	}
	facts := market.Facts{Permissions: r.Permissions}
	if err := facts.Clean(); err != nil {
		return err
	}
	r.Permissions = facts.Permissions
	return nil
}

// cleanReview checks a review and its reply.
func cleanReview(r *market.Review) error {
	if r.Stars < 1 || r.Stars > len(market.Rating{}.Stars) {
		return market.FieldErrorf("stars", "A review gives 1 to 5 stars.")
	}
	if err := cleanLine("name", &r.Name, market.MaxOfferText); err != nil {
		return err
	}
	if r.Name == "" {
		return market.FieldErrorf("name", "A review has its author's name.")
	}
	if err := cleanLine("title", &r.Title, market.MaxOfferText); err != nil {
		return err
	}
	if err := cleanLine("version", &r.Version, maxVersion); err != nil {
		return err
	}
	if err := cleanLong("text", &r.Text, market.MaxReview); err != nil {
		return err
	}
	return cleanLong("reply", &r.Reply, market.MaxReview)
}

// cleanSeller checks what a seller says of themselves.
func cleanSeller(s *market.Seller) error {
	s.Name = market.CleanText(s.Name)
	switch {
	case !isSlug(s.Slug, market.MaxSlug):
		return badSlug("slug", s.Slug)
	case s.Name == "" || len(s.Name) > market.MaxName:
		return market.FieldErrorf("name", "The name must have 1 to %d bytes.", market.MaxName)
	case s.Country != "" && !countryForm.MatchString(s.Country):
		return market.FieldErrorf("country", "The country %q is no code of two letters, as DE.", s.Country)
	case s.Site != "" && !isSite(s.Site):
		return market.FieldErrorf("site", "The site must be an https address of at most %d bytes.", maxURL)
	}
	return cleanLong("about", &s.About, market.MaxText)
}

func isSite(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil && len(s) <= maxURL && market.CleanText(s) == s
}

// cleanShelf checks a shelf by itself; that its parent is one is for the transaction.
func cleanShelf(s *market.Shelf) error {
	s.Title = market.CleanText(s.Title)
	switch {
	case !isSlug(string(s.Category), maxCategory):
		return badSlug("category", string(s.Category))
	case s.Title == "" || len(s.Title) > market.MaxOfferText:
		return market.FieldErrorf("title", "A shelf's title has 1 to %d bytes.", market.MaxOfferText)
	case s.Parent == s.Category || s.Parent != "" && !isSlug(string(s.Parent), maxCategory):
		return market.FieldErrorf("parent", "%q can't be the parent of this shelf.", s.Parent)
	}
	return cleanLine("line", &s.Line, market.MaxOfferText)
}

// cleanPage checks a page of the operator's.
func cleanPage(p *market.StaticPage) error {
	p.Title = market.CleanText(p.Title)
	if !isSlug(p.Slug, market.MaxSlug) {
		return badSlug("slug", p.Slug)
	}
	if p.Title == "" || len(p.Title) > market.MaxName {
		return market.FieldErrorf("title", "A page's title has 1 to %d bytes.", market.MaxName)
	}
	if err := cleanLong("brief", &p.Brief, market.MaxTerms); err != nil {
		return err
	}
	return cleanLong("body", &p.Body, market.MaxText)
}

func badSlug(field, got string) error {
	return market.FieldErrorf(field, "The %s %q must be lower-case letters, digits and single hyphens.", field, got)
}

func isFileName(s string) bool {
	return s != "" && len(s) <= market.MaxName && market.CleanText(s) == s && !strings.ContainsAny(s, `/\`)
}
