"""Input that nobody should send, and what has to become of it.

    bad_input.py write OUT.ndjson                          good events with bad lines between them
    bad_input.py compare lake.sql dead-letters.ndjson metrics.ndjson LAKE_FOLDER

Every bad line has to be a dead letter and a row of the refused table with its place, reason and bytes; every good
one behind it has to be counted; ids that look like paths, SQL or markup have to come back as they were.
"""

import json
import re
import sys
from pathlib import Path

from common import fail, lake, lines

MIB = 1 << 20


def event(number, **more):
    return {"eventId": f"e{number}", "ts": "2026-11-01T10:00:00Z", "eventType": "ProductView", "tenantId": "plain",
            "vendorId": "v", "customerId": "c", "productId": "p"} | more


def order(number, items, **more):
    return event(number, eventType="OrderCreated", orderId="o", items=items, **more)


def text(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def number(literal):
    """An order whose total is these characters."""
    return text(event(1, total="TOTAL")).replace(b'"TOTAL"', literal.encode())


# A sentence, the line, the reason.
BAD = [
    ("bytes of no meaning", bytes(b for b in range(256) if b not in b"\r\n"), "invalid_utf8"),
    ("a broken character inside a text", text(event(2)).replace(b'"plain"', b'"pl\xffain"'), "invalid_utf8"),
    ("an overlong character", text(event(3)).replace(b'"plain"', b'"\xc0\xaf"'), "invalid_utf8"),
    ("half of an event", text(event(4))[:60], "invalid_json"),
    ("no JSON at all", b"GET / HTTP/1.1", "invalid_json"),
    ("two events in one line", text(event(5)) * 2, "invalid_json"),
    ("half of a surrogate pair", text(event(6)).replace(b'"plain"', b'"\\ud800"'), "invalid_json"),
    ("NaN", number("NaN"), "invalid_json"),
    ("infinity", number("-Infinity"), "invalid_json"),
    ("a number with leading zeros", number("007"), "invalid_json"),
    ("a number without end", number("9" * 400), "out_of_range"),
    ("a number beyond every float", number("1e400"), "out_of_range"),
    ("a number just outside its type", number("92233720368547758.08"), "out_of_range"),
    ("a third digit of a cent", number("19.999"), "too_precise"),
    ("a number in quotes", text(event(7, total="19.99")), "wrong_type"),
    ("a time that no calendar has", text(event(8, ts="2026-02-30T00:00:00Z")), "out_of_range"),
    ("the same key twice", b'{"eventId":"e9","eventId":"e10",' + text(event(9))[1:], "duplicate_key"),
    ("a list", b"[]", "not_an_object"),
    ("null", b"null", "not_an_object"),
    ("no tenant", text({k: v for k, v in event(11).items() if k != "tenantId"}), "missing"),
    ("a tenant that is null", text(event(12, tenantId=None)), "missing"),
    ("no id", text({k: v for k, v in event(13).items() if k != "eventId"}), "missing"),
    ("a tenant of 10 kB", text(event(14, tenantId="t" * 10_000)), "id_too_long"),
    ("a vendor of 600 bytes", text(event(15, vendorId="v" * 600)), "id_too_long"),
    ("a million levels of nesting", b"[" * 1_000_000, "too_deep"),
    ("65 levels inside an event", text(event(16, metadata=0)).replace(b":0", b":" + b"[" * 65 + b"]" * 65), "too_deep"),
    ("a text of 10 MB", text(event(17, note="x" * 10_000_000)), "too_large"),
    ("just over a record's size", text(event(18, note="x")).ljust(MIB + 1), "too_large"),
    ("a text of 70 kB", text(event(19, note="x" * 70_000)), "string_too_long"),
    ("5,001 items", text(order(20, [{"productId": "p", "quantity": 1, "price": 1}] * 5_001)), "too_many_items"),
    ("a hundred thousand values", text(event(21, metadata=[0] * 100_001)), "too_many_nodes"),
]

TENANTS = [
    "../x", "..", ".", "a/b", "a\\b", "%2e%2e", "%", "!", "!2e", "nul\0", "new\nline", "hour=01", "123", "007", "NULL",
    "__HIVE_DEFAULT_PARTITION__", "_leading", "\u202eright to left", "مستأجر", "🦀🦀", "'; DROP TABLE metrics; --",
    '"quoted"', "=cmd|' /C calc'!A0", "<script>alert(1)</script>", " spaced ", "-", "~", "t" * 64, "é" * 32,
]


def plan():
    """Lines with what they are: (bytes, tenant or None, reason or None)."""
    planned, good = [], 1_000
    for _, line, reason in BAD:
        # One of the same partition right behind each: it has to get through.
        for _ in range(2):
            planned.append((line, None, reason))
        for _ in range(2):
            planned.append((text(event(good, tenantId="plain")), "plain", None))
            good += 1
    for tenant in TENANTS:
        planned.append((text(event(good, tenantId=tenant, vendorId=tenant)), tenant, None))
        good += 1
    return planned


def in_the_log(line):
    """Of a line that no event may be as long as, only so much enters the log that it is refused."""
    return line[: MIB + 1]


def place(at):
    """Line k is record k / 2 of partition k mod 2."""
    return at % 2, at // 2


def place_of(letter):
    """Where a listed dead letter's record stands: `<incarnation>-p<partition>-o<offset>`."""
    partition, offset = re.fullmatch(r"[0-9a-f]{32}-p(\d+)-o(\d+)", letter["coordinate"]).groups()
    return int(partition), int(offset)


def check_refused(connection, letters):
    expected = {place(at): (in_the_log(line), reason) for at, (line, _, reason) in enumerate(plan()) if reason}
    found = connection.execute(
        "SELECT _partition, _offset, reason, payload, payload_bytes FROM marketplace_events_refused"
    ).fetchall()
    rows = {(partition, offset): rest for partition, offset, *rest in found}
    faults = [f"refused row twice or wrong: {len(found)} rows, {len(expected)} expected"] * (len(found) != len(expected))
    listed = {place_of(letter): letter for letter in letters}
    faults += [f"dead letters: {len(letters)}, {len(expected)} expected"] * (len(letters) != len(expected))
    for where, (line, reason) in expected.items():
        head = line if len(line) <= MIB // 2 else line[: MIB // 16]
        row, letter = rows.get(where), listed.get(where)
        if row is None or letter is None:
            faults.append(f"{where} {line[:40]!r}: refused row {row is not None}, dead letter {letter is not None}")
            continue
        if (row[0], letter["reason"]) != (reason, reason):
            faults.append(f"{where} {line[:40]!r}: expected {reason}, got {row[0]} and {letter['reason']}")
        if bytes(row[1]) != head or row[2] != len(line):
            faults.append(f"{where} {line[:40]!r}: the refused row has other bytes ({len(row[1])} of {row[2]})")
    return faults


def check_good(connection, rows):
    wanted = {}
    for at, (_, tenant, reason) in enumerate(plan()):
        if not reason:
            wanted[tenant] = wanted.get(tenant, 0) + 1
    in_lake = dict(connection.execute("SELECT _tenant, count(*) FROM marketplace_events GROUP BY ALL").fetchall())
    of_path = connection.execute(
        "SELECT DISTINCT _tenant, tenant_id FROM marketplace_events").fetchall()
    counted = {row["tenant_id"]: row["values"]["product_views"] for row in rows
               if (row["aggregate"], row["window"]) == ("vendor", "day")}
    vendors = {row["by"]["vendor_id"] for row in rows if row["aggregate"] == "vendor"}
    faults = [f"lake: {tenant!r} {in_lake.get(tenant)} of {n}" for tenant, n in wanted.items() if in_lake.get(tenant) != n]
    faults += [f"metrics: {tenant!r} {counted.get(tenant)} of {n}" for tenant, n in wanted.items() if counted.get(tenant) != n]
    faults += [f"nobody sent {tenant!r}" for tenant in (in_lake | counted) if tenant not in wanted]
    faults += [f"path of {tenant!r} says {path!r}" for tenant, path in of_path if tenant != path]
    faults += [f"vendor {tenant!r} is in no row" for tenant in TENANTS if tenant not in vendors]
    return faults


def check_paths(folder):
    """Every object lies where the layout says, and nowhere else."""
    part = r"[a-z_]+=[A-Za-z0-9.!-][A-Za-z0-9._!-]*/"
    table = rf"marketplace_events(_refused)?/({part})+[a-z0-9-]+\.parquet"
    keys = [str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file()]
    odd = [key for key in keys if not re.fullmatch(table, key) and not key.startswith("_control/")]
    return [f"not of the layout: {key}" for key in odd]


def compare(sql, dead_letters, metrics, folder):
    connection, rows = lake(sql), lines(metrics)
    faults = check_refused(connection, lines(dead_letters)) + check_good(connection, rows) + check_paths(folder)
    if faults:
        fail(faults)
    print(f"{2 * len(BAD)} bad lines are refused with their bytes, {len(TENANTS)} hostile ids came back intact")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["write", out]:
            Path(out).write_bytes(b"".join(line + b"\n" for line, _, _ in plan()))
        case ["compare", sql, dead_letters, metrics, folder]:
            compare(sql, dead_letters, metrics, folder)
        case _:
            sys.exit(__doc__)
