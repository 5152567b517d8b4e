"""Ranks papers of a citation graph: CSV lines 'from,to' on standard input, seeds as arguments."""

import collections
import sys


def main(seeds):
    cites, cited = collections.defaultdict(set), collections.defaultdict(set)
    for line in sys.stdin:
        a, _, b = line.strip().partition(",")
        if b:
            cites[a].add(b)
            cited[b].add(a)
    score = collections.Counter({s: 1.0 for s in seeds})
    for _ in range(20):  # a walk that starts again at the seeds one time in four
        new = collections.Counter({s: 0.25 / len(seeds) for s in seeds})
        for paper, weight in score.items():
            around = cites[paper] | cited[paper]
            for other in around:
                new[other] += 0.75 * weight / len(around)
        score = new
    for paper, weight in score.most_common(12 + len(seeds)):
        if paper not in seeds:
            print(f"{weight:.4f}  {paper}  cited by {len(cited[paper])}, cites {len(cites[paper])}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: trail.py SEED… < edges.csv")
    main(sys.argv[1:])
