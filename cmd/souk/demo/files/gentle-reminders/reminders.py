"""Says which letter each open invoice is due today, and fills it in."""

import csv
import datetime as dt
import pathlib
import sys

STEPS = [(35, "3-final"), (21, "2-clear"), (7, "1-friendly")]


def main(table, today, sender):
    for row in csv.DictReader(open(table, newline="", encoding="utf-8")):
        late = (today - dt.date.fromisoformat(row["due"])).days
        step = next((name for days, name in STEPS if late >= days), None)
        if not step:
            continue
        amount = float(row["amount"])
        interest = amount * 0.08 * late / 365
        text = pathlib.Path("letters", step + ".txt").read_text(encoding="utf-8")
        print(text.format(**{**row, "amount": f"{amount:.2f}"}, days=late, interest=f"{interest:.2f}", sum=f"{amount + interest:.2f}",
                          until=today + dt.timedelta(14), sender=sender))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: reminders.py open.csv 'Your name'   (columns: name, number, date, due, amount)")
    main(sys.argv[1], dt.date.today(), sys.argv[2])
