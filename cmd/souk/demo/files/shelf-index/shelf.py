"""Indexes text files and finds lines by their words, with file and line number."""

import collections
import json
import math
import pathlib
import re
import sys
import unicodedata


def words(text):
    return re.findall(r"\w+", unicodedata.normalize("NFKC", text).lower())


def build(folder):
    index, lengths = collections.defaultdict(list), {}
    for path in sorted(p for p in pathlib.Path(folder).rglob("*") if p.suffix in (".txt", ".md")):
        for n, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            found = words(line)
            if found:
                place = f"{path}:{n}"
                lengths[place] = len(found)
                for w, count in collections.Counter(found).items():
                    index[w].append((place, count))
    return {"index": index, "lengths": lengths}


def find(data, query, most=5):
    """Scores lines by BM25, k1 = 1.2 and b = 0.75."""
    lengths, scores = data["lengths"], collections.Counter()
    mean = sum(lengths.values()) / max(len(lengths), 1)
    for w in words(query):
        hits = data["index"].get(w, [])
        idf = math.log(1 + (len(lengths) - len(hits) + 0.5) / (len(hits) + 0.5))
        for place, tf in hits:
            scores[place] += idf * tf * 2.2 / (tf + 1.2 * (0.25 + 0.75 * lengths[place] / mean))
    return scores.most_common(most)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: shelf.py FOLDER WORDS…")
    data = json.loads(json.dumps(build(sys.argv[1])))
    places = find(data, " ".join(sys.argv[2:]))
    for place, score in places:
        print(f"{score:5.1f}  {place}")
    if len(places) == 1:
        print("This stands on one leg.")
    elif not places:
        print("Nothing has these words.")
