"""Walks a site and lists dead links, pages without a title, and pictures without a description."""

import html.parser
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import urllib.robotparser


class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.links, self.findings, self.title, self.text, self.href = [], [], False, "", None

    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        if tag == "a" and a.get("href"):
            self.href, self.text = a["href"], ""
            self.links.append(a["href"])
        if tag == "img" and a.get("alt") is None:
            self.findings.append(f"the picture {a.get('src', '')} has no description")
        self.title |= tag == "title"

    def handle_data(self, data):
        self.text += data

    def handle_endtag(self, tag):
        if tag == "a" and self.href and self.text.strip().lower() in ("here", "click here", "more", "link"):
            self.findings.append(f"a link to {self.href} says only {self.text.strip()!r}")


def main(start, most=300):
    host = urllib.parse.urlsplit(start).netloc
    robots = urllib.robotparser.RobotFileParser(urllib.parse.urljoin(start, "/robots.txt"))
    robots.read()
    todo, seen = [(start, "the start")], {start}
    while todo and most:
        url, source = todo.pop(0)
        if not robots.can_fetch("link-walker", url):
            continue
        most -= 1
        time.sleep(1)
        try:
            with urllib.request.urlopen(url, timeout=20) as answer:
                if "html" not in answer.headers.get("Content-Type", "") or urllib.parse.urlsplit(url).netloc != host:
                    continue
                page = Page()
                page.feed(answer.read().decode("utf-8", "replace"))
        except (urllib.error.URLError, TimeoutError) as problem:
            print(f"{source}: the link to {url} fails: {problem}")
            continue
        for finding in page.findings + ([] if page.title else ["the page has no title"]):
            print(f"{url}: {finding}")
        for link in page.links:
            to = urllib.parse.urldefrag(urllib.parse.urljoin(url, link))[0]
            if to.startswith("http") and to not in seen:
                seen.add(to)
                todo.append((to, url))


if __name__ == "__main__":
    main(sys.argv[1])
