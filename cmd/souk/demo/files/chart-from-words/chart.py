"""Draws a CSV file with two columns (label, number) as a bar chart in SVG."""

import csv
import html
import sys

WIDE, BAR, LEFT = 640, 28, 160


def chart(rows, unit, source):
    top = max(n for _, n in rows)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDE} {BAR * len(rows) + 40}" font-family="sans-serif" font-size="13">']
    for i, (label, n) in enumerate(rows):
        y, w = i * BAR, (WIDE - LEFT - 80) * n / top
        out.append(f'<text x="{LEFT - 8}" y="{y + 18}" text-anchor="end">{html.escape(label)}</text>')
        out.append(f'<rect x="{LEFT}" y="{y + 4}" width="{w:.1f}" height="{BAR - 8}" fill="#2456a6"/>')
        out.append(f'<text x="{LEFT + w + 6:.1f}" y="{y + 18}">{n:g} {html.escape(unit)}</text>')
    out.append(f'<text x="0" y="{BAR * len(rows) + 30}" fill="#666">Source: {html.escape(source)}. The bars begin at zero.</text></svg>')
    return "\n".join(out)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: chart.py FILE.csv UNIT > chart.svg")
    with open(sys.argv[1], newline="", encoding="utf-8-sig") as f:
        _, *data = csv.reader(f)
    rows = [(label, float(n)) for label, n in data]
    if any(n < 0 for _, n in rows):
        sys.exit("bars below zero need another kind of chart")
    print(chart(rows, sys.argv[2], sys.argv[1]))
