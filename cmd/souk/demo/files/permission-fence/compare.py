"""Compares a declared label with what was seen: two JSON files, permission to list of details."""

import json
import sys

KINDS = ["network", "files", "shell", "browser", "secrets"]


def main(declared, seen):
    declared, seen = (json.load(open(f, encoding="utf-8")) for f in (declared, seen))
    broken = 0
    for kind in KINDS:
        more = [s for s in seen.get(kind, []) if not any(s.startswith(d) for d in declared.get(kind, []))]
        less = [d for d in declared.get(kind, []) if not any(s.startswith(d) for s in seen.get(kind, []))]
        broken += bool(more)
        print(f"{kind:8} " + ("BROKEN: " + ", ".join(more) if more else "kept") + (f"  (declared and not seen: {', '.join(less)})" if less else ""))
    return broken


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]) > 0)
