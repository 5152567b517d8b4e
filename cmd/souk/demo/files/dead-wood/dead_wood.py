"""Lists functions and classes of a Python project that no other line names."""

import ast
import collections
import pathlib
import re
import sys


def definitions(path, tree):
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and not node.name.startswith("__"):
            yield node.name, path, node.lineno, node.end_lineno - node.lineno + 1


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    words, found = collections.Counter(), []
    for path in root.rglob("*.py"):
        text = path.read_text(encoding="utf-8", errors="replace")
        words.update(re.findall(r"\w+", text))
        try:
            found += definitions(path, ast.parse(text))
        except SyntaxError as problem:
            print(f"{path}: not read, {problem.msg}", file=sys.stderr)
    dead = [d for d in found if words[d[0]] == 1 and not d[0].startswith("test_")]
    for name, path, line, size in sorted(dead, key=lambda d: (not d[0].startswith("_"), -d[3])):
        print(f"{size:5} lines  {path}:{line}  {name}")
    print(f"{len(dead)} names are mentioned once, {sum(d[3] for d in dead)} lines in all")


if __name__ == "__main__":
    main()
