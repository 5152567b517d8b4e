"""Answers one SELECT over one SQLite file, which is opened read-only."""

import json
import sqlite3
import sys
import time

ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION}
LIMIT, SECONDS = 200, 2


def connect(path):
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    db.row_factory = sqlite3.Row
    end = time.monotonic() + SECONDS
    db.set_progress_handler(lambda: time.monotonic() > end, 10_000)
    return db


def schema(db):
    for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1").fetchall():
        names = [row["name"] for row in db.execute(f'PRAGMA table_info("{table}")')]
        some = db.execute(f'SELECT * FROM "{table}" LIMIT 3').fetchall()
        print(f"Table {table}:")
        for name in names:
            print(f"  {name}, such as", ", ".join(repr(row[name]) for row in some) or "nothing yet")


def ask(db, query):
    db.set_authorizer(lambda action, *_: sqlite3.SQLITE_OK if action in ALLOWED else sqlite3.SQLITE_DENY)
    for row in db.execute(query).fetchmany(LIMIT):
        print(json.dumps(dict(row), ensure_ascii=False, default=repr))


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: sqlite_window.py FILE.db [SELECT …]")
    window = connect(sys.argv[1])
    ask(window, sys.argv[2]) if len(sys.argv) == 3 else schema(window)
