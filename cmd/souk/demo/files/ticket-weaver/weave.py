"""Groups texts (a line each) by the words they share, without a model."""

import collections
import math
import re
import sys

STOP = set("the a an and or of to in is it i my me we you for on with this that not can t have has be are was but at as so from".split())


def words(text):
    return {w for w in re.findall(r"[a-zà-ÿ]{3,}", text.lower()) if w not in STOP}


def main():
    texts = [line.strip() for line in sys.stdin if line.strip()]
    bags = [words(t) for t in texts]
    seen = collections.Counter(w for bag in bags for w in bag)
    weight = {w: math.log(len(texts) / n) for w, n in seen.items()}

    def near(a, b):
        both = sum(weight[w] for w in a & b)
        return both / (sum(weight[w] for w in a | b) or 1)

    groups = []  # the first text of each leads it
    for i, bag in enumerate(bags):
        best = max(groups, key=lambda g: near(bag, bags[g[0]]), default=None)
        if best and near(bag, bags[best[0]]) > 0.2:
            best.append(i)
        else:
            groups.append([i])
    alone = [g for g in groups if len(g) == 1]
    for g in sorted(groups, key=len, reverse=True):
        if len(g) > 1:
            middle = max(g, key=lambda i: sum(near(bags[i], bags[j]) for j in g))
            print(f"{len(g):5}  {texts[middle]}")
    print(f"{len(alone):5}  fit nowhere")


if __name__ == "__main__":
    main()
