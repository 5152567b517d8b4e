"""Asks a Souk marketplace whether a licence key holds. Needs the standard library only."""

import hashlib
import json
import os
import pathlib
import time
import urllib.error
import urllib.request

GRACE = 7 * 24 * 3600  # seconds for which the last good answer holds without a network
FRESH = 24 * 3600  # seconds for which nobody is asked again


def _file(key):
    base = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"))
    return base / "souk-licences" / hashlib.sha256(key.encode()).hexdigest()


def _age(file):
    try:
        return time.time() - file.stat().st_mtime
    except FileNotFoundError:
        return float("inf")


def check(key, market, timeout=3.0):
    """Reports whether the key is valid. Without a network, whether it was within the last seven days."""
    file = _file(key)
    if _age(file) < FRESH:
        return True
    request = urllib.request.Request(
        market.rstrip("/") + "/api/v1/licenses/validate", json.dumps({"key": key}).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            valid = json.load(answer)["valid"]
    except (urllib.error.URLError, TimeoutError, ValueError, KeyError):
        return _age(file) < GRACE
    if valid:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    else:
        file.unlink(missing_ok=True)
    return valid
