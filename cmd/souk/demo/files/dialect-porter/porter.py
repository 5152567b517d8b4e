"""Compares what two SQLite databases answer to the same question in two dialects."""

import decimal
import sqlite3
import sys


def plain(value):
    if isinstance(value, float):
        return decimal.Decimal(repr(value)).normalize()
    return value


def rows(path, query, limit=10_000):
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        return [tuple(plain(v) for v in row) for row in db.execute(query).fetchmany(limit)]


def verdict(old, new):
    if old == new:
        return "same"
    if sorted(map(repr, old)) == sorted(map(repr, new)):
        return "same but for order"
    first = next((n for n, pair in enumerate(zip(old, new), 1) if pair[0] != pair[1]), min(len(old), len(new)) + 1)
    return f"different from row {first}: {len(old)} and {len(new)} rows"


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit("usage: porter.py OLD.db old.sql NEW.db new.sql")
    answers = [rows(db, open(sql, encoding="utf-8").read()) for db, sql in (sys.argv[1:3], sys.argv[3:5])]
    print(verdict(*answers))
