"""Lists the places of a transcript (JSON with words and probabilities) that should be heard again."""

import json
import sys


def clock(seconds):
    return f"{int(seconds // 60):02}:{seconds % 60:04.1f}"


def places(words, limit):
    """Yields runs of unsure words with a word of context on each side."""
    run = []
    for i, w in enumerate(words + [{"p": 1, "text": "", "start": 0, "end": 0}]):
        unsure = w["p"] < limit or any(c.isdigit() for c in w["text"]) and w["p"] < 0.9
        if unsure:
            run.append(i)
        elif run:
            first, last = max(run[0] - 1, 0), min(run[-1] + 1, len(words) - 1)
            yield words[first]["start"], words[last]["end"], " ".join(
                f"[{x['text']}?]" if j in run else x["text"] for j, x in enumerate(words[first : last + 1], first))
            run = []


if __name__ == "__main__":
    words = json.load(open(sys.argv[1], encoding="utf-8"))["words"]
    limit = float(sys.argv[2]) if len(sys.argv) > 2 else 0.5
    found = list(places(words, limit))
    for start, end, text in found:
        print(f"{clock(start)} to {clock(end)}  {text}")
    print(f"{len(found)} places in {len(words)} words")
