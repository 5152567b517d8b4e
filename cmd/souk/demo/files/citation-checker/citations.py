"""Lists the citations of a Markdown text, and those without an entry in its list of sources."""

import re
import sys

KEY = re.compile(r"\[@([\w:-]+)(?:, p\. ?(\d+))?\]")
ENTRY = re.compile(r"^@\w+\{([\w:-]+),", re.M)
YEAR = re.compile(r"(\d{4})")


def main(text_file, bib_file):
    text, bib = open(text_file, encoding="utf-8").read(), open(bib_file, encoding="utf-8").read()
    known, used = set(ENTRY.findall(bib)), set()
    for n, line in enumerate(text.splitlines(), 1):
        for key, page in KEY.findall(line):
            used.add(key)
            verdict = "not in the list of sources" if key not in known else "" if page else "no page"
            if verdict:
                print(f"{text_file}:{n}: {key}: {verdict}")
    for key in sorted(known - used):
        print(f"{bib_file}: {key} is never cited")
    print(f"{len(used)} sources are cited, {len(used & known)} of them listed")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: citations.py TEXT.md SOURCES.bib")
    main(*sys.argv[1:])
