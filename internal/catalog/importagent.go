package catalog

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// entry is a row that is checked by itself.
type entry struct {
	*row
	offers     []market.Offer // without IDs
	tags       []market.Tag
	facts      *market.Facts
	text       market.AgentText
	attributes []market.AttributeValue
	images     []market.Image
	releases   []market.AgentRelease // without IDs, the newest first
	old        []market.Redirect
	blobs      []market.Blob
}

// agentWork returns the rows of a file of agents as work.
func (im *importer) agentWork(ctx context.Context, file string, rows rowSource) nextWork {
	return func() (work, error) {
		r, line, err := rows.next()
		at := Place{File: file, Line: line}
		if err != nil {
			return work{at: at}, err
		}
		e, err := im.entry(ctx, r)
		if err != nil {
			return work{at: at}, err
		}
		return work{at: at, weight: e.weight(), heft: e.heft(), do: func(tx *store.Tx) (outcome, error) { return im.storeAgent(tx, e) }}, nil
	}
}

func (e *entry) weight() int {
	return plainWeight + 4*len(e.releases) + 2*len(e.old) + len(e.blobs) + min(e.heft(), 1)
}

func (e *entry) heft() int {
	n := len(e.text.Description) + len(e.text.Terms) + len(e.text.Refunds)
	for _, t := range e.text.Demo {
		n += len(t.Text)
	}
	for _, r := range e.releases {
		n += len(r.Notes)
	}
	return n
}

// entry checks a row and brings it into the form that is stored. The files that it names are
// in the blob store afterwards.
func (im *importer) entry(ctx context.Context, r *row) (*entry, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	if r.Seller == "" {
		if err := im.needImported(ctx); err != nil {
			return nil, err
		}
	}
	if err := cleanLine("reason", &r.Reason, maxReason); err != nil {
		return nil, err
	}
	e := &entry{row: r, text: market.AgentText{Description: r.Description, Terms: r.Terms, Refunds: r.Refunds}}
	for _, step := range []func() error{
		func() error { return e.readOffers(im.Currency) },
		func() (err error) { e.tags, err = im.aliases.cleanTags(tagsOf(r.Tags)); return err },
		func() (err error) { e.attributes, err = im.attributes.values(e.Attributes); return err },
		e.readFacts, e.readText, e.readOldSlugs,
		func() error { return e.readReleases(ctx, im) },
		func() error { return e.readImages(ctx, im) },
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	if e.weight() > maxWeight || e.heft() > maxHeft {
		return nil, market.Errorf(market.TooLarge, "The agent has more releases and texts than one transaction takes.")
	}
	if err := im.repeated("id", cmp.Or(r.ExternalID, string(r.ID)), r.line); err != nil {
		return nil, err
	}
	return e, im.repeated("slug", r.Slug, r.line)
}

// check checks what a row says in a word.
func (r *row) check() error {
	if r.ID != "" {
		if _, err := market.ParseID[market.AgentID](string(r.ID)); err != nil {
			return market.FieldErrorf("id", "%s", market.Message(err))
		}
	}
	switch {
	case r.Name == "" || len(r.Name) > market.MaxName:
		return market.FieldErrorf("name", "The name must have 1 to %d bytes.", market.MaxName)
	case len(r.Summary) > market.MaxSummary:
		return market.FieldErrorf("summary", "The summary is longer than %d bytes.", market.MaxSummary)
	case len(r.version) > maxVersion:
		return market.FieldErrorf("version", "The version is longer than %d bytes.", maxVersion)
	case r.given&givenSource != 0 && !isSlug(r.Source, maxSource):
		return market.FieldErrorf("source", "The source %q must be lower-case letters, digits and hyphens, %d at most.", r.Source, maxSource)
	case !isSlug(r.Category, maxCategory):
		return market.FieldErrorf("category", "The category %q must be lower-case letters, digits and hyphens, %d at most.", r.Category, maxCategory)
	case r.Slug != "" && !isSlug(r.Slug, market.MaxSlug):
		return badSlug("slug", r.Slug)
	case r.State != "" && !knownListingState(r.State):
		return market.FieldErrorf("state", "%q is no state of a listing.", r.State)
	}
	return nil
}

func knownListingState(s market.ListingState) bool {
	return slices.Contains([]market.ListingState{
		market.ListingDraft, market.ListingInReview, market.ListingChangesRequested, market.ListingApproved, market.ListingPublished,
		market.ListingUnlisted, market.ListingPaused, market.ListingSuspended, market.ListingRemoved, market.ListingArchived,
	}, s)
}

func tagsOf(texts []string) []market.Tag {
	tags := make([]market.Tag, len(texts))
	for i, t := range texts {
		tags[i] = market.Tag(t)
	}
	return tags
}

func (e *entry) readOffers(currency market.Currency) error {
	for _, l := range e.Offers {
		price, err := parsePrice(l.Price)
		if err != nil {
			return err
		}
		if currency != "" && !price.IsZero() && price.Currency != currency {
			return market.FieldErrorf("price", "The price %s is in another currency than the marketplace's, %s.", price, currency)
		}
		e.offers = append(e.offers, market.Offer{Name: l.Name, Price: price, License: l.License || e.table && !price.IsZero(), Includes: l.Includes})
	}
	if len(e.offers) == 0 {
		return nil
	}
	return cleanOffers(e.offers)
}

// parsePrice reads "12.00 USD" or "free".
func parsePrice(s string) (market.Money, error) {
	if strings.EqualFold(strings.TrimSpace(s), "free") {
		return market.Money{}, nil
	}
	m, err := market.ParseMoney(s)
	if err != nil {
		return m, market.FieldErrorf("price", "%s", market.Message(err))
	}
	return m, nil
}

func (e *entry) readFacts() error {
	l := e.Facts
	if l == nil {
		return nil
	}
	e.facts = &market.Facts{
		Declared: true, Models: l.Models, Runtimes: l.Runtimes, Inputs: l.Inputs, Outputs: l.Outputs, Keys: l.Keys,
		Permissions: permissionsOf(l.Permissions), Retention: l.Retention,
	}
	return e.facts.Clean()
}

func permissionsOf(lines []PermissionLine) []market.PermissionUse {
	var uses []market.PermissionUse
	for _, l := range lines {
		uses = append(uses, market.PermissionUse(l))
	}
	return uses
}

func (e *entry) readText() error {
	for _, t := range e.Demo {
		e.text.Demo = append(e.text.Demo, market.Turn(t))
	}
	return cleanAgentText(&e.text)
}

func (e *entry) readOldSlugs() error {
	for _, o := range e.OldSlugs {
		if !isSlug(o.Slug, market.MaxSlug) {
			return badSlug("old_slugs", o.Slug)
		}
		e.old = append(e.old, market.Redirect{Slug: o.Slug, Since: o.Since.Time})
	}
	return nil
}

func (e *entry) readReleases(ctx context.Context, im *importer) error {
	if len(e.Releases) > maxReleases {
		return market.FieldErrorf("releases", "An agent has %d releases at most.", maxReleases)
	}
	met := map[[2]string]bool{}
	for _, l := range e.Releases {
		r := market.AgentRelease{
			Release: market.Release{Version: l.Version, Released: l.Released.Time}, Channel: l.Channel, Notes: l.Notes,
			State: l.State, Reason: l.Reason, Permissions: permissionsOf(l.Permissions),
		}
		if err := cleanRelease(&r); err != nil {
			return err
		}
		if met[[2]string{r.Version, r.Channel}] {
			return market.FieldErrorf("releases", "The version %q is there twice.", r.Version)
		}
		met[[2]string{r.Version, r.Channel}] = true
		if l.State != "" && !knownReleaseState(l.State) {
			return market.FieldErrorf("releases", "%q is no state of a release.", l.State)
		}
		if l.File != nil {
			var err error
			if r.File, err = im.readFile(ctx, l.File); err != nil {
				return err
			}
			e.blobs = append(e.blobs, market.Blob{SHA256: r.File.SHA256, Size: r.File.Size})
		}
		e.releases = append(e.releases, r)
	}
	slices.SortStableFunc(e.releases, newestFirst)
	for i, usual := range usualStates(e.releases) {
		if e.releases[i].State == "" {
			e.releases[i].State = usual
		}
	}
	return nil
}

func knownReleaseState(s market.ReleaseState) bool {
	return slices.Contains([]market.ReleaseState{
		market.ReleaseUploaded, market.ReleaseScanning, market.ReleaseBlocked, market.ReleaseNeedsReview, market.ReleaseAutoOK,
		market.ReleaseApproved, market.ReleaseLive, market.ReleaseSuperseded, market.ReleaseYanked,
	}, s)
}

// plain reports whether the row has no history: a version at most, without a file.
func (e *entry) plain() bool {
	if len(e.releases) == 0 {
		return true
	}
	r := e.releases[0]
	return len(e.releases) == 1 && r.File == (market.File{}) && r.Channel == "" && r.Notes == "" && r.Permissions == nil &&
		r.State == market.ReleaseLive
}

func (e *entry) readImages(ctx context.Context, im *importer) error {
	if len(e.Images) > market.MaxImages {
		return market.FieldErrorf("images", "An agent has %d pictures at most.", market.MaxImages)
	}
	for _, l := range e.Images {
		img, err := im.readPicture(ctx, l)
		if err != nil {
			return err
		}
		e.images = append(e.images, img)
	}
	return nil
}

// storeAgent writes an entry and says what that did.
func (im *importer) storeAgent(tx *store.Tx, e *entry) (outcome, error) {
	old, found, err := e.match(tx)
	if err != nil {
		return 0, err
	}
	a := old
	if !found {
		if a, err = im.newAgent(tx, e); err != nil {
			return 0, err
		}
	} else if e.Seller != "" {
		if a.Seller, err = im.seller(tx, e.Seller); err != nil {
			return 0, err
		}
	}
	e.describe(&a)
	past, err := e.releasesOf(tx, &a, found)
	if err != nil {
		return 0, err
	}
	if err := e.mayHave(tx, &a, &old, found); err != nil {
		return 0, err
	}
	return im.writeAgent(tx, e, &a, &old, found, past)
}

// match finds the agent that an entry is about: by ID, by external ID, by slug.
func (e *entry) match(tx store.Reader) (a market.Agent, found bool, err error) {
	if e.ID != "" {
		if a, err = store.Agents.Load(tx, e.ID); !market.Is(err, market.NotFound) {
			return a, err == nil, err
		}
	}
	if e.ExternalID != "" {
		if a, err = store.AgentByExternal.Load(tx, e.ExternalID); !market.Is(err, market.NotFound) {
			return a, err == nil, err
		}
	}
	slug := e.Slug
	if slug == "" && e.ExternalID == "" {
		slug = market.Slug(e.Name)
	}
	if slug == "" {
		return market.Agent{}, false, nil
	}
	a, err = store.AgentBySlug.Load(tx, slug)
	if market.Is(err, market.NotFound) {
		return market.Agent{}, false, nil
	}
	if err == nil && a.ExternalID != "" && e.ExternalID != "" { // and not this one, or it would have been found
		return market.Agent{}, false, market.FieldErrorf("slug", "The slug %q is another agent's, %s.", slug, a.ExternalID)
	}
	return a, err == nil, err
}

// newAgent is a new listing, under the first slug that is free.
func (im *importer) newAgent(tx store.Reader, e *entry) (a market.Agent, err error) {
	a = market.Agent{ID: e.ID, State: market.ListingPublished, Created: tx.Now(), ExternalID: e.ExternalID}
	if !e.Created.IsZero() {
		a.Created = e.Created.Time
	}
	if a.ID == "" {
		a.ID = market.NewAgentID(tx.Now())
	}
	if a.Seller, err = im.seller(tx, e.Seller); err != nil {
		return a, err
	}
	if len(e.offers) == 0 {
		price := im.Price.of(e.number)
		a.Offer = market.Offer{ID: market.NewOfferID(tx.Now()), Price: price, License: !price.IsZero()}
	}
	if a.Slug = e.Slug; a.Slug != "" {
		return a, nil
	}
	for n := 1; ; n++ {
		a.Slug = e.slug(n)
		if taken, err := slugTaken(tx, a.Slug, a.ID); err != nil || !taken {
			return a, err
		}
	}
}

// describe sets what an entry says of a listing.
func (e *entry) describe(a *market.Agent) {
	set := func(given fields, to *string, text string) {
		if e.given&given != 0 {
			*to = text
		}
	}
	set(givenName, &a.Name, e.Name)
	set(givenSummary, &a.Summary, e.Summary)
	set(givenSource, &a.Source, e.Source)
	if e.given&givenCategory != 0 {
		a.Category = market.Category(e.Category)
	}
	if e.given&givenPopularity != 0 {
		a.Popularity = e.Popularity
	}
	if e.given&givenUpdated != 0 {
		a.Updated = e.Updated.Time
	}
	if e.ExternalID != "" {
		a.ExternalID = e.ExternalID
	}
	if e.Slug != "" {
		a.Slug = e.Slug
	}
	if e.State != "" {
		a.State, a.Reason = e.State, e.Reason
	}
	if !e.Created.IsZero() {
		a.Created = e.Created.Time
	}
	if !e.Picked.IsZero() {
		a.Picked = e.Picked.Time
	}
	if e.tags != nil {
		a.Tags = e.tags
	}
	if e.facts != nil {
		a.Facts = *e.facts
	}
	if e.attributes != nil {
		a.Attributes = e.attributes
	}
	if e.images != nil {
		a.Images = e.images
	}
	if len(e.offers) > 0 {
		setOffers(a, e.offers)
	}
}

// setOffers gives an agent ways to buy it. One that has the name of one that is there keeps
// its ID, so that carts keep it.
func setOffers(a *market.Agent, offers []market.Offer) {
	var was []market.Offer
	if a.Offer.ID != "" {
		was = a.Offers()
	}
	now := make([]market.Offer, len(offers))
	for i, o := range offers {
		at := slices.IndexFunc(was, func(w market.Offer) bool { return w.Name == o.Name })
		if at < 0 && len(was) == 1 && len(offers) == 1 {
			at = 0
		}
		if o.ID = market.NewOfferID(market.IDTime(a.ID)); at >= 0 {
			o.ID = was[at].ID
		}
		now[i] = o
	}
	a.Offer, a.Also = now[0], nil
	if len(now) > 1 {
		a.Also = now[1:]
	}
}

// releasesOf sets the version that is sold, and returns the history with the entry's
// releases in it; nil where the agent has none.
func (e *entry) releasesOf(tx store.Reader, a *market.Agent, found bool) (past []market.AgentRelease, err error) {
	if found {
		if past, err = history(tx, a.ID); err != nil {
			return nil, err
		}
	}
	if e.plain() && len(past) == 0 {
		if !found || a.Release.File.OnDemand {
			e.sellSetup(tx, a)
		}
		return nil, nil
	}
	if e.plain() {
		return nil, nil // a history isn't replaced by a version without a file
	}
	for _, r := range e.releases {
		r.Agent = a.ID
		at := slices.IndexFunc(past, func(p market.AgentRelease) bool { return p.Version == r.Version && p.Channel == r.Channel })
		if at < 0 {
			r.ID = market.NewReleaseID(tx.Now())
			past = append(past, r)
			continue
		}
		r.ID = past[at].ID
		past[at] = r
	}
	sell(a, past)
	if a.Release.ID == "" {
		a.Release.ID = past[0].ID
		a.Release.File, _ = market.SetupFile(a)
	}
	return past, nil
}

// sellSetup makes the version of a listing from a registry the one that is sold: by the file
// that says how to install it.
func (e *entry) sellSetup(tx store.Reader, a *market.Agent) {
	next := a.Release
	if e.given&givenVersion != 0 {
		next.Version = e.version
	}
	released := e.Updated.Time
	if len(e.releases) == 1 {
		next.Version, released = e.releases[0].Version, e.releases[0].Released
	}
	was := a.Release.File
	a.Release = next
	if a.Release.File, _ = market.SetupFile(a); a.Release.File == was && len(e.releases) == 0 {
		return
	}
	if a.Release.File != was {
		a.Release.ID = market.NewReleaseID(tx.Now())
	}
	a.Release.Released = released
}

// mayHave refuses a slug or an old slug that is another agent's.
func (e *entry) mayHave(tx store.Reader, a, old *market.Agent, found bool) error {
	if !found || a.Slug != old.Slug {
		taken, err := slugTaken(tx, a.Slug, a.ID)
		if err != nil {
			return err
		}
		if taken {
			return market.FieldErrorf("slug", "The slug %q is another agent's.", a.Slug)
		}
	}
	for _, o := range e.old {
		taken, err := slugTaken(tx, o.Slug, a.ID)
		if err != nil {
			return err
		}
		if taken || o.Slug == a.Slug {
			return market.FieldErrorf("old_slugs", "The old slug %q is an agent's now.", o.Slug)
		}
	}
	return nil
}

// writeAgent writes what differs.
func (im *importer) writeAgent(tx *store.Tx, e *entry, a, old *market.Agent, found bool, past []market.AgentRelease) (outcome, error) {
	changed := !found || !same(a, old)
	if changed {
		if err := putAgent(tx, a, old.Slug); err != nil {
			return 0, err
		}
	}
	for _, write := range []func() (bool, error){
		func() (bool, error) { return writeText(tx, e, a.ID) },
		func() (bool, error) { return writeReleases(tx, past) },
		func() (bool, error) { return writeRedirects(tx, a.ID, e.old) },
		func() (bool, error) { return false, nameBlobs(tx, e.blobs) },
		func() (bool, error) { return false, NamePictures(tx, a) },
	} {
		wrote, err := write()
		if err != nil {
			return 0, err
		}
		changed = changed || wrote
	}
	switch {
	case !found:
		return added, nil
	case changed:
		return updated, nil
	}
	return unchanged, nil
}

// same compares two listings; times as moments, since a stored one has another zone.
func same[R any](a, b *R) bool {
	x, y := *a, *b
	inUTC(reflect.ValueOf(&x).Elem())
	inUTC(reflect.ValueOf(&y).Elem())
	return reflect.DeepEqual(x, y)
}

var timeType = reflect.TypeFor[time.Time]()

// inUTC brings all times of a struct, those of structs in it included, into UTC.
func inUTC(v reflect.Value) {
	for i := range v.NumField() {
		switch f := v.Field(i); {
		case f.Type() == timeType:
			f.Set(reflect.ValueOf(f.Interface().(time.Time).UTC().Round(0)))
		case f.Kind() == reflect.Struct:
			inUTC(f)
		}
	}
}

func writeText(tx *store.Tx, e *entry, id market.AgentID) (bool, error) {
	t := e.text
	if t.Description == "" && t.Terms == "" && t.Refunds == "" && t.Demo == nil {
		return false, nil
	}
	t.Agent = id
	old, err := store.TextOf(tx, id)
	if err != nil {
		return false, err
	}
	t.Description, t.Terms = cmp.Or(t.Description, old.Description), cmp.Or(t.Terms, old.Terms)
	t.Refunds = cmp.Or(t.Refunds, old.Refunds)
	if t.Demo == nil {
		t.Demo = old.Demo
	}
	if reflect.DeepEqual(t, old) {
		return false, nil
	}
	return true, store.Texts.Put(tx, &t)
}

func writeReleases(tx *store.Tx, list []market.AgentRelease) (wrote bool, err error) {
	for i := range list {
		old, err := store.Releases.Load(tx, list[i].ID)
		if err != nil && !market.Is(err, market.NotFound) {
			return wrote, err
		}
		if err == nil && same(&list[i], &old) {
			continue
		}
		if err := store.Releases.Put(tx, &list[i]); err != nil {
			return wrote, err
		}
		wrote = true
	}
	return wrote, nil
}

func writeRedirects(tx *store.Tx, id market.AgentID, list []market.Redirect) (wrote bool, err error) {
	for _, r := range list {
		r.Agent = id
		if r.Since.IsZero() {
			r.Since = tx.Now()
		}
		there, err := store.Redirects.Has(tx, r.Slug)
		if err != nil {
			return wrote, err
		}
		if there { // and since when is known here
			continue
		}
		if err := store.Redirects.Put(tx, &r); err != nil {
			return wrote, err
		}
		wrote = true
	}
	return wrote, nil
}

// nameBlobs records files as blobs of the tenant.
func nameBlobs(tx *store.Tx, blobs []market.Blob) error {
	for _, b := range blobs {
		there, err := store.Blobs.Has(tx, b.SHA256)
		if err != nil {
			return err
		}
		if there {
			continue
		}
		if err := store.Blobs.Put(tx, &b); err != nil {
			return err
		}
	}
	return nil
}

// slug is the n-th choice of a slug, from 1: the name, the name with its source, the
// name with a few numbers, and then, lest a file of equal names be tried out by all of
// its numbers, the name with a hash of the ID.
func (e *entry) slug(n int) string {
	base := cmp.Or(market.Slug(e.Name), market.Slug(e.ExternalID), "agent")
	switch {
	case n == 1:
		return base
	case n == 2 && e.Source != "":
		return withSuffix(base, e.Source)
	case n < 10:
		return withSuffix(base, strconv.Itoa(n-1))
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s", n, e.ExternalID))
	return withSuffix(base, hex.EncodeToString(sum[:5]))
}

func withSuffix(base, suffix string) string {
	if len(base)+1+len(suffix) > market.MaxSlug {
		base = strings.TrimRight(base[:market.MaxSlug-1-len(suffix)], "-")
	}
	return base + "-" + suffix
}
