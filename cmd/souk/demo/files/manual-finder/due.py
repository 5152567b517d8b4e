"""Lists what is due this month, from house.csv and a log of what was done."""

import csv
import datetime as dt
import pathlib


def main(today):
    done = {}
    log = pathlib.Path("done.csv")  # lines: machine,2026-10-01
    if log.exists():
        for machine, day in csv.reader(log.open(encoding="utf-8")):
            done[machine] = max(done.get(machine, day), day)
    for row in csv.DictReader(open("house.csv", newline="", encoding="utf-8")):
        last = dt.date.fromisoformat(done.get(row["machine"], row["bought"]))
        due = last + dt.timedelta(int(row["every_days"]))
        if due <= today + dt.timedelta(30):
            print(f"{row['machine']}: {row['what']}, due {due}")
        left = (dt.date.fromisoformat(row["guarantee_until"]) - today).days
        if 0 <= left <= 60:
            print(f"{row['machine']}: the guarantee ends in {left} days")


if __name__ == "__main__":
    main(dt.date.today())
