"""Compares an order history, as `metrics --history orders` prints it, with the lake.

    history.py lake.sql history.ndjson set-aside.ndjson

Every order event of the lake has to stand there once, by order and event id, with the columns that the topology
names; repeats collapse into the one that has their id.
"""

import json
import sys
from decimal import Decimal

from common import fail, lake, lines

COLUMNS = ["type", "vendor_id", "customer_id", "total", "items"]

ORDERS = """
    SELECT _tenant, order_id, _event_id, any_value(type), any_value(vendor_id), any_value(customer_id),
           any_value(total), any_value(items), count(DISTINCT (type, vendor_id, customer_id, total, items)),
           list((_partition, _offset))
    FROM marketplace_events
    WHERE type IN ('OrderCreated', 'OrderCompleted') AND order_id IS NOT NULL
    GROUP BY ALL
"""


def shown(value):
    """A value of the lake as a history row spells it: exact numbers are text."""
    match value:
        case Decimal() | int():
            return f"{value:f}" if isinstance(value, Decimal) else str(value)
        case list():
            return [shown(item) for item in value]
        case dict():
            return {name: shown(member) for name, member in value.items()}
        case _:
            return value


def without_absent(value):
    """Absent and null are the same thing."""
    if isinstance(value, dict):
        return {name: without_absent(member) for name, member in value.items() if member is not None}
    if isinstance(value, list):
        return [without_absent(item) for item in value]
    return value


def main():
    sql, history, set_aside = sys.argv[1:]
    connection = lake(sql)
    expected, deliveries = {}, {}
    for tenant, order, event, *columns, versions, places in connection.execute(ORDERS).fetchall():
        if versions != 1:
            fail([f"{event} has {versions} contents in the lake: this oracle needs repeats that are equal"])
        deliveries[(tenant, order, event)] = {tuple(place.values()) if isinstance(place, dict) else place for place in places}
        expected[(tenant, order, event)] = without_absent(dict(zip(COLUMNS, shown(list(columns)))))

    future = [line for line in lines(set_aside) if line["reason"] == "future"]
    if future:
        fail(["this oracle needs input without events from the future"])
    printed = {}
    for row in lines(history):
        key = (row["tenant_id"], row["by"]["order_id"], row["event_id"])
        if key in printed:
            fail([f"printed twice: {key}"])
        at = (row["coordinate"]["partition"], row["coordinate"]["offset"])
        if at not in deliveries.get(key, ()):
            fail([f"{key} was not delivered at {at}"])
        printed[key] = without_absent({name: row["columns"].get(name) for name in COLUMNS})
    check_time_order(lines(history))

    faults = [f"missing: {key}" for key in expected if key not in printed]
    faults += [f"not in the lake: {key}" for key in printed if key not in expected]
    both = [(key, value, printed[key]) for key, value in expected.items() if key in printed]
    faults += [f"{key}: expected {json.dumps(a)}, printed {json.dumps(b)}" for key, a, b in both if a != b]
    if faults or not expected:
        fail(faults or ["the lake has no order to compare"])
    print(f"{len(expected)} order events are equal")


def check_time_order(rows):
    """Each order's events follow one another in time."""
    last = {}
    for row in rows:
        key = (row["tenant_id"], row["by"]["order_id"])
        if row["event_time"] < last.get(key, ""):
            fail([f"{key} goes back in time at {row['event_id']}"])
        last[key] = row["event_time"]


if __name__ == "__main__":
    main()
