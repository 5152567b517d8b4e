"""Turns a mail on standard input into plain text that hides nothing."""

import email
import email.policy
import html.parser
import re
import sys
import unicodedata
import urllib.parse

SPEAKS = re.compile(r"\b(ignore (all|any|the|previous)|as an? (ai|assistant)|system prompt|forward (this|the|all))\b", re.I)


class Visible(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.out, self.hidden = [], 0

    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        style = (a.get("style") or "").replace(" ", "").lower()
        if tag in ("style", "script", "head") or "display:none" in style or "font-size:0" in style:
            self.hidden += 1
        if tag == "a" and a.get("href"):
            self.out.append(f"[{urllib.parse.urlsplit(a['href']).hostname or 'link'}] ")

    def handle_endtag(self, tag):
        if tag in ("style", "script", "head") and self.hidden:
            self.hidden -= 1

    def handle_data(self, data):
        if not self.hidden:
            self.out.append(data)


def plain(text):
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c)[0] != "C")


def main():
    mail = email.message_from_binary_file(sys.stdin.buffer, policy=email.policy.default)
    part = mail.get_body(("plain", "html"))
    text = part.get_content() if part else ""
    if part and part.get_content_type() == "text/html":
        page = Visible()
        page.feed(text)
        text = "".join(page.out)
    print(f"From: {plain(str(mail['From']))}\nSubject: {plain(str(mail['Subject']))}\n")
    for line in plain(text).splitlines():
        print("[speaks to an assistant] " + line if SPEAKS.search(line) else line)


if __name__ == "__main__":
    main()
