"""Balances of a plain-text ledger, by account and currency."""

import collections
import datetime as dt
import decimal
import re
import sys

ENTRY = re.compile(r"^(\d{4}-\d{2}-\d{2}) [*!]")
LEG = re.compile(r"^\s+([A-Z][\w:-]+)(?:\s+(-?[\d,]+(?:\.\d+)?)\s+([A-Z]{3}))?")


def entries(path):
    date, legs = None, []
    for n, line in enumerate(open(path, encoding="utf-8"), 1):
        if head := ENTRY.match(line):
            if legs:
                yield date, legs
            date, legs = dt.date.fromisoformat(head[1]), []
        elif date and (leg := LEG.match(line)):
            legs.append((leg[1], leg[2] and decimal.Decimal(leg[2].replace(",", "")), leg[3], n))
    if legs:
        yield date, legs


def balances(path, until):
    total = collections.Counter()
    for date, legs in entries(path):
        if date > until:
            continue
        rest = collections.Counter()
        for account, amount, currency, _ in legs:
            if amount is not None:
                total[account, currency] += amount
                rest[currency] -= amount
        open_legs = [leg for leg in legs if leg[1] is None]
        if any(rest.values()) and len(open_legs) != 1:
            sys.exit(f"{path}:{legs[0][3]}: this entry is off by {dict(rest)}")
        for currency, amount in rest.items():
            if amount:
                total[open_legs[0][0], currency] += amount
    return total


if __name__ == "__main__":
    until = dt.date.fromisoformat(sys.argv[2]) if len(sys.argv) > 2 else dt.date.max
    for (account, currency), amount in sorted(balances(sys.argv[1], until).items()):
        if amount:
            print(f"{account:40} {amount:>14,.2f} {currency}")
