"""Computes every calendar window and value of a topology from its lake, and compares with what `metrics` printed.

    calendar_rows.py TOPOLOGY lake.sql metrics.ndjson set-aside.ndjson PARTITIONS

In: the SQL of `ddl`, the lines of `metrics` and of `metrics --set-aside`. The aggregates are written down here by
hand, in SQL over the lake's rows; repeats and late parts are taken out by coordinate, target by target.
Exit 1 on any difference, with the first of them.
"""

import json
import sys
from datetime import timedelta

import insights
import marketplace
from common import compare, fail, fill, instant, key_text, lake, load_set_aside, printed_rows, target_of

TOPOLOGIES = {"marketplace": marketplace, "tenant-insights": insights}

# One row of `contributions` is what one event adds to one key; the rest of its columns are the topology's.
PLACE = "_incarnation, _partition, _offset"


def window_start(window, zone):
    """SQL: the window of `_event_time` (naive UTC) as its local start."""
    local = f"(_event_time AT TIME ZONE 'UTC') AT TIME ZONE '{zone}'"
    return "TIMESTAMP '1970-01-01'" if window == "ever" else f"date_trunc('{window}', {local})"


def window_end(start, window):
    if window == "month":
        return (start.replace(day=1) + timedelta(days=32)).replace(day=1)
    return start + {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}[window]


def choose_targets(connection, aggregate, partitions):
    """`targets(tenant, row_by, target)`: who counts which key."""
    keys = connection.execute("SELECT DISTINCT tenant, row_by FROM contributions").fetchall()
    connection.execute("CREATE OR REPLACE TABLE targets(tenant TEXT, row_by TEXT, target INT)")
    fill(connection, "targets", [(t, by, target_of(key_text(aggregate, t, json.loads(by)), partitions)) for t, by in keys])


def counted(connection, aggregate, window, zone):
    """`counted`: the contributions to this kind of window that nobody set aside."""
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE counted AS
        SELECT c.*, {window_start(window, zone)} AS start
        FROM contributions c JOIN targets t USING (tenant, row_by)
        WHERE NOT EXISTS (
            FROM set_aside s
            WHERE s.target = t.target
              AND (s.incarnation, s.part, s.off) = (c._incarnation, c._partition, c._offset)
              AND (s.aggregate IS NULL OR (s.aggregate = '{aggregate}' AND s.win = '{window}')))
        """
    )


def expected_rows(connection, topology, partitions):
    expected = {}
    for aggregate in topology.AGGREGATES:
        connection.execute(f"CREATE OR REPLACE TEMP TABLE contributions AS {aggregate.contributions}")
        choose_targets(connection, aggregate.name, partitions)
        for window in aggregate.windows:
            counted(connection, aggregate.name, window, topology.ZONE)
            for tenant, by, start, *values in connection.execute(
                f"SELECT tenant, row_by, start, {aggregate.values} FROM counted GROUP BY ALL"
            ).fetchall():
                key = (aggregate.name, tenant, by, window, "" if window == "ever" else instant(start))
                expected[key] = aggregate.row(*values)
                if window != "ever":
                    expected[key]["end"] = instant(window_end(start, window))
    return expected


def check_targets(printed, partitions):
    """Every printed row has to come from the partition that its key is sent to."""
    wrong = []
    for (aggregate, tenant, by, *_), row in printed.items():
        target = target_of(key_text(aggregate, tenant, json.loads(by)), partitions)
        if row["as_of"]["partition"] != target:
            wrong.append(f"{aggregate} {tenant} {by}: expected target {target}, printed {row['as_of']}")
    if wrong:
        fail(wrong)


def main():
    name, sql, metrics, set_aside, partitions = sys.argv[1:]
    topology, partitions = TOPOLOGIES[name], int(partitions)
    # Windows of a zone other than UTC begin at local midnight; these topologies have none.
    assert topology.ZONE == "UTC"
    connection = lake(sql)
    aside = load_set_aside(connection, set_aside)
    windows = {window for aggregate in topology.AGGREGATES for window in aggregate.windows}

    expected = expected_rows(connection, topology, partitions)
    printed = printed_rows(metrics, {aggregate.name for aggregate in topology.AGGREGATES}, windows)
    check_targets(printed, partitions)
    values = compare(expected, printed)

    reasons = [row[4] for row in aside]
    told = ", ".join(f"{reasons.count(reason)} {reason}" for reason in sorted(set(reasons))) or "nothing"
    print(f"{len(expected)} rows and {values} values are equal; set aside: {told}")
    if not expected:
        fail(["the lake has no row to compare"])


if __name__ == "__main__":
    main()
