"""Sorts pictures by day into a folder of links, and lists files that are the same."""

import collections
import datetime as dt
import hashlib
import os
import pathlib
import sys

KINDS = {".jpg", ".jpeg", ".png", ".heic", ".webp", ".tif"}


def taken(path):
    """Reads the date of a JPEG's EXIF block by its form, else the file's time."""
    head = path.read_bytes()[:65536]
    at = head.find(b"Exif\0\0")
    while at >= 0 and (at := head.find(b":", at + 1)) >= 0:
        text = head[at - 4 : at + 15]
        try:
            return dt.datetime.strptime(text.decode("ascii"), "%Y:%m:%d %H:%M:%S")
        except ValueError:
            continue
    return dt.datetime.fromtimestamp(path.stat().st_mtime)


def main(source, target):
    same, days = collections.defaultdict(list), collections.Counter()
    for path in sorted(p for p in pathlib.Path(source).rglob("*") if p.suffix.lower() in KINDS):
        same[hashlib.sha256(path.read_bytes()).digest()].append(path)
    for paths in same.values():
        day = taken(paths[0]).date()
        days[day] += 1
        folder = pathlib.Path(target, f"{day:%Y}", f"{day:%m-%d}")
        folder.mkdir(parents=True, exist_ok=True)
        link = folder / paths[0].name
        if not link.exists():
            os.symlink(paths[0].resolve(), link)
        for double in paths[1:]:
            print(f"{double} is the same as {paths[0]}")
    print(f"{len(same)} pictures on {len(days)} days. Nothing was moved or deleted.")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: shoebox.py PICTURES ORDER")
    main(*sys.argv[1:])
