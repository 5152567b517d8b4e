"""Second Reader: splits a diff into what a reviewer reads together, and builds the prompts."""

import argparse
import json
import subprocess
import sys

LIMIT = 12  # comments in a review
SKIP = (".lock", ".min.js", ".svg", ".snap", "_pb2.py")


def diff(range_):
    run = subprocess.run(["git", "diff", "--find-renames", "--unified=12", range_], capture_output=True, text=True, check=True)
    return run.stdout


def files(text):
    """Yields each file's name and its hunks."""
    for part in text.split("diff --git ")[1:]:
        head, *hunks = part.split("\n@@ ")
        name = head.split(" b/")[-1].splitlines()[0]
        if not name.endswith(SKIP):
            yield name, ["@@ " + h for h in hunks]


def prompt(name, hunks):
    return (
        f"Review the change to {name}. Write at most {LIMIT} findings. Each says what happens, when, and how to check it.\n"
        "If you aren't sure, ask a question and begin it with '?'. Say nothing about formatting.\n\n" + "\n".join(hunks)
    )


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("range", nargs="?", default="main..HEAD")
    p.add_argument("--json", action="store_true", help="print the prompts as JSON lines")
    args = p.parse_args()
    todo = list(files(diff(args.range)))
    if not todo:
        sys.exit("nothing to review in " + args.range)
    for name, hunks in todo:
        text = prompt(name, hunks)
        print(json.dumps({"file": name, "hunks": len(hunks), "prompt": text}) if args.json else text)


if __name__ == "__main__":
    main()
