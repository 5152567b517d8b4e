"""Checks an evidence folder: every file against the list of hashes in manifest.json."""

import hashlib
import json
import pathlib
import sys


def main(folder):
    folder = pathlib.Path(folder)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    bad = 0
    for name, want in manifest["files"].items():
        path = folder / name
        got = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "missing"
        if got != want:
            bad += 1
            print(f"{name}: {got}, and should be {want}")
    extra = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} - manifest["files"].keys() - {"manifest.json", "manifest.tsr"}
    for name in sorted(extra):
        print(f"{name}: isn't in the list")
    print(f"{manifest['page']}, seen {manifest['time']}: " + ("all files are as they were" if not bad else f"{bad} files differ"))
    print("The time: openssl ts -verify -data manifest.json -in manifest.tsr -CAfile authority.pem")
    return bad


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]) > 0)
