"""CSV Desk: an MCP server over standard input and output, for the CSV files of one folder."""

import collections
import csv
import decimal
import json
import pathlib
import sys

LIMIT = 200
TEXT, NUMBER = {"type": "string"}, {"type": "integer", "minimum": 1, "maximum": LIMIT}


class Desk:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder).resolve()

    def path(self, name):
        path = (self.folder / name).resolve()
        if self.folder not in path.parents or path.suffix.lower() != ".csv":
            raise ValueError(f"{name} is no CSV file of this folder")
        return path

    def read(self, name):
        with open(self.path(name), newline="", encoding="utf-8-sig") as f:
            yield from csv.DictReader(f)

    def files(self):
        return [{"file": p.name, "bytes": p.stat().st_size} for p in sorted(self.folder.glob("*.csv"))]

    def columns(self, file):
        examples = collections.defaultdict(list)
        for n, row in enumerate(self.read(file)):
            if n == 3:
                break
            for column, value in row.items():
                examples[column].append(value)
        return examples

    def rows(self, file, column=None, value=None, limit=50):
        found = (r for r in self.read(file) if column is None or r.get(column) == value)
        return [row for _, row in zip(range(min(limit, LIMIT)), found)]

    def sums(self, file, by, of):
        totals = collections.defaultdict(decimal.Decimal)
        for row in self.read(file):
            totals[row[by]] += decimal.Decimal(row[of] or 0)
        top = sorted(totals.items(), key=lambda item: -item[1])
        return [{by: key, of: str(total)} for key, total in top[:LIMIT]]


TOOLS = {
    "files": ("List the CSV files.", {}, []),
    "columns": ("Name the columns of a file, with examples.", {"file": TEXT}, ["file"]),
    "rows": ("Return rows, optionally those where a column has a value.",
             {"file": TEXT, "column": TEXT, "value": TEXT, "limit": NUMBER}, ["file"]),
    "sums": ("Group rows by a column and add up another.", {"file": TEXT, "by": TEXT, "of": TEXT}, ["file", "by", "of"]),
}


def describe():
    return [{"name": name, "description": text,
             "inputSchema": {"type": "object", "properties": fields, "required": needed}}
            for name, (text, fields, needed) in TOOLS.items()]


def call(desk, name, arguments):
    try:
        if name not in TOOLS:
            raise ValueError(f"there is no tool {name}")
        text, failed = json.dumps(getattr(desk, name)(**arguments), ensure_ascii=False), False
    except (OSError, ValueError, KeyError, TypeError, ArithmeticError) as problem:
        text, failed = f"{type(problem).__name__}: {problem}", True
    return {"content": [{"type": "text", "text": text}], "isError": failed}


def answer(desk, request):
    method, params = request.get("method"), request.get("params") or {}
    if method == "initialize":
        return {"protocolVersion": params.get("protocolVersion", "2025-06-18"), "capabilities": {"tools": {}},
                "serverInfo": {"name": "csv-desk", "version": "1.2.0"}}
    if method == "ping":
        return {}
    if method == "tools/list":
        return {"tools": describe()}
    if method == "tools/call":
        return call(desk, params.get("name"), params.get("arguments") or {})
    return None


def main():
    desk = Desk(sys.argv[1] if len(sys.argv) > 1 else ".")
    for line in sys.stdin:
        request = json.loads(line)
        if "id" not in request:
            continue
        result = answer(desk, request)
        reply = {"jsonrpc": "2.0", "id": request["id"]}
        if result is None:
            reply["error"] = {"code": -32601, "message": "Method not found"}
        else:
            reply["result"] = result
        print(json.dumps(reply, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
