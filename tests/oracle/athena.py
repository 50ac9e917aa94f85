"""What `ddl --engine athena|terraform` prints, on a real Trino over a real S3 server, beside DuckDB over those files.

    athena.py FACTS      where servers, lakes and texts are: a JSON object, see tests/broker/athena.rs

DuckDB reads the local folder that was laid into the bucket, by its own SQL; Trino reads the bucket.
"""

import json
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor

import boto3
import duckdb
from athena_ddl import statements, to_trino
from athena_rows import comparable
from botocore.config import Config
import glue_tables
from trino_client import Refused, Trino, text

# As DuckDB and Trino spell one instant of a row.
MILLIS = "date_trunc('millisecond', {} + INTERVAL 500 MICROSECOND)"
PATH = ["category", "tenant_id", "year", "month", "day", "hour"]
checks = 0


def agree(what, found, wanted):
    global checks
    checks += 1
    if found != wanted:
        sys.exit(f"{what}:\n  found  {str(found)[:3000]}\n  wanted {str(wanted)[:3000]}")


def encoded(plain):
    """A tenant's text in a path, as it is documented."""
    is_plain = lambda at, byte: chr(byte) in SAFE and not (at == 0 and byte == ord("_"))
    letters = [chr(b) if is_plain(at, b) else f"!{b:02X}" for at, b in enumerate(plain.encode())]
    return "".join(letters)


SAFE = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"


def upload(facts):
    keys = {"aws_access_key_id": facts["key"], "aws_secret_access_key": facts["secret"]}
    config = Config(s3={"addressing_style": "path"}, max_pool_connections=8)
    s3 = boto3.client("s3", endpoint_url=facts["s3"], region_name=facts["region"], config=config, **keys)
    files = []
    for lake in facts["lakes"].values():
        for folder, _, names in os.walk(lake["folder"]):
            paths = [os.path.join(folder, name) for name in names]
            files += [(path, f"{lake['prefix']}/{os.path.relpath(path, lake['folder'])}") for path in paths]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda file: s3.upload_file(file[0], facts["bucket"], file[1]), files))
    return len(files)


def duck(lake):
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'Pacific/Apia'")
    with open(lake["duckdb"], encoding="utf-8") as file:
        connection.execute(file.read())
    return lambda sql: [list(map(comparable, row)) for row in connection.execute(sql).fetchall()]


def make_by_sql(trino, path):
    with open(path, encoding="utf-8") as file:
        for statement in statements(file.read()):
            trino.rows(to_trino(statement))


def tables_are_alike(trino, sql, terraform):
    """Both texts made the same tables and views: as the engine spells them, but for their place."""
    shown = {}
    for here in (sql, terraform):
        catalog, schema = here.split(".")
        names = [name for [name] in trino.rows(f"SHOW TABLES FROM {here}")]
        views = trino.rows(f"SELECT table_name FROM {catalog}.information_schema.views WHERE table_schema = '{schema}'")
        kinds = {name: "VIEW" if [name] in views else "TABLE" for name in names}
        agree("there are tables and views", set(kinds.values()), {"VIEW", "TABLE"})
        said = {name: trino.value(f'SHOW CREATE {kind} {here}."{name}"') for name, kind in kinds.items()}
        # Terraform gives every column a comment, which says nothing.
        for other in ('"', f"{here}.", f"{schema}.", " COMMENT ''"):
            said = {name: words.replace(other, "") for name, words in said.items()}
        shown[here] = said
    agree("the tables of both texts", sorted(shown[sql]), sorted(shown[terraform]))
    for name, said in shown[sql].items():
        agree(f"{name} of both texts", said, shown[terraform][name])


def filed(names, values):
    """A filter on the path: every value of each of its parts, one by one, as somebody would name a span."""
    lists = []
    for name, column in zip(names, zip(*values)):
        spelled = sorted({text(v) if isinstance(v, str) else str(v) for v in column})
        lists.append(f"{name} IN ({', '.join(spelled)})")
    return " AND ".join(lists)


def totals(ask, duckdb_of):
    """Per tenant and type: rows, ids, exact money, items, first and last time."""
    folders = [[encoded(c), encoded(t), *rest] for c, t, *rest in
               duckdb_of(f"SELECT DISTINCT {', '.join(PATH)} FROM marketplace_events")]
    sums = """SELECT {tenant}, type, {rows}, count(DISTINCT event_id), sum(total),
                     sum({items}), min({at}), max({at})
              FROM {table} {where} GROUP BY 1, 2 ORDER BY 1, 2"""
    duck_items = "list_sum([item.price * item.quantity FOR item IN items])"
    trino_items = "reduce(items, CAST(0 AS decimal(38,2)), (s, item) -> s + item.price * item.quantity, s -> s)"
    for table in ("marketplace_events", "marketplace_events_once"):
        of_duckdb = duckdb_of(sums.format(
            tenant="tenant_id", rows="count(*)", items=duck_items, at=MILLIS.format("_event_time"),
            table=table, where=""))
        of_trino = ask(sums.format(
            tenant="_tenant", rows="count(*)", items=trino_items, at="_event_time", table=table,
            where="WHERE " + filed(PATH, folders)))
        agree(f"totals of {table}", sort(of_trino), sort(of_duckdb))
    [[every]], [[once]] = (duckdb_of(f"SELECT count(*) FROM marketplace_events{end}") for end in ("", "_once"))
    agree("the lake has repeats", every > once, True)


def sort(rows):
    return sorted(rows, key=str)


def refused_records(ask, duckdb_of):
    hours = duckdb_of("SELECT DISTINCT year, month, day, hour FROM marketplace_events_refused")
    sums = """SELECT reason, count(*), sum(payload_bytes), sum({length}(payload)), min({start})
              FROM marketplace_events_refused {where} GROUP BY 1 ORDER BY 1"""
    wanted = duckdb_of(sums.format(length="octet_length", start="hour_start", where=""))
    agree("several reasons", len(wanted) > 3, True)
    found = ask(sums.format(length="length", start="hour_start", where="WHERE " + filed(PATH[2:], hours)))
    agree("refused records", found, wanted)


def only_its_folder_is_read(trino, duckdb_of, facts):
    """A query that names all of the path plans one partition, and reads the rows that lie there."""
    [[tenant, kind, *time, rows]] = duckdb_of(
        "SELECT tenant_id, category, year, month, day, hour, count(*) FROM marketplace_events "
        "WHERE category = 'ProductView' GROUP BY ALL ORDER BY count(*) DESC, 1, 2, 3, 4, 5, 6 LIMIT 1")
    parts = [encoded(kind), encoded(tenant), *time]
    place = filed(PATH, [parts])
    query = f"SELECT count(_event_id) FROM marketplace_events WHERE {place}"
    plan = json.loads(trino.value(f"EXPLAIN (TYPE IO, FORMAT JSON) {query}"))
    [scanned] = plan["inputTableColumnInfos"]
    columns = (scanned.get("constraint") or scanned)["columnConstraints"]
    ends = lambda column: [(r["low"]["value"], r["high"]["value"]) for r in column["domain"]["ranges"]]
    planned = {column["columnName"]: ends(column) for column in columns}
    agree("the planned partition", planned, {name: [(str(part), str(part))] for name, part in zip(PATH, parts)})

    answer = trino.ask(query)
    agree("rows of the folder, and rows that were read for them", (answer.rows, answer.rows_read), ([[rows]], rows))
    files = trino.rows(f"SELECT DISTINCT \"$path\" FROM marketplace_events_files WHERE {place}")
    lake = facts["lakes"]["marketplace"]
    padded = [f"{part:02}" if isinstance(part, int) else part for part in parts]
    folder = "/".join(["marketplace_events", *(f"{name}={part}" for name, part in zip(PATH, padded))])
    there = [f"{facts['bucket']}/{lake['prefix']}/{folder}/{name}" for name in os.listdir(f"{lake['folder']}/{folder}")]
    agree("the files that were read", sort(path for [path] in files), sort(f"s3://{path}" for path in there))

    # Start of the hour, and a view that compares rows: what is not in the folder is not read either.
    start = "-".join(f"{part:02}" for part in time[:3]) + f" {time[3]:02}:00:00"
    named = f"tenant_id = {text(encoded(tenant))} AND category = {text(encoded(kind))} AND year = {time[0]}"
    of_start = f"{named} AND hour_start = TIMESTAMP '{start}'"
    by_start = trino.ask(f"SELECT count(_event_id) FROM marketplace_events WHERE {of_start}")
    agree("by hour_start", (by_start.rows, by_start.rows_read), ([[rows]], rows))
    once = trino.ask(f"SELECT count(*) FROM marketplace_events_once WHERE {place}")
    agree("one row per id, of one folder", once.rows_read, rows)


def a_tenant_has_to_be_named(trino, spans):
    for table in ("marketplace_events", "marketplace_events_once", "marketplace_events_files"):
        for named in ("1 = 1", "tenant_id LIKE 't%'", "tenant_id > 't001'", "tenant_id IS NOT NULL",
                      "lower(tenant_id) = 't001'", "_tenant = 't001'"):
            try:
                found = trino.rows(f"SELECT count(*) FROM {table} WHERE {named} AND {spans}")
            except Refused as error:
                found = "tenant_id" in str(error) and "Injected" in str(error) or str(error)
            agree(f"{table} without a tenant: {named}", found, True)


def hostile_ids_come_back(trino, duckdb_of, advised):
    rows = duckdb_of(f"SELECT DISTINCT {', '.join(PATH)} FROM marketplace_events")
    folders = [[encoded(kind), *time] for kind, tenant, *time in rows if encoded(tenant) != tenant]
    strange = sorted({row[1] for row in rows if encoded(row[1]) != row[1]})
    agree("strange tenants are among them", len(strange) > 15, True)
    spans = filed(PATH[:1] + PATH[2:], folders)
    for tenant in strange:
        by_path, by_id = text(encoded(tenant)), advised.replace("'a/b'", text(tenant))
        for named in (by_path, by_id):
            where = f"tenant_id = {named} AND {spans}"
            shown = trino.rows(f"SELECT DISTINCT _tenant, tenant_id FROM marketplace_events WHERE {where}")
            agree(f"{tenant!r} by {named}", shown, [[tenant, encoded(tenant)]])
        where = f"tenant_id = {by_path} AND {spans}"
        written = trino.rows(f"SELECT DISTINCT _tenant FROM marketplace_events_files WHERE {where}")
        agree(f"{tenant!r} in the files", written, [[tenant]])


def advice(path):
    """What the printed text says to write for a tenant's id as it is."""
    with open(path, encoding="utf-8") as file:
        words = " ".join(line.removeprefix("--").strip() for line in file)
    return re.search(r"tenant_id = (regexp_replace\(.*?'!5F'\))", words).group(1)


def every_type_is_read(trino, duckdb_of):
    names = [name for [name, *_] in duckdb_of('DESCRIBE "table"')]
    folders = duckdb_of('SELECT DISTINCT category, year, month FROM "table"')
    quoted = ", ".join(f'"{name}"' for name in names)
    wanted = duckdb_of(f'SELECT {quoted} FROM "table" ORDER BY "order"')
    where = filed(["category", "year", "month"], folders)
    for named in (where, where.partition(" AND ")[2]):
        found = trino.rows(f'SELECT {quoted} FROM "table" WHERE {named} ORDER BY "order"')
        agree("rows of every type", len(found), len(wanted))
        for ours, theirs in zip(found, wanted):
            for name, one, other in zip(names, ours, theirs):
                agree(f"{name} (of every type)", one, other)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        facts = json.load(file)
    print(f"{upload(facts)} objects")
    trino = Trino(facts["trino"], "folder", "default")
    trino.wait_until_ready()
    places = {}
    for name, lake in facts["lakes"].items():
        make_by_sql(trino, lake["sql"])
        by = glue_tables.make(lake["terraform"], facts["glue"], facts["region"])
        print(f"{name}: the catalog's tables were made by {by}")
        places[name] = [("folder", name), ("awsdatacatalog", f"{name}_tf")]
        tables_are_alike(trino, *map(".".join, places[name]))

    lake = facts["lakes"]["marketplace"]
    of_duckdb = duck(lake)
    folders = of_duckdb("SELECT DISTINCT category, year, month, day, hour FROM marketplace_events")
    spans = filed(["category"] + PATH[2:], [[encoded(kind), *time] for kind, *time in folders])
    for place in places["marketplace"]:
        here = Trino(facts["trino"], *place)
        totals(here.rows, of_duckdb)
        refused_records(here.rows, of_duckdb)
        only_its_folder_is_read(here, of_duckdb, facts)
        a_tenant_has_to_be_named(here, spans)
        hostile_ids_come_back(here, of_duckdb, advice(lake["sql"]))
    for place in places["types"]:
        every_type_is_read(Trino(facts["trino"], *place), duck(facts["lakes"]["types"]))
    print(f"{checks} checks")


main()
