"""Finds suspicious numbers in a CSV export: text among numbers, jumps in size, totals that don't add up."""

import csv
import statistics
import sys


def number(text):
    try:
        return float(text.replace(",", "").replace("'", ""))
    except ValueError:
        return None


def look(name, values):
    """Yields row and finding for a column; rows count from 2, below the header."""
    found = [(row, number(v)) for row, v in enumerate(values, 2) if v.strip()]
    numbers = [(row, n) for row, n in found if n is not None]
    if len(numbers) < 5:
        return
    if len(found) - len(numbers) <= len(found) / 20:
        for row, n in found:
            if n is None:
                yield row, f"{values[row - 2]!r} is text, and counts as zero in a sum"
    middle = statistics.median(abs(n) for _, n in numbers if n) if any(n for _, n in numbers) else 0
    for row, n in numbers[:-1]:
        if middle and n and not 0.001 < abs(n) / middle < 1000:
            yield row, f"{n:,.2f} is of another size than the rest (the middle is {middle:,.2f})"
    row, last = numbers[-1]
    total = sum(n for _, n in numbers[:-1])
    first = numbers[0][1]
    if last != total and round(last, 2) == round(total - first, 2):
        yield row, f"the total leaves out the first row ({first:,.2f})"


if __name__ == "__main__":
    with open(sys.argv[1], newline="", encoding="utf-8-sig") as f:
        header, *rows = csv.reader(f)
    for column, name in enumerate(header):
        for row, finding in look(name, [r[column] if column < len(r) else "" for r in rows]):
            print(f"row {row}, {name}: {finding}")
