"""Turns a soil sensor's millivolts into a share of wetness, and says what to do."""

import sys


def wetness(millivolts, dry=620, wet=310):
    return max(0.0, min(1.0, (dry - millivolts) / (dry - wet)))


def advice(share):
    if share < 0.25:
        return "dry: water today"
    if share < 0.55:
        return "fine"
    return "wet: leave it"


if __name__ == "__main__":
    for line in sys.stdin:
        share = wetness(float(line))
        print(f"{share:.0%} {advice(share)}")
