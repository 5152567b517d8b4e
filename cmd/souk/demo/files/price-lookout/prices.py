"""Says whether today's price is low, from a CSV file with the columns day, shop, price, postage."""

import csv
import datetime as dt
import statistics
import sys


def main(path):
    rows = [(dt.date.fromisoformat(r["day"]), r["shop"], float(r["price"]) + float(r["postage"])) for r in csv.DictReader(open(path, newline="", encoding="utf-8"))]
    today = max(day for day, _, _ in rows)
    for _, shop, price in sorted((r for r in rows if r[0] == today), key=lambda r: r[2]):
        past = sorted((day, p) for day, s, p in rows if s == shop and day < today)
        if len(past) < 14:
            print(f"{shop}: {price:.2f}, seen for {len(past)} days only")
            continue
        prices = [p for _, p in past]
        week = [p for day, p in past if (today - day).days <= 10]
        note = ""
        if price <= min(prices):
            note = f"the lowest in {(today - past[0][0]).days} days"
        elif week and max(week) > 1.1 * statistics.median(prices) and price < max(week):
            note = "\"reduced\" from a price that was raised last week"
        print(f"{shop}: {price:.2f}, usually {statistics.median(prices):.2f}" + (f", {note}" if note else ""))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "prices.csv")
