"""Compares placeholders, tags and links of source and translation (JSON files with equal keys)."""

import collections
import json
import re
import sys

PART = re.compile(r"\{\w*\}|%(?:\d+\$)?[sdf]|</?\w+[^>]*>|https?://[^\s)\"]+")


def parts(text):
    return collections.Counter(PART.findall(text))


def main(source, target):
    ours, theirs = json.load(open(source, encoding="utf-8")), json.load(open(target, encoding="utf-8"))
    bad = 0
    for key, text in ours.items():
        if key not in theirs:
            bad += 1
            print(f"{key}: isn't translated")
            continue
        lost, extra = parts(text) - parts(theirs[key]), parts(theirs[key]) - parts(text)
        if lost or extra:
            bad += 1
            print(f"{key}: lost {sorted(lost.elements())}, extra {sorted(extra.elements())}")
    for key in theirs.keys() - ours.keys():
        print(f"{key}: the source has it no longer")
    print(f"{len(ours) - bad} of {len(ours)} are whole")
    return bad


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: placeholders.py en.json fr.json")
    sys.exit(main(*sys.argv[1:]) > 0)
