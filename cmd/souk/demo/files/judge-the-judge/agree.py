"""Agreement of two graders: a CSV file with the columns you, judge (equal words are equal grades)."""

import collections
import csv
import math
import sys


def kappa(pairs):
    n = len(pairs)
    same = sum(a == b for a, b in pairs) / n
    left, right = collections.Counter(a for a, _ in pairs), collections.Counter(b for _, b in pairs)
    luck = sum(left[g] * right[g] for g in left) / n**2
    if luck == 1:
        return same, 1.0, 0.0
    return same, (same - luck) / (1 - luck), 1.96 * math.sqrt(same * (1 - same) / n) / (1 - luck)


if __name__ == "__main__":
    pairs = [(r["you"].strip(), r["judge"].strip()) for r in csv.DictReader(open(sys.argv[1], newline="", encoding="utf-8"))]
    same, k, wide = kappa(pairs)
    print(f"You agree on {same:.0%} of {len(pairs)}. Beyond chance: {k:.2f}, between {k - wide:.2f} and {min(1, k + wide):.2f}.")
    for (you, judge), n in collections.Counter(p for p in pairs if p[0] != p[1]).most_common(5):
        print(f"{n:4} times you said {you!r} and it said {judge!r}")
    if k < 0.6:
        print("Don't decide anything by this judge yet.")
