"""What the oracles share: reading what the program printed, exact rounding, comparing.

Nothing here is the engine's code or knows how it works: only the row format that the README documents.
"""

import json
import sys
from fractions import Fraction

import duckdb
import xxhash

SHOWN = 20


def lines(path):
    """Every JSON object of a file with one a line."""
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def rounded(value, scale):
    """A fraction as text at a scale, half away from zero; `None` stays null."""
    if value is None:
        return None
    value = Fraction(value)
    units = (abs(value) * 10**scale * 2 + 1) // 2
    sign = "-" if value < 0 and units else ""
    digits = str(units).rjust(scale + 1, "0")
    return sign + (digits if scale == 0 else f"{digits[:-scale]}.{digits[-scale:]}")


def ratio(over, under, scale):
    return None if under == 0 else rounded(Fraction(over) / Fraction(under), scale)


def key_text(aggregate, tenant, by):
    """The row key up to and with `by`, as it is documented: what a target is chosen by."""
    as_json = lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return f'{{"aggregate":{as_json(aggregate)},"tenant_id":{as_json(tenant)},"by":{as_json(by)}'


def target_of(key, partitions):
    """Which partition counts a key: xxh3-64, seed 0, of its text."""
    return xxhash.xxh3_64_intdigest(key.encode(), seed=0) % partitions


def instant(value):
    """A naive UTC datetime as rows spell it."""
    return value.strftime("%Y-%m-%dT%H:%M:%SZ")


def lake(sql_path):
    """A DuckDB that knows the lake through the printed SQL alone."""
    connection = duckdb.connect()
    # Whatever zone the machine is in, no view may depend on it.
    connection.execute("SET TimeZone = 'Pacific/Apia'")
    with open(sql_path, encoding="utf-8") as file:
        connection.execute(file.read())
    return connection


def load_set_aside(connection, path):
    """`set_aside(target, incarnation, part, off, reason, aggregate, win)`; a whole unit has no aggregate."""
    rows = []
    for line in lines(path):
        at = line["coordinate"]
        place = (line["target"], at["incarnation"], at["partition"], at["offset"], line["reason"])
        if line["reason"] == "late":
            rows.extend(place + (aggregate, window) for aggregate, window in line["late"])
        else:
            rows.append(place + (None, None))
    connection.execute(
        "CREATE TABLE set_aside(target INT, incarnation TEXT, part INT, off BIGINT, reason TEXT, aggregate TEXT, win TEXT)"
    )
    fill(connection, "set_aside", rows)
    return rows


def fill(connection, table, rows):
    """Many rows into a table of their shape."""
    if not rows:
        return
    import pyarrow

    names = [row[0] for row in connection.execute(f"DESCRIBE {table}").fetchall()]
    columns = pyarrow.table([pyarrow.array(list(column)) for column in zip(*rows)], names=names)
    connection.register("rows_to_fill", columns)
    connection.execute(f"INSERT INTO {table} SELECT * FROM rows_to_fill")
    connection.unregister("rows_to_fill")


def printed_rows(path, aggregates, windows):
    """Calendar rows that `metrics` printed: key → (values, carry, end, row)."""
    rows = {}
    for row in lines(path):
        if row["aggregate"] not in aggregates or row["window"] not in windows:
            continue
        by = json.dumps(row["by"], ensure_ascii=False, separators=(",", ":"))
        # All of a key's history is one window, wherever that is said to begin.
        start = "" if row["window"] == "ever" else row["start"]
        key = (row["aggregate"], row["tenant_id"], by, row["window"], start)
        if key in rows:
            fail([f"printed twice: {key}"])
        rows[key] = row
    return rows


def compare(expected, printed, may_be_gone=lambda key, row: False):
    """Exact comparison of values and carried texts; gives the number of values that were equal."""
    faults, values = [], 0
    for key, want in expected.items():
        row = printed.get(key)
        if row is None:
            if not may_be_gone(key, want):
                faults.append(f"missing: {key} {want['values']}")
            continue
        faults.extend(differences(key, want, row))
        values += len(want["values"]) + len(want.get("carry", {}))
    faults.extend(f"not in the lake: {key} {row['values']}" for key, row in printed.items() if key not in expected)
    if faults:
        fail(faults)
    return values


def differences(key, want, row):
    carry = row.get("carry", {})
    for name, value in want.get("carry", {}).items():
        if carry.get(name) != value:
            yield f"{key} carry {name}: expected {value!r}, printed {carry.get(name)!r}"
    if "end" in want and row["end"] != want["end"]:
        yield f"{key} end: expected {want['end']}, printed {row['end']}"
    if row["values"].keys() != want["values"].keys():
        yield f"{key}: expected the values {list(want['values'])}, printed {list(row['values'])}"
        return
    for name, value in want["values"].items():
        printed = row["values"][name]
        if isinstance(value, Distinct):
            if not value.agrees(printed, name in row.get("approximate", [])):
                yield f"{key} {name}: expected {value.count} ids, printed {printed}"
        elif printed != value or type(printed) is not type(value):
            yield f"{key} {name}: expected {value!r}, printed {printed!r}"


class Distinct:
    """A count of different ids: exact up to 1,024, then an estimate that says so."""

    def __init__(self, count):
        self.count = count

    def agrees(self, printed, approximate):
        if self.count <= 1024:
            return printed == self.count and not approximate
        return approximate and abs(printed - self.count) <= self.count * 0.1


def fail(faults):
    for fault in faults[:SHOWN]:
        print(fault)
    print(f"{len(faults)} differences" + (f", the first {SHOWN} shown" if len(faults) > SHOWN else ""))
    sys.exit(1)
