"""Finds words that stand in the same places: candidates for being one term."""

import collections
import math
import pathlib
import re
import sys


def main(folder, least=20):
    before_after, count = collections.defaultdict(collections.Counter), collections.Counter()
    for path in pathlib.Path(folder).rglob("*.md"):
        w = re.findall(r"[a-z]{2,}", path.read_text(encoding="utf-8", errors="replace").lower())
        for a, b, c in zip(w, w[1:], w[2:]):
            before_after[b][a + " _ " + c] += 1
            count[b] += 1
    common = [w for w, n in count.items() if n >= least and len(w) > 3]

    def near(a, b):
        x, y = before_after[a], before_after[b]
        dot = sum(n * y[k] for k, n in x.items())
        return dot / math.sqrt(sum(n * n for n in x.values()) * sum(n * n for n in y.values()))

    pairs = ((near(a, b), a, b) for i, a in enumerate(common) for b in common[i + 1 :])
    for score, a, b in sorted(pairs, reverse=True)[:30]:
        print(f"{score:.2f}  {a} ({count[a]})  {b} ({count[b]})")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else ".")
