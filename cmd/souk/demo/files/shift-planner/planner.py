"""Makes a roster: fills each shift with the person who has had the fewest, and says what it couldn't fill."""

import collections
import csv
import sys


def main(people_file, shifts_file):
    people = list(csv.DictReader(open(people_file, newline="", encoding="utf-8")))
    shifts = list(csv.DictReader(open(shifts_file, newline="", encoding="utf-8")))
    hours, sundays, last = collections.Counter(), collections.Counter(), {}
    holes = []
    for shift in shifts:  # columns: day, weekday, name, hours, needs
        can = []
        for p in people:  # columns: name, hours, skills, off (days, separated by spaces)
            why = ("off" if shift["day"] in p["off"].split() else "can't " + shift["needs"] if shift["needs"] not in p["skills"].split()
                   else "hours" if hours[p["name"]] + float(shift["hours"]) > float(p["hours"]) else "rest" if last.get(p["name"]) == shift["day"] else "")
            can.append((why, p["name"]))
        free = [name for why, name in can if not why]
        if not free:
            holes.append((shift, can))
            continue
        pick = min(free, key=lambda n: (sundays[n] if shift["weekday"] == "Sun" else 0, hours[n], n))
        hours[pick] += float(shift["hours"])
        sundays[pick] += shift["weekday"] == "Sun"
        last[pick] = shift["day"]
        print(f"{shift['day']} {shift['weekday']} {shift['name']:10} {pick}")
    for shift, can in holes:
        print(f"Nobody for {shift['day']} {shift['name']}: " + ", ".join(f"{name} ({why})" for why, name in can))
    for p in people:
        print(f"{p['name']:12} {hours[p['name']]:5.1f} h  {sundays[p['name']]} Sundays")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: planner.py people.csv shifts.csv")
    main(*sys.argv[1:])
