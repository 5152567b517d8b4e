"""Recuts an SRT file: two lines of 42 characters at most, 17 characters a second at most."""

import re
import sys

WIDE, RATE = 42, 17
BAD_END = {"the", "a", "an", "of", "to", "and", "or", "in", "on", "my", "your", "his", "her", "mr", "mrs", "dr"}


def seconds(stamp):
    h, m, s = stamp.replace(",", ".").split(":")
    return int(h) * 3600 + int(m) * 60 + float(s)


def stamp(t):
    return f"{int(t // 3600):02}:{int(t % 3600 // 60):02}:{t % 60:06.3f}".replace(".", ",")


def lines(text):
    if len(text) <= WIDE:
        return [text]
    words, best = text.split(), None
    for i in range(1, len(words)):
        a, b = " ".join(words[:i]), " ".join(words[i:])
        cost = abs(len(a) - len(b)) + 30 * (words[i - 1].lower() in BAD_END) - 12 * (a[-1] in ",.;:?!") + 200 * (max(len(a), len(b)) > WIDE)
        if best is None or cost < best[0]:
            best = cost, [a, b]
    return best[1] if best else [text]


def main(path):
    blocks = re.findall(r"(\S+) --> (\S+)\s*\n(.+?)(?:\n\s*\n|\Z)", open(path, encoding="utf-8-sig").read(), re.S)
    for n, (start, end, text) in enumerate(blocks, 1):
        text, t0, t1 = " ".join(text.split()), seconds(start), seconds(end)
        after = seconds(blocks[n][0]) - 0.08 if n < len(blocks) else t1 + 5
        t1 = min(max(t1, t0 + max(1, len(text) / RATE)), after)
        print(n, f"{stamp(t0)} --> {stamp(t1)}", *lines(text), "", sep="\n")
        if len(text) / max(t1 - t0, 0.1) > RATE:
            print(f"{stamp(t0)}: too fast to read, shorten it: {text}", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1])
