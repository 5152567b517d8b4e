"""Prints what you did since the last working day, from the git repositories in some folders."""

import collections
import datetime as dt
import pathlib
import subprocess
import sys


def git(folder, *args):
    return subprocess.run(["git", "-C", folder, *args], capture_output=True, text=True).stdout.strip()


def main(folders):
    today = dt.date.today()
    since = today - dt.timedelta(3 if today.weekday() == 0 else 1)
    done, touched = [], collections.Counter()
    for folder in folders:
        me = git(folder, "config", "user.email")
        log = git(folder, "log", "--all", "--no-merges", f"--author={me}", f"--since={since}T00:00", "--format=%s")
        done += [f"{line} ({pathlib.Path(folder).resolve().name})" for line in log.splitlines()]
        days = git(folder, "log", "--all", f"--author={me}", f"--since={today - dt.timedelta(5)}T00:00", "--name-only", "--format=%x00%cs")
        for part in days.split("\0")[1:]:
            day, *files = part.split()
            touched.update({(f, day) for f in files})
    print("Done\n" + "\n".join(f"- {d}" for d in dict.fromkeys(done)) if done else "Done\n- nothing is committed yet")
    stuck = [f for f, n in collections.Counter(f for f, _ in touched).items() if n >= 3]
    if stuck:
        print("Stuck?\n" + "\n".join(f"- {f}: on three days or more" for f in stuck))


if __name__ == "__main__":
    main(sys.argv[1:] or ["."])
