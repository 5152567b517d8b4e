"""Migration Mule: lists the call sites of a recipe and walks through them, a commit each."""

import argparse
import pathlib
import re
import subprocess
import sys


def recipe(path):
    """Reads the lines 'old: REGEX', 'new: TEXT' and 'only: GLOB' of a Markdown recipe."""
    found = dict(re.findall(r"^(old|new|only): `(.+)`$", pathlib.Path(path).read_text(), re.M))
    if "old" not in found:
        sys.exit(f"{path} has no line 'old: `...`'")
    return re.compile(found["old"]), found.get("new"), found.get("only", "**/*.py")


def sites(old, only):
    for path in sorted(pathlib.Path(".").glob(only)):
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if old.search(line):
                yield path, number, line.strip()


def step(path, number, old, new, test):
    lines = path.read_text().splitlines(keepends=True)
    lines[number - 1] = old.sub(new, lines[number - 1])
    before = path.read_text()
    path.write_text("".join(lines))
    if subprocess.run(test, shell=True).returncode:
        path.write_text(before)
        return False
    subprocess.run(["git", "commit", "-qam", f"{path}:{number}: follow the recipe"], check=True)
    return True


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("do", choices=["count", "walk"])
    p.add_argument("recipe")
    p.add_argument("--test", default="pytest -q")
    p.add_argument("--limit", type=int, default=10)
    a = p.parse_args()
    old, new, only = recipe(a.recipe)
    todo = list(sites(old, only))
    print(f"{len(todo)} call sites")
    for path, number, line in todo[: a.limit if a.do == "walk" else None]:
        done = a.do == "walk" and step(path, number, old, new, a.test)
        print(f"{'changed' if done else 'left   '} {path}:{number}  {line}")


if __name__ == "__main__":
    main()
