package store

import "testing"

// TestCompactReadSet: it has the same keys, each once, and room for nothing else.
func TestCompactReadSet(t *testing.T) {
	var s ReadSet
	s.LSN, s.Timed = 7, true
	for _, k := range []string{"b", "a", "b", "", "abc"} {
		s.point([]byte(k))
	}
	s.scanned([]byte("m"), []byte("n"), []byte("mn"))
	s.scanned([]byte("p"), []byte("q"), nil)
	c, size := s.Compact()
	if len(c.Points) != 4 || c.LSN != 7 || !c.Timed || cap(c.arena) != len(c.arena) || size < int64(len(c.arena)) {
		t.Errorf("%+v of %d bytes", c, size)
	}
	for _, k := range []string{"", "a", "ab", "abc", "b", "c", "m", "ma", "mn", "mo", "n", "p", "pzz", "q"} {
		if c.Touches([]byte(k)) != s.Touches([]byte(k)) {
			t.Errorf("%q: %t", k, c.Touches([]byte(k)))
		}
	}
}
