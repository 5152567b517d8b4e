package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/souk-market/souk/search"
)

// synonymsFile in the data directory takes the place of the synonyms that come with souk.
const synonymsFile = "synonyms.txt"

// synonymsIn reads the operator's synonyms; nil, for the default, when there are none.
func synonymsIn(data string) (*search.Synonyms, error) {
	f, err := os.Open(filepath.Join(data, synonymsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("souk: reading synonyms: %w", err)
	}
	defer f.Close()
	return search.ReadSynonyms(f)
}
