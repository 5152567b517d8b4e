"""Prints the free hours of a day from an .ics file. Reads single appointments in UTC."""

import datetime as dt
import re
import sys

STAMP = "%Y%m%dT%H%M%SZ"
WORK = (dt.time(9), dt.time(17))


def busy(path):
    text = re.sub(r"\r?\n[ \t]", "", open(path, encoding="utf-8").read())
    for event in re.findall(r"BEGIN:VEVENT(.*?)END:VEVENT", text, re.S):
        times = dict(re.findall(r"^(DTSTART|DTEND)[^:\n]*:(\d{8}T\d{6}Z)", event, re.M))
        if len(times) == 2:
            yield tuple(dt.datetime.strptime(times[k], STAMP) for k in ("DTSTART", "DTEND"))


def free(day, taken):
    at, end = (dt.datetime.combine(day, t) for t in WORK)
    for start, stop in sorted(taken):
        if stop <= at or start >= end:
            continue
        if start > at:
            yield at, start
        at = max(at, stop)
    if at < end:
        yield at, end


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: calendar_desk.py FILE.ics 2026-11-23")
    for start, stop in free(dt.date.fromisoformat(sys.argv[2]), busy(sys.argv[1])):
        print(f"{start:%H:%M} to {stop:%H:%M} UTC")
