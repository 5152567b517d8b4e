"""Lists the pictures of HTML pages with their description and the text around them."""

import csv
import html.parser
import pathlib
import sys


class Images(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.text = [], ""

    def handle_starttag(self, tag, attrs):
        if tag == "img":
            a = dict(attrs)
            self.found.append([a.get("src", ""), a.get("alt"), self.text[-200:].strip()])

    def handle_data(self, data):
        self.text += " " + " ".join(data.split())


def verdict(alt):
    if alt is None:
        return "missing"
    if alt.lower().startswith(("image of", "picture of", "photo of")):
        return "begins with what is known"
    if alt.lower().endswith((".jpg", ".png", ".webp")):
        return "is a file's name"
    return "too long" if len(alt) > 150 else "empty" if not alt else ""


if __name__ == "__main__":
    out = csv.writer(sys.stdout)
    out.writerow(["page", "picture", "description", "verdict", "before it"])
    for path in sorted(pathlib.Path(sys.argv[1]).rglob("*.html")):
        page = Images()
        page.feed(path.read_text(encoding="utf-8", errors="replace"))
        for src, alt, before in page.found:
            out.writerow([path, src, alt or "", verdict(alt), before])
