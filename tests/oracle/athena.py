"""What `ddl --engine athena|terraform` prints, on a real Trino over a real S3 server, beside DuckDB over the same files.

    athena.py FACTS      where servers, lakes and texts are: a JSON object, see tests/broker/athena.rs

DuckDB reads the local folder that was laid into the bucket, by its own SQL; Trino reads the bucket.
"""

import json
import os
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


def tables_are_alike(glue, one, other):
    """Both texts made the same tables, whoever read them."""
    tables = lambda database: {t["Name"]: t for t in glue.get_tables(DatabaseName=database)["TableList"]}
    ones, others = tables(one), tables(other)
    agree("the tables of both texts", sorted(ones), sorted(others))
    for name, table in ones.items():
        columns = lambda t: [(c["Name"], c["Type"]) for c in t["StorageDescriptor"]["Columns"] + t.get("PartitionKeys", [])]
        projected = lambda t: {k: v for k, v in t["Parameters"].items() if k.startswith(("projection.", "storage.", "presto"))}
        agree(f"kind of {name}", table["TableType"], others[name]["TableType"])
        if table["TableType"] == "EXTERNAL_TABLE":
            agree(f"columns of {name}", columns(table), columns(others[name]))
            agree(f"location of {name}", table["StorageDescriptor"]["Location"], others[name]["StorageDescriptor"]["Location"])
        agree(f"properties of {name}", projected(table), projected(others[name]))


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
    duck_items = "list_sum(list_transform(items, item -> item.price * item.quantity))"
    trino_items = "reduce(items, CAST(0 AS decimal(38,2)), (s, item) -> s + item.price * item.quantity, s -> s)"
    for table in ("marketplace_events", "marketplace_events_once", "marketplace_events_once_pruned"):
        of_duckdb = duckdb_of(sums.format(
            tenant="tenant_id", rows="count(*)", items=duck_items, at=MILLIS.format("_event_time"),
            table=table.removesuffix("_pruned"), where=""))
        of_trino = ask(sums.format(
            tenant="_tenant", rows="count(*)", items=trino_items, at="_event_time", table=table,
            where="WHERE " + filed(PATH, folders)))
        agree(f"totals of {table}", sort(of_trino), sort(of_duckdb))
    repeats = duckdb_of("SELECT (SELECT count(*) FROM marketplace_events) - (SELECT count(*) FROM marketplace_events_once)")
    agree("the lake has repeats", repeats[0][0] > 0, True)


def sort(rows):
    return sorted(rows, key=str)


def refused_records(ask, duckdb_of):
    hours = duckdb_of("SELECT DISTINCT year, month, day, hour FROM marketplace_events_refused")
    sums = """SELECT reason, count(*), sum(payload_bytes), sum({length}(payload)), min({start})
              FROM marketplace_events_refused {where} GROUP BY 1 ORDER BY 1"""
    wanted = duckdb_of(sums.format(length="octet_length", start="hour_start", where=""))
    agree("several reasons", len(wanted) > 3, True)
    agree("refused records", ask(sums.format(length="length", start="hour_start", where="WHERE " + filed(PATH[2:], hours))), wanted)


def only_its_folder_is_read(trino, duckdb_of, facts):
    """A query that names all of the path plans one partition, and reads the rows that lie there."""
    [[tenant, kind, *time, rows]] = duckdb_of(
        "SELECT tenant_id, category, year, month, day, hour, count(*) FROM marketplace_events "
        "WHERE category = 'ProductView' GROUP BY ALL ORDER BY count(*) DESC, ALL LIMIT 1")
    place = filed(PATH, [[encoded(kind), encoded(tenant), *time]])
    query = f"SELECT count(_event_id) FROM marketplace_events WHERE {place}"
    plan = json.loads(trino.value(f"EXPLAIN (TYPE IO, FORMAT JSON) {query}"))
    [scanned] = plan["inputTableColumnInfos"]
    columns = (scanned.get("constraint") or scanned)["columnConstraints"]
    one = lambda column: [r["low"]["value"] for r in column["domain"]["ranges"] if r["low"]["value"] == r["high"]["value"]]
    planned = {column["columnName"]: one(column) for column in columns}
    agree("the planned partition", planned, dict(zip(PATH, [[str(v)] for v in [encoded(kind), encoded(tenant), *time]])))

    answer = trino.ask(query)
    agree("rows of the folder, and rows that were read for them", (answer.rows, answer.rows_read), ([[rows]], rows))
    files = trino.rows(f"SELECT DISTINCT \"$path\" FROM marketplace_events_files WHERE {place}")
    lake = facts["lakes"]["marketplace"]
    folder = f"marketplace_events/category={encoded(kind)}/tenant_id={encoded(tenant)}/year={time[0]}/month={time[1]:02}/day={time[2]:02}/hour={time[3]:02}"
    there = [f"s3://{facts['bucket']}/{lake['prefix']}/{folder}/{name}" for name in os.listdir(f"{lake['folder']}/{folder}")]
    agree("the files that were read", sort(path for [path] in files), sort(there))

    # Start of the hour, and a view that compares rows: what is not in the folder is not read either.
    start = "-".join(f"{part:02}" for part in time[:3]) + f" {time[3]:02}:00:00"
    named = f"tenant_id = {text(encoded(tenant))} AND category = {text(encoded(kind))} AND year = {time[0]}"
    by_start = trino.ask(f"SELECT count(_event_id) FROM marketplace_events WHERE {named} AND hour_start = TIMESTAMP '{start}'")
    agree("by hour_start", (by_start.rows, by_start.rows_read), ([[rows]], rows))
    once = trino.ask(f"SELECT count(*) FROM marketplace_events_once_pruned WHERE {place}")
    agree("one row per id, of one folder", once.rows_read, rows)


def a_tenant_has_to_be_named(trino, spans):
    for table in ("marketplace_events", "marketplace_events_once", "marketplace_events_once_pruned", "marketplace_events_files"):
        for named in ("1 = 1", "tenant_id LIKE 't%'", "tenant_id > 't001'", "tenant_id IS NOT NULL",
                      "lower(tenant_id) = 't001'", "_tenant = 't001'"):
            try:
                found = trino.rows(f"SELECT count(*) FROM {table} WHERE {named} AND {spans}")
            except Refused as error:
                found = "tenant_id" in str(error) and "Injected" in str(error) or str(error)
            agree(f"{table} without a tenant: {named}", found, True)


def hostile_ids_come_back(trino, duckdb_of, spans):
    tenants = [tenant for [tenant] in duckdb_of("SELECT DISTINCT tenant_id FROM marketplace_events ORDER BY 1")]
    strange = [tenant for tenant in tenants if encoded(tenant) != tenant]
    agree("strange tenants are among them", len(strange) > 15, True)
    path_of = "regexp_replace(replace(replace(replace(url_encode({}), '+', '!20'), '*', '!2A'), '%', '!'), '^_', '!5F')"
    for tenant in strange:
        for named in (text(encoded(tenant)), path_of.format(text(tenant))):
            shown = trino.rows(f"SELECT DISTINCT _tenant, tenant_id FROM marketplace_events WHERE tenant_id = {named} AND {spans}")
            agree(f"{tenant!r} by its path", shown, [[tenant, encoded(tenant)]])
        written = trino.rows(f"SELECT DISTINCT _tenant FROM marketplace_events_files WHERE tenant_id = {text(encoded(tenant))} AND {spans}")
        agree(f"{tenant!r} in the files", written, [[tenant]])


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
    trino = Trino(facts["trino"], "awsdatacatalog", "default")
    trino.wait_until_ready()
    glue = glue_tables.client(facts["glue"], facts["region"])
    for name, lake in facts["lakes"].items():
        make_by_sql(trino, lake["sql"])
        by = glue_tables.make(lake["terraform"], facts["glue"], facts["region"])
        print(f"{name}: the catalog's tables were made by {by}")
        tables_are_alike(glue, lake["database"], f"{lake['database']}_tf")

    lake = facts["lakes"]["marketplace"]
    of_duckdb = duck(lake)
    folders = of_duckdb("SELECT DISTINCT category, year, month, day, hour FROM marketplace_events")
    spans = filed(["category"] + PATH[2:], [[encoded(kind), *time] for kind, *time in folders])
    for schema in (lake["database"], f"{lake['database']}_tf"):
        here = trino.with_schema(schema)
        totals(here.rows, of_duckdb)
        refused_records(here.rows, of_duckdb)
        only_its_folder_is_read(here, of_duckdb, facts)
        a_tenant_has_to_be_named(here, spans)
        hostile_ids_come_back(here, of_duckdb, spans)
    types = facts["lakes"]["types"]
    for schema in (types["database"], f"{types['database']}_tf"):
        every_type_is_read(trino.with_schema(schema), duck(types))
    print(f"{checks} checks")


main()
