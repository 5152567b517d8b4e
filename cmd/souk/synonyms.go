package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/search"
)

// synonymsFile in the data directory takes the place of the synonyms that come with souk. It
// is read when the marketplace starts, which a line that can't be used prevents.
const synonymsFile = "synonyms.txt"

// synonymsIn reads the operator's synonyms; nil, for the default, when there are none.
func synonymsIn(data string) (*search.Synonyms, error) {
	name := filepath.Join(data, synonymsFile)
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("souk: reading synonyms: %w", err)
	}
	defer f.Close()
	s, err := search.ReadSynonyms(f)
	if err != nil {
		return nil, market.Errorf(market.Invalid, "%s can't be used. %s", name, market.Message(err)).Because(err)
	}
	return s, nil
}
