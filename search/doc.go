// Package search finds published agents by what people type. It owns one Bleve index
// (scorch) in a directory, which follows the store's change log; it promises the ranking,
// the tolerance and the bounds below; it leaves to its callers to load what it found.
//
// # Use
//
// Open makes or opens the directory and starts nothing; Run follows the store until its
// context ends; Close comes after Run has returned. Search may be called at any time from
// any goroutine.
//
// An index lags behind the store by some milliseconds, and by up to a second while many
// agents change. So Search returns IDs, never records: a caller loads each again from the
// store and leaves out what is gone or no longer visible. WaitFor waits until a commit has
// arrived, and hastens it.
//
// # What is kept
//
// Only published agents are documents. One index holds all tenants, but each tenant has
// its own fields ("text@ten_main"), hence its own dictionaries and postings: a search
// opens no others, so neither results nor counts nor spelling can tell of another
// tenant. One index rather than one a tenant, because then one cursor, in one atomic
// batch, says what has been followed. The fields of a tenant:
//
//	name   words of the name, and neighbours written together: "langchain-chroma" is
//	       langchain, chroma and langchainchroma
//	text   words of summary, tags, category and source, without stop words and without those
//	       of name
//	stem   stems of the words of name and text that aren't stems themselves: of English as
//	       they are, of German, French, Spanish, Italian, Portuguese, Dutch and Russian after
//	       the language ("de/such"), which is told by a text's commonest words
//	body   words of description, facts and seller's name, with their stems
//	pair   words that stand side by side in any of these, as 13 bits of a hash, or 16 in
//	       what isn't text: for phrases
//	fact   what agents share: their profile, seller and tags, encoded (facts.go)
//
// Words are folded: lower case, without accents, ß as ss; Schlüssel is schluessel too.
// Scripts without spaces, and Korean, are kept as their overlapping pairs of characters.
//
// There is no field of beginnings (edge n-grams). A lexicon in memory per segment and
// tenant has the sorted words of name and text, the sorted keys of names (their letters and
// digits, and those after the last slash, run together), a suffix array of the keys, and for
// both a table of what is left of each without any one character (edits.go): about 0.4 kB a
// listing, so that a beginning, a text inside of names, or what is one edit away is found in
// some µs. Its parts are made when they are first needed, and in the background when the
// index has been opened or merged, from the dictionaries and the names.
//
// Fields hold which documents have a word, not how often: in a line of text frequency
// says little, and repeating a word must not lift a listing. What ranking, filters, facets
// and suggestions need of a document is stored with it or among the terms of fact, and is
// read into columns in memory once a segment of the index, about 250 bytes a document
// (columns.go).
//
// A document has what it needs of its agent, of its text and of its seller. A changed text
// has its agent indexed anew; a seller's new name, address or standing all agents of theirs,
// 2,000 at a time, with other changes in between (sweep.go). Categories and their parents
// are read from the store and kept beside the index.
//
// # Filters, facets, orders
//
// The values of one filter are alternatives, those of without all hold, and filters narrow
// one another. A category has its sub-categories' agents. A facet counts what each value
// would find beside all other filters. What facets show of an agent is its profile, of which
// a catalogue has few: matches are counted by profile, and profiles by value (tally.go).
// Every order is total (equals by popularity, then ID), so that pages neither overlap nor
// leave gaps while nothing changes, and all results can be paged through.
//
// # Suggestions, relations
//
// Suggestions are found in memory by the beginnings of all words of names (wordstarts.go).
// Related agents are those that share tags, category, seller or words that one in twenty
// agents has at most; of a large category only its most popular are among them (related.go).
//
// # Generations, cursor, crashes
//
// Each build of the index is a directory of its own, g000001, g000002, …. A batch writes
// documents and cursor (LSN, chain hash) together, and what is on disk is always the
// state after some batch; so whatever was lost in a crash is followed again. A generation
// without a cursor was not finished. One is passed over, and a new one built from the
// store's records, when it can't be read, fails its checksums, was written by another
// version of this package or for other tenants, or when its cursor isn't on the store's
// history. If the change log has been cut, or Rebuild is called, the old one serves until
// the new one is complete. Then all others are removed.
//
// # Query
//
// Every word must match, stop words aside. What isn't syntax is words, and what is beyond
// the limits is left out, so no text is refused:
//
//	"two words"     stand side by side, as they are
//	-word           isn't there; -"two words" don't stand side by side
//	lang*           is a beginning
//	name:word       is in the name
//	tag:a seller:b category:c
//	                have this tag, seller (address or name) or category
//
// A word matches as itself, by its stems, by its synonyms (synonyms.txt, or Options), or
// written together with its neighbour. Where fewer than 20 listings match the last word, it
// also matches as a beginning; where fewer than 20 match any, or it is the only one, also
// inside of names: chain finds langchain. A text of words only also finds the names that
// begin with it, run together or not.
//
// Where fewer than three listings match all words and none is named so, what is spelled
// nearly so matches too: names one edit from the whole text, and for a word that no listing
// has, or one or two and twenty times as many one nearly so, words one edit away (from four
// characters on) or, if no listing has it, two (from eight on, the same first character).
// Exchanged neighbours are one edit, and digits stay. If nothing at all matched as it was
// typed, Understood is the corrected text; else DidYouMean proposes it. Nearby proposes
// texts that do find something when even that finds nothing.
//
// # Ranking
//
// In tiers: listings whose whole name is the query, the most popular first; listings that
// match as typed; listings named as the query was corrected; other guesses. So no guess
// stands above a match. Within the second and the last, the order is by
//
//	Σ over words ( idf × Σ weights of the ways in which it matches )
//	  × (1 + Covers × share of the name's words that the query has, if all are in it)
//	  × (1 + Begins × share of the name that the query is the beginning of)
//	  × (1 + Tail, if what follows the last slash of the name is the query)
//	  × (1 + Popularity × log10(1 + popularity) / 8)
//	  × (1 + Freshness × 2^(−age / HalfLife)), age counted from the newest listing
//	  × (1 + Rating × (stars − 3) / 2), stars being pulled to 3.5 where reviews are few
//
// idf = ln(1 + (N − n + ½) / (n + ½)) (Robertson and Spärck Jones). Weights are Ranking's,
// and an operator's to set. Equals are ordered by popularity, then by ID. Nothing is paid
// for, and nothing else counts.
//
// How well it ranks is measured by known items (known_test.go): BenchmarkRelevance, and
// TestKnownItems over testdata/known.tsv. testdata/golden.txt has what is expected of single
// queries. Both are text to be edited.
//
// # Bounds
//
// A query has at most 256 bytes, 12 words and 32 values of a filter; a beginning is taken
// for at most 48 words of 4,000 that are read; 4,000 words at most are compared for two
// edits; 8 synonyms a word.
// FuzzSearch bounds the work of any text by a counter of it.
package search
