"""Explains a shell command, and names the files that it would delete."""

import glob
import shlex
import sys

KNOWN = {"ls": "list files", "cd": "go to a folder", "cp": "copy", "mv": "move or rename", "rm": "DELETE for good", "cat": "show a file",
         "grep": "keep lines with a pattern", "sort": "sort lines", "uniq": "drop repeated neighbours", "head": "keep the first lines",
         "tail": "keep the last lines", "wc": "count lines, words and bytes", "find": "look for files here and below", "xargs": "give lines to another command as arguments",
         "chmod": "change who may do what", "sudo": "as the ADMINISTRATOR:", "curl": "fetch an address", "sh": "run what comes in as commands", "bash": "run what comes in as commands"}


def explain(part):
    words = shlex.split(part)
    if not words:
        return
    print(f"{words[0]:8} {KNOWN.get(words[0], 'I do not know this one; try: man ' + words[0])}")
    for w in words[1:]:
        print(f"   {w}" + ("   an option" if w.startswith("-") else ""))
    if words[0] == "rm":
        names = [n for w in words[1:] if not w.startswith("-") for n in glob.glob(w)]
        print(f"   That would delete {len(names)} here" + (f", the first is {names[0]}" if names else ""))


def main(line):
    parts = line.split("|")
    for i, part in enumerate(parts):
        if i:
            print("   ↓ what comes out goes into")
        target = part.split(">")
        explain(target[0].strip())
        if len(target) > 1:
            print(f"   → written to {target[-1].strip()}" + (", at its end" if ">>" in part else ", REPLACING what is there"))
    if len(parts) > 1 and parts[0].strip().startswith("curl") and parts[-1].strip() in ("sh", "bash", "sudo bash"):
        print("This runs whatever that page says. Look at it first: leave out the last part.")


if __name__ == "__main__":
    main(" ".join(sys.argv[1:]) or sys.exit('usage: tutor.py "a command"'))
