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
//	text   words of name, summary, category and source, without stop words
//	stem   English stems of those words of text that aren't stems themselves
//
// There is no field of beginnings (edge n-grams): it would make the index three times as
// large and as slow to build. A beginning is looked up in the dictionary instead, and the
// commonest 48 words that go on from it are searched for, in names and text.
//
// Fields hold which documents have a word, not how often: in a line of text frequency
// says little, and repeating a word must not lift a listing. What ranking and facets need
// of a document (category, popularity, length of the name) is stored with it, and is read
// into columns in memory once a segment of the index, about 100 bytes a document.
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
// A query is plain words. There is no syntax: quotes, brackets and stars separate words
// like spaces do. Every word must match, stop words aside; a word matches as itself, by
// its English stem, or written together with its neighbour. Where fewer than 20 listings
// match the last word, it also matches as a beginning. Where none match a word, or one or
// two and twenty times as many match one spelled nearly so, that is understood too: one
// edit away for words of four characters and more, two from eight on; exchanged
// neighbours are one edit, and digits stay. Results say what was understood.
//
// # Ranking
//
// First come listings whose whole name is the query, the most popular first. All others
// are ordered by
//
//	Σ over words ( idf × Σ weights of the ways in which it matches )
//	  × (1 + share of the name that the query covers, if all words are in it)
//	  × (1 + 0.5 × log10(1 + popularity) / 8)
//	  × 1.3, if what follows the last slash of the name is the query
//
// The weights are 1.5 for a word of the name, 1 for one of text (which has those of the
// name too), 0.6 for another form of it, and less for beginnings and corrections;
// idf = ln(1 + (N − n + ½) / (n + ½)) (Robertson and Spärck Jones). Equals are ordered by
// popularity, then by ID. Nothing is paid for, and nothing else counts.
//
// # Bounds
//
// A query has at most 256 bytes and 12 words, and at most 10,000 results can be paged
// through. Expansions are counted, so no query costs more than some milliseconds at
// 30,000 listings.
package search
