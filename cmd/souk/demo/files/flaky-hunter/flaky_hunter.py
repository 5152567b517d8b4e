"""Runs a test command many times and reports how often it fails under each condition."""

import argparse
import collections
import os
import shlex
import subprocess

CONDITIONS = {
    "as it is": {},
    "hash seed": {"PYTHONHASHSEED": "random"},
    "other time zone": {"TZ": "Pacific/Kiritimati"},
    "other language": {"LC_ALL": "tr_TR.UTF-8"},
    "no network": {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"},
}


def once(command, env):
    return subprocess.run(command, env={**os.environ, **env}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("command", help='such as "pytest -q -p no:cacheprovider"')
    p.add_argument("--runs", type=int, default=20, help="under each condition")
    args = p.parse_args()
    failed = collections.Counter()
    for name, env in CONDITIONS.items():
        failed[name] = sum(not once(shlex.split(args.command), env) for _ in range(args.runs))
        print(f"{name:16} {failed[name]:3} of {args.runs} failed", flush=True)
    mixed = [n for n, f in failed.items() if 0 < f < args.runs]
    print("Flaky under: " + ", ".join(mixed) if mixed else f"Steady over {args.runs * len(CONDITIONS)} runs.")


if __name__ == "__main__":
    main()
