"""Decides from a query's plan whether it stays within a budget of rows."""

import json
import re
import sys

BUDGET = 1_000_000


def single(query):
    """Refuses more than one statement, also behind comments."""
    bare = re.sub(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'", " ", query, flags=re.S)
    return bare.strip().rstrip(";").count(";") == 0


def read_rows(plan):
    return plan.get("Plan Rows", 0) + sum(read_rows(p) for p in plan.get("Plans", []))


if __name__ == "__main__":
    # EXPLAIN (FORMAT JSON) … | python3 budget.py
    rows = read_rows(json.load(sys.stdin)[0]["Plan"])
    print(f"{rows:,} rows: " + ("within the budget" if rows <= BUDGET else f"over the budget of {BUDGET:,}. Ask for less."))
    sys.exit(rows > BUDGET)
