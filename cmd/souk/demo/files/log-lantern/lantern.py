"""Compares the lines of two logs by their shape: new, gone, and much more frequent."""

import collections
import gzip
import re
import sys

HOLES = [(re.compile(p), r) for p, r in [
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S*", ""), (r"\b[0-9a-f]{8}-[0-9a-f-]{27}\b|\b[0-9a-f]{12,}\b", "<id>"),
    (r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b", "<host>"), (r"(?:/[\w.-]+){2,}", "<path>"), (r'"[^"]*"', "<text>"), (r"\d+", "<n>")]]


def shape(line):
    for pattern, hole in HOLES:
        line = pattern.sub(hole, line)
    return " ".join(line.split())


def read(path):
    first, count = {}, collections.Counter()
    with (gzip.open if path.endswith(".gz") else open)(path, "rt", errors="replace") as f:
        for n, line in enumerate(f, 1):
            s = shape(line)
            count[s] += 1
            first.setdefault(s, n)
    return first, count


def main(before, after):
    _, old = read(before)
    first, new = read(after)
    scale = sum(new.values()) / max(sum(old.values()), 1)
    for s in sorted(first, key=first.get):
        if s not in old:
            print(f"NEW  {new[s]:6}×  line {first[s]:7}  {s[:120]}")
        elif new[s] > 10 * scale * old[s] and new[s] > 20:
            print(f"MORE {new[s]:6}×  line {first[s]:7}  {s[:120]}")
    for s, n in old.items():
        if s not in new and n >= 5:
            print(f"GONE (was {n}×)          {s[:120]}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: lantern.py YESTERDAY.log TODAY.log")
    main(*sys.argv[1:])
