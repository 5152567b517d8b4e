"""Runs a script and prints the types that its functions were called with."""

import collections
import pathlib
import runpy
import sys

calls = collections.defaultdict(lambda: collections.defaultdict(collections.Counter))
root = str(pathlib.Path.cwd())


def watch(frame, event, result):
    code = frame.f_code
    if not code.co_filename.startswith(root) or event not in ("call", "return"):
        return
    where = f"{pathlib.Path(code.co_filename).name}:{code.co_firstlineno} {code.co_name}"
    if event == "return":
        calls[where]["return"][type(result).__name__] += 1
        return
    for name in code.co_varnames[: code.co_argcount]:
        calls[where][name][type(frame.f_locals[name]).__name__] += 1


def show():
    for where, names in sorted(calls.items()):
        print(where)
        for name, types in names.items():
            print("   ", name + ":", " | ".join(f"{t} ({n})" for t, n in types.most_common()))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: type_tailor.py SCRIPT [ARGUMENT...]")
    sys.argv = sys.argv[1:]
    sys.setprofile(watch)
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    finally:
        sys.setprofile(None)
        show()
