"""Runs cases (JSON lines: in, want) through a command and compares the score with an earlier run."""

import argparse
import json
import math
import pathlib
import subprocess


def interval(right, n):
    """Wilson's interval at 95 %."""
    z, p = 1.96, right / n
    middle, wide = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (middle - wide) / (1 + z * z / n), (middle + wide) / (1 + z * z / n)


def chance(up, down):
    """How likely a difference as large is by chance: the sign test on the cases that changed."""
    n, k = up + down, min(up, down)
    return min(1.0, 2 * sum(math.comb(n, i) for i in range(k + 1)) / 2**n) if n else 1.0


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("cases")
    p.add_argument("--last", help="results of the last run")
    p.add_argument("--save", default="results.json")
    p.add_argument("command", nargs="+")
    a = p.parse_args()
    now = {}
    for line in open(a.cases, encoding="utf-8"):
        case = json.loads(line)
        out = subprocess.run(a.command, input=case["in"], capture_output=True, text=True).stdout
        now[case["in"]] = case["want"].lower() in out.lower()
    right, n = sum(now.values()), len(now)
    low, high = interval(right, n)
    print(f"{right} of {n} right: {right / n:.0%}, between {low:.0%} and {high:.0%}")
    if a.last:
        old = json.loads(pathlib.Path(a.last).read_text())
        up, down = (sum(now[k] is v and old.get(k) is (not v) for k in now) for v in (True, False))
        c = chance(up, down)
        print(f"{up} better, {down} worse. " + ("That may well be chance." if c > 0.05 else f"That is hardly chance (p = {c:.3f})."))
    pathlib.Path(a.save).write_text(json.dumps(now))


if __name__ == "__main__":
    main()
