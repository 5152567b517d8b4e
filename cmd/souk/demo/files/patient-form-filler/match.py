"""Matches the labels of a form with the keys of a file of answers, by their words. Needs Python 3.11."""

import re
import sys
import tomllib

SAME = {"surname": "name", "applicant": "person", "town": "city", "address": "street", "sum": "budget", "costs": "budget", "start": "begins", "birth": "born", "description": "why"}
REFUSED = re.compile(r"password|passwort|card|cvc|pin\b", re.I)


def flat(data, path=""):
    for key, value in data.items():
        yield from flat(value, path + key + " ") if isinstance(value, dict) else [(path + key, value)]


def words(text):
    return {SAME.get(w, w) for w in re.findall(r"[a-z]+", text.lower())}


if __name__ == "__main__":
    answers = dict(flat(tomllib.load(open(sys.argv[1], "rb"))))
    for key in answers:
        if REFUSED.search(key):
            sys.exit(f"{key}: this isn't kept in a file")
    for label in map(str.strip, sys.stdin):
        best = max(answers, key=lambda k: len(words(k) & words(label)) - abs(len(words(k)) - len(words(label))) / 10)
        print(f"{label}: {answers[best]}" if words(best) & words(label) and not REFUSED.search(label) else f"{label}: ?")
