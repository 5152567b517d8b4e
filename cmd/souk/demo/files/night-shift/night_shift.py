"""Runs the jobs of a queue folder one after the other, within minutes, and survives being stopped."""

import json
import pathlib
import subprocess
import sys
import time


def state(job, **change):
    """Reads or replaces a job's state; the replacement is whole or not at all."""
    path = job / "state.json"
    now = json.loads(path.read_text()) if path.exists() else {"state": "waiting", "tries": 0}
    if change:
        now.update(change)
        fresh = job / "state.json.new"
        fresh.write_text(json.dumps(now))
        fresh.replace(path)
    return now


def run(job):
    spec = json.loads((job / "job.json").read_text())
    state(job, state="running", tries=state(job)["tries"] + 1)
    begun = time.monotonic()
    try:
        with open(job / "output.txt", "a") as out:
            code = subprocess.run(spec["command"], cwd=job, stdout=out, stderr=out, timeout=60 * spec.get("minutes", 30)).returncode
        end = "done" if code == 0 else f"stopped: exit status {code}"
    except subprocess.TimeoutExpired:
        end = "stopped: out of time"
    state(job, state=end, seconds=round(time.monotonic() - begun))


def main(queue):
    jobs = sorted(p.parent for p in pathlib.Path(queue).glob("*/job.json"))
    for job in jobs:
        s = state(job)
        if s["state"] == "waiting" or s["state"] == "running" and s["tries"] < 3:  # running: the power was cut
            run(job)
    for job in jobs:
        s = state(job)
        print(f"{job.name:24} {s['state']}" + (f", {s['seconds']} s" if "seconds" in s else ""))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "queue")
