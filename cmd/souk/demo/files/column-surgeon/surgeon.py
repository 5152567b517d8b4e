"""Applies rules of the form 'column: "old", "old" -> "new"' to a CSV file."""

import collections
import csv
import re
import sys

RULE = re.compile(r'^(\w+): (.+) -> "(.*)"$')


def rules(path):
    found = {}
    for n, line in enumerate(open(path, encoding="utf-8"), 1):
        if not line.strip() or line.startswith("#"):
            continue
        m = RULE.match(line.strip())
        if not m:
            sys.exit(f"{path}:{n}: a rule looks like: country: \"Germany\", \"GER\" -> \"DE\"")
        for old in re.findall(r'"([^"]*)"', m[2]):
            found[m[1], old] = m[3]
    return found


def main(rule_file, source, target):
    known, used = rules(rule_file), collections.Counter()
    with open(source, newline="", encoding="utf-8-sig") as i, open(target, "x", newline="", encoding="utf-8") as o:
        read = csv.DictReader(i)
        write = csv.DictWriter(o, read.fieldnames)
        write.writeheader()
        for row in read:
            for column, value in row.items():
                if (column, value) in known:
                    row[column] = known[column, value]
                    used[column, value] += 1
            write.writerow(row)
    for (column, old), n in used.most_common():
        print(f"{n:8} {column}: {old!r} -> {known[column, old]!r}")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: surgeon.py RULES IN.csv OUT.csv")
    main(*sys.argv[1:])
