package markdown

import "sync"

// cacheBytes bounds each of a Cache's two halves, texts and HTML together.
const cacheBytes = 4 << 20

// Cache remembers what it has made of texts, 8 MiB of them at most. When its younger half
// is full, that becomes the older one, and what was in the older one and hasn't been asked
// for since is forgotten. The zero value is ready.
type Cache struct {
	mu    sync.Mutex // guards what follows
	young map[cached]string
	old   map[cached]string
	bytes int // of young
}

type cached struct {
	text  string
	level int
}

// HTML is the function HTML.
func (c *Cache) HTML(text string, level int) string {
	key := cached{text, level}
	if html, ok := c.find(key); ok {
		return html
	}
	html := HTML(text, level)
	c.keep(key, html)
	return html
}

func (c *Cache) find(key cached) (html string, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if html, ok = c.young[key]; ok {
		return html, true
	}
	if html, ok = c.old[key]; ok {
		c.add(key, html)
	}
	return html, ok
}

func (c *Cache) keep(key cached, html string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.young[key]; !ok {
		c.add(key, html)
	}
}

// add puts a text into the younger half; mu is held.
func (c *Cache) add(key cached, html string) {
	size := len(key.text) + len(html)
	if size > cacheBytes {
		return
	}
	if c.young == nil || c.bytes+size > cacheBytes {
		c.young, c.old, c.bytes = map[cached]string{}, c.young, 0
	}
	c.young[key] = html
	c.bytes += size
}
