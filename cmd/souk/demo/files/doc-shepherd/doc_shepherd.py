"""Checks paths and links that Markdown files mention against the repository."""

import pathlib
import re
import sys

LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(#[^)\s]*)?\)")
PATH = re.compile(r"`((?:[\w.-]+/)+[\w.-]+)`")
HEAD = re.compile(r"^#+ (.+)$", re.M)


def anchor(title):
    return "#" + re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")


def problems(root):
    for doc in sorted(root.rglob("*.md")):
        text = doc.read_text(encoding="utf-8", errors="replace")
        anchors = {anchor(h) for h in HEAD.findall(text)}
        for n, line in enumerate(text.splitlines(), 1):
            for target, fragment in LINK.findall(line):
                if target and not (doc.parent / target).exists():
                    yield doc, n, f"links to {target}, which isn't there"
                elif not target and fragment and fragment not in anchors:
                    yield doc, n, f"links to {fragment}, and has no such heading"
            for path in PATH.findall(line):
                if not (root / path).exists() and not (doc.parent / path).exists():
                    yield doc, n, f"mentions {path}, which isn't there"


if __name__ == "__main__":
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    found = [f"{doc}:{n}: {what}" for doc, n, what in problems(root)]
    print("\n".join(found) or "Every path and link is there.")
    sys.exit(bool(found))
