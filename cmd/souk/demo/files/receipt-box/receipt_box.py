"""Files receipts: renames pictures as 'DATE SHOP AMOUNT' and sorts them into months."""

import csv
import hashlib
import pathlib
import sys


def main(box, table):
    """Reads a CSV table with the columns file, date, shop, amount."""
    box, seen = pathlib.Path(box), {}
    for row in csv.DictReader(open(table, newline="", encoding="utf-8")):
        source = box / row["file"]
        if not source.exists():
            print(f"{row['file']} isn't in the box")
            continue
        digest = hashlib.sha256(source.read_bytes()).hexdigest()
        month = box / ("doubles" if digest in seen else row["date"][:7])
        month.mkdir(exist_ok=True)
        shop = "".join(c for c in row["shop"] if c.isalnum() or c in " -")
        target = month / f"{row['date']} {shop} {row['amount']}{source.suffix.lower()}"
        if target.exists():
            print(f"{target} is there already; {source} stays")
            continue
        source.rename(target)
        print(f"{digest[:12]}  {target.relative_to(box)}" + (f"  (same as {seen[digest]})" if digest in seen else ""))
        seen.setdefault(digest, target.name)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: receipt_box.py FOLDER table.csv")
    main(*sys.argv[1:])
