"""Measures ways to cut a text by how often the piece with the answer is among the first five."""

import collections
import json
import math
import re
import sys


def paragraphs(text):
    return [p for p in re.split(r"\n\s*\n", text) if p.strip()]


def headings(text):
    return [p for p in re.split(r"(?m)^(?=#+ )", text) if p.strip()]


def size(n, overlap=0):
    def cut(text):
        w = text.split()
        return [" ".join(w[i : i + n]) for i in range(0, len(w), n - overlap)]
    return cut


CUTS = {"by heading": headings, "by paragraph": paragraphs, "100 words": size(100), "100 words, overlap 25": size(100, 25), "300 words": size(300)}


def rank(pieces, question):
    bags = [collections.Counter(re.findall(r"\w+", p.lower())) for p in pieces]
    df = collections.Counter(w for b in bags for w in b)
    ask = re.findall(r"\w+", question.lower())
    score = [sum(math.log(1 + len(bags) / df[w]) * b[w] / (b[w] + 1) for w in ask if b[w]) for b in bags]
    return sorted(range(len(pieces)), key=lambda i: -score[i])[:5]


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit('usage: chunk_ruler.py TEXT.md questions.jsonl   (lines: {"q": "…", "a": "words of the answer"})')
    text = open(sys.argv[1], encoding="utf-8").read()
    asked = [json.loads(line) for line in open(sys.argv[2], encoding="utf-8")]
    squash = lambda s: " ".join(s.split()).lower()
    for name, cut in CUTS.items():
        pieces = cut(text)
        hits = sum(any(squash(q["a"]) in squash(pieces[i]) for i in rank(pieces, q["q"])) for q in asked)
        print(f"{name:24} {hits / len(asked):.2f}   {len(pieces)} pieces")
