"""Applies the certain rules of a style guide to texts. Needs Python 3.11."""

import re
import sys
import tomllib


def main(guide, paths):
    rules = [(r["name"], re.compile(r["find"]), r["say"]) for r in tomllib.load(open(guide, "rb"))["rule"]]
    count = 0
    for path in paths:
        for n, line in enumerate(open(path, encoding="utf-8"), 1):
            for name, pattern, say in rules:
                for m in pattern.finditer(line):
                    count += 1
                    print(f"{path}:{n}:{m.start() + 1}: {m[0]!r}: {say} ({name})")
    return count


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: house_style.py guide.toml TEXT…")
    sys.exit(main(sys.argv[1], sys.argv[2:]) > 0)
