"""Counts what makes an English text hard to read, with line numbers."""

import re
import sys

KINDS = {
    "the doer is missing": r"\b(?:is|are|was|were|be|been|being) (?:\w+ly )?\w+(?:ed|wn|ken|ven)\b(?! by)",
    "the verb hides in a noun": r"\b\w{3,}(?:tion|ment|ance|ence) of\b",
    "two negations": r"\bnot (?:un|in|im)\w+|\bno(?:t|thing) [^.]{0,20}\bwithout\b",
    "a word for insiders": r"\b(?:pursuant|aforementioned|hereby|thereof|commence|utili[sz]e|prior to|in respect of|leverage)\b",
}


def main(path):
    text = open(path, encoding="utf-8").read()
    found = 0
    for n, line in enumerate(text.splitlines(), 1):
        for kind, pattern in KINDS.items():
            for m in re.finditer(pattern, line, re.I):
                found += 1
                print(f"{path}:{n}: {kind}: {m[0]!r}")
    for sentence in re.split(r"(?<=[.!?])\s+", text):
        if len(sentence.split()) > 30:
            found += 1
            print(f"a sentence with two jobs: {' '.join(sentence.split()[:8])} …")
    print(f"{100 * found / max(len(text.split()), 1):.1f} in a hundred words")


if __name__ == "__main__":
    main(sys.argv[1])
