package search

import "math"

// Ranking has the weights of the signals that order results; the formula is in doc.go. A
// weight of 0 takes its signal out. The zero value ranks nothing: begin with
// DefaultRanking.
type Ranking struct {
	// What a word of the query is worth in a listing, in units of its rarity (idf). A
	// listing that has it in several ways gets the sum.
	Name    float64 // it is a word of the name
	Text    float64 // it is a word of name, summary or tags
	Body    float64 // it is a word of description, facts or the seller's name, and not of those
	Stem    float64 // another form of it is, and it isn't itself
	Synonym float64 // a synonym is

	// Factors of the above.
	Start  float64 // for a word that begins with the query's
	Inside float64 // for a name that has the query's word inside of another
	Near   float64 // for a word spelled nearly so

	// Side is what two words of the query that stand side by side in the listing too add,
	// in units of the rarity of the first.
	Side float64

	// What a listing's sum is multiplied by is 1 and this, if
	Covers float64 // all words are in the name: times the share of its words that they are
	Begins float64 // the name begins with the query: times the share of it that that is
	Tail   float64 // the query is what follows the last slash of the name

	// and, of itself,
	Popularity float64 // has 10⁸ downloads a month: less by the logarithm
	Freshness  float64 // was updated with the newest listing: half of it for each HalfLife before
	HalfLife   float64 // days
	Rating     float64 // has five stars: less for fewer, and for few reviews; none for three
}

// DefaultRanking is what known items are found best with (BenchmarkRelevance, seed 1),
// and a little for freshness and rating, which known items say nothing about.
var DefaultRanking = Ranking{
	Name: 1.5, Text: 1, Body: 0.3, Stem: 0.6, Synonym: 0.6,
	Start: 0.6, Inside: 0.3, Near: 0.7,
	Side:   0.6,
	Covers: 1, Begins: 1, Tail: 0.3,
	Popularity: 0.5, Freshness: 0.05, HalfLife: 180, Rating: 0.2,
}

// popularity0 is log10 of the popularity that counts in full.
const popularity0 = 8.0

// fame is the factor of a popularity.
func (r *Ranking) fame(popularity int64) float64 {
	return 1 + r.Popularity*math.Log10(1+float64(popularity))/popularity0
}

// maxDays is the age in days from which listings aren't told apart.
const maxDays = 4_000

// fresh are the factors of ages, in days.
func (r *Ranking) fresh() []float32 {
	by := make([]float32, maxDays+1)
	for days := range by {
		by[days] = 1
		if r.HalfLife > 0 {
			by[days] += float32(r.Freshness * math.Exp2(-float64(days)/r.HalfLife))
		}
	}
	return by
}

// liked is the factor of a rating in stars, 0 without reviews (see ratingOf).
func (r *Ranking) liked(stars float64) float64 {
	if stars == 0 {
		return 1
	}
	return 1 + r.Rating*(stars-3)/2
}
