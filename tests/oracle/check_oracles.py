"""Tries the oracles on small hand-made lakes: they must agree with what is right and find every planted error.

    check_oracles.py

The right rows are written down by hand, not computed.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow
import pyarrow.parquet

from common import key_text, rounded, target_of

HERE = Path(__file__).parent
PARTITIONS = 4

LAKE = """
CREATE TABLE marketplace_events(_incarnation TEXT, _partition INT, _offset BIGINT, _event_time TIMESTAMP, _tenant TEXT,
    _event_id TEXT, type TEXT, vendor_id TEXT, customer_id TEXT, product_id TEXT, order_id TEXT, action TEXT,
    total DECIMAL(18, 2), items STRUCT(product_id TEXT, quantity BIGINT, price DECIMAL(18, 2))[]);
INSERT INTO marketplace_events VALUES
    ('i', 0, 0, '2026-11-01 10:00:00', 't', 'a', 'ProductView', 'v', 'c', 'p', NULL, NULL, NULL, NULL),
    ('i', 1, 0, '2026-11-01 10:00:00', 't', 'a', 'ProductView', 'v', 'c', 'p', NULL, NULL, NULL, NULL),
    ('i', 0, 1, '2026-11-01 11:00:00', 't', 'b', 'OrderCreated', 'v', 'c', NULL, 'o', NULL, 10.10,
        [{'product_id': 'p', 'quantity': 2, 'price': 1.05}, {'product_id': 'p', 'quantity': 1, 'price': 8.00}]),
    ('i', 1, 1, '2026-11-01 12:00:00', 't', 'c', 'OrderCompleted', 'v', 'c', NULL, 'o', NULL, 10.10,
        [{'product_id': 'p', 'quantity': 2, 'price': 1.05}, {'product_id': 'p', 'quantity': 1, 'price': 8.00}]),
    ('i', 0, 2, '2026-10-31 23:00:00', 't', 'd', 'CartAdd', 'v', 'c', 'p', NULL, NULL, NULL, NULL);
"""


def vendor(views, carts, orders, completed, revenue, average, conversion, completion):
    names = "product_views profile_views added removed product_favorites cart_adds orders completed_orders revenue buyers"
    values = [views, 0, 0, 0, 0, carts, orders, completed, revenue, orders]
    return dict(zip(names.split(), values)) | {
        "average_order": average, "conversion": conversion, "completion": completion}


def product(views, carts, orders, revenue, conversion):
    names = "views added removed favorites cart_adds orders revenue conversion"
    return dict(zip(names.split(), [views, 0, 0, 0, carts, orders, revenue, conversion]))


def row(aggregate, by, window, start, end, values, carry=None):
    target = target_of(key_text(aggregate, "t", by), PARTITIONS)
    made = {"aggregate": aggregate, "tenant_id": "t", "by": by, "window": window, "start": f"{start}T00:00:00Z",
            "end": f"{end}T00:00:00Z", "values": values, "as_of": {"partition": target, "offset": 9}}
    return made | ({"carry": carry} if carry else {})


def right_rows():
    v, p, carry = {"vendor_id": "v"}, {"product_id": "p"}, {"vendor_id": "v"}
    busy = vendor(1, 0, 1, 1, "10.10", "10.10", "1.0000", "1.0000")
    quiet = vendor(0, 1, 0, 0, "0.00", None, None, None)
    sold, carted = product(1, 0, 1, "10.10", "1.0000"), product(0, 1, 0, "0.00", None)
    # The cart of the evening before is late for its day, and counts in its week and month.
    return [
        row("vendor", v, "day", "2026-11-01", "2026-11-02", busy),
        row("vendor", v, "week", "2026-10-26", "2026-11-02", busy | {"cart_adds": 1}),
        row("vendor", v, "month", "2026-11-01", "2026-12-01", busy),
        row("vendor", v, "month", "2026-10-01", "2026-11-01", quiet),
        row("product", p, "day", "2026-11-01", "2026-11-02", sold, carry),
        row("product", p, "week", "2026-10-26", "2026-11-02", sold | {"cart_adds": 1}, carry),
        row("product", p, "month", "2026-11-01", "2026-12-01", sold, carry),
        row("product", p, "month", "2026-10-01", "2026-11-01", carted, carry),
    ]


def set_aside():
    """Each target took its own one of the two deliveries of event `a`."""
    targets = {name: target_of(key_text(name, "t", by), PARTITIONS)
               for name, by in [("vendor", {"vendor_id": "v"}), ("product", {"product_id": "p"})]}
    assert len(set(targets.values())) == 2, "the example needs two targets"
    place = lambda partition, offset: {"topic": "r", "incarnation": "i", "partition": partition, "offset": offset}
    return [
        {"target": targets["vendor"], "coordinate": place(1, 0), "reason": "duplicate"},
        {"target": targets["product"], "coordinate": place(0, 0), "reason": "duplicate"},
        {"target": targets["vendor"], "coordinate": place(0, 2), "reason": "late", "late": [["vendor", "day"]]},
        {"target": targets["product"], "coordinate": place(0, 2), "reason": "late", "late": [["product", "day"]]},
    ]


def run(oracle, *arguments):
    """Exit code and words of an oracle."""
    command = [sys.executable, str(HERE / oracle), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def keep(path, lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def judge(folder, rows, aside):
    (folder / "lake.sql").write_text(LAKE)
    files = folder / "lake.sql", keep(folder / "metrics", rows), keep(folder / "aside", aside)
    return run("calendar_rows.py", "marketplace", *files, PARTITIONS)


def right_history():
    items = [{"product_id": "p", "quantity": "2", "price": "1.05"}, {"product_id": "p", "quantity": "1", "price": "8.00"}]
    columns = {"type": "OrderCreated", "vendor_id": "v", "customer_id": "c", "total": "10.10", "items": items}
    created = {"history": "orders", "tenant_id": "t", "by": {"order_id": "o"}, "event_id": "b", "columns": columns,
               "event_time": "2026-11-01T11:00:00Z", "coordinate": {"incarnation": "i", "partition": 0, "offset": 1}}
    completed = {"event_id": "c", "columns": columns | {"type": "OrderCompleted"}, "event_time": "2026-11-01T12:00:00Z",
                 "coordinate": {"incarnation": "i", "partition": 1, "offset": 1}}
    return [created, created | completed]


def check_history(folder):
    """The history's oracle: one right list, and lists with one error each."""
    created, completed = right_history()
    other = created | {"columns": created["columns"] | {"total": "10.11"}}
    elsewhere = created | {"coordinate": {"incarnation": "i", "partition": 1, "offset": 1}}
    lists = [[created, completed], [created], [completed, created], [other, completed], [elsewhere, completed],
             [created, created, completed]]
    (folder / "lake.sql").write_text(LAKE)
    nothing = keep(folder / "aside", [])
    ends = [run("history.py", folder / "lake.sql", keep(folder / "history", rows), nothing) for rows in lists]
    assert [code for code, _ in ends] == [0] + [1] * (len(lists) - 1), ends
    return len(lists) - 1


def write_file(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {"_incarnation": ["i"] * len(rows), "_partition": [0] * len(rows), "_offset": rows}
    pyarrow.parquet.write_table(pyarrow.table(columns), path)


def watch(folder, errors):
    """The reader over a small lake, with something done to it between two polls."""
    sys.path.insert(0, str(HERE))
    from poll import Watch

    events = folder / "events" / "day=01"
    write_file(events / "a.parquet", [1, 2])
    write_file(folder / "events_refused" / "day=01" / "b.parquet", [3])
    reader = Watch([str(folder / name / "**/*.parquet") for name in ("events", "events_refused")])
    reader.poll()
    errors(events)
    reader.poll(thorough=True)
    return reader.verdict()


def check_reader(folder):
    """The reader that polls: a growing lake is fine, everything else is not."""
    fine = watch(folder / "grows", lambda at: write_file(at / "c.parquet", [4]))
    assert fine == {"polls": 2, "files": 3, "rows": 4, "grew": 2, "faults": []}, fine
    wrongs = {
        "a coordinate twice": lambda at: write_file(at / "c.parquet", [2]),
        "a refused coordinate among the events": lambda at: write_file(at / "c.parquet", [3]),
        "an object changed": lambda at: write_file(at / "a.parquet", [1, 5]),
        "an object vanished": lambda at: (at / "a.parquet").unlink(),
        "an object is not whole": lambda at: (at / "c.parquet").write_bytes((at / "a.parquet").read_bytes()[:-9]),
    }
    for name, wrong in wrongs.items():
        verdict = watch(folder / name.replace(" ", "-"), wrong)
        assert verdict["faults"], f"not found: {name}: {verdict}"
    return len(wrongs)


def planted():
    """Rows and set-aside lines with one error each."""
    rows, aside = right_rows(), set_aside()
    change = lambda at, **values: [*rows[:at], rows[at] | {"values": rows[at]["values"] | values}, *rows[at + 1 :]]
    yield "a row is missing", rows[1:], aside
    yield "a row too many", [*rows, rows[0] | {"start": "2026-11-05T00:00:00Z"}], aside
    yield "a count is off", change(0, product_views=2), aside
    yield "a sum lost its scale", change(0, revenue="10.1"), aside
    yield "a number instead of text", change(0, revenue=10.1), aside
    yield "a ratio by nothing is no null", change(3, conversion="0.0000"), aside
    yield "a carried text is wrong", [*rows[:4], rows[4] | {"carry": {"vendor_id": "w"}}, *rows[5:]], aside
    yield "a window ends elsewhere", [rows[0] | {"end": "2026-11-03T00:00:00Z"}, *rows[1:]], aside
    yield "a row comes from another target", [rows[0] | {"as_of": {"partition": 99, "offset": 9}}, *rows[1:]], aside
    yield "a repeat was not set aside", rows, aside[1:]
    yield "a late part was not set aside", rows, aside[:2]
    yield "a repeat was set aside by the other target", rows, [aside[0] | {"target": aside[1]["target"]}, *aside[1:]]


def check_transactions():
    """Two transactions of a target: one of five records (one is set aside), one of two that is written once more."""
    from whole_transactions import target

    def commit(number, records):
        return b"commit", json.dumps({"commit": number, "records": records}).encode()

    def position(number):
        return b'{"position":0}', json.dumps({"commit": number}).encode()

    pane, row = (b"pane", b"1"), (b'{"aggregate":"a"}', b"{}")
    state = [pane, commit(1, 5), commit(2, 2), commit(2, 2)]
    metrics = [row, position(1), position(2), position(2)]
    assert target("t", state, metrics, 1) == (3, 9, []), target("t", state, metrics, 1)
    errors = {
        "a pane of an aborted transaction": ([pane, *state], metrics, 1),
        "a row of one behind the last": (state, [*metrics, row], 1),
        "a row is missing": (state, metrics[1:], 1),
        "a set-aside record is missing": (state, metrics, 0),
        "a commit without its position": (state, metrics[:-1], 1),
        "a commit is missing in both": ([*state[:2], commit(4, 2)], [*metrics[:2], position(4)], 1),
    }
    for error, (state, metrics, others) in errors.items():
        assert target("t", state, metrics, others)[2], f"not found: {error}"
    return len(errors)


def main():
    assert [rounded(n, 2) for n in (0, -1)] == ["0.00", "-1.00"]
    from fractions import Fraction

    halves = [(Fraction(1, 200), "0.01"), (Fraction(-1, 200), "-0.01"), (Fraction(-1, 201), "0.00"), (None, None)]
    assert [rounded(value, 2) for value, _ in halves] == [text for _, text in halves]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        code, words = judge(folder, right_rows(), set_aside())
        assert code == 0, f"the right rows were refused:\n{words}"
        errors = list(planted())
        for error, rows, aside in errors:
            code, words = judge(folder, rows, aside)
            assert code == 1 and "Traceback" not in words, f"not found: {error}\n{words}"
        found = len(errors) + check_history(folder) + check_reader(folder) + check_transactions()
    print(f"what is right is accepted, {found} planted errors are found")


if __name__ == "__main__":
    main()
