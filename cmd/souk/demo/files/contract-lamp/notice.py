"""Makes a calendar file of the last days to give notice."""

import datetime as dt
import sys


def months_before(day, months):
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    last = (dt.date(year + (month == 11), (month + 1) % 12 + 1, 1) - dt.timedelta(1)).day
    return dt.date(year, month + 1, min(day.day, last))


def event(name, end, months):
    last = months_before(end, months)
    return "\r\n".join([
        "BEGIN:VEVENT", f"UID:{name.lower().replace(' ', '-')}@contract-lamp", "DTSTAMP:20261101T000000Z",
        f"DTSTART;VALUE=DATE:{last:%Y%m%d}", f"SUMMARY:Last day to give notice: {name}",
        "BEGIN:VALARM", "ACTION:DISPLAY", "TRIGGER:-P30D", "DESCRIPTION:A month is left", "END:VALARM", "END:VEVENT"])


if __name__ == "__main__":
    # Lines on standard input: name, end, months of notice. Office rent, 2027-06-30, 6
    print("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//contract-lamp//EN\r")
    for line in sys.stdin:
        name, end, months = (part.strip() for part in line.rsplit(",", 2))
        print(event(name, dt.date.fromisoformat(end), int(months)) + "\r")
    print("END:VCALENDAR\r")
