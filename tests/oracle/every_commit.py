"""Checks every record that was ever committed to the metrics topic, not only those that stand at the end.

    every_commit.py BROKERS METRICS_TOPIC lake.sql set-aside.ndjson PARTITIONS

In: the whole topic, read as any read_committed consumer may, before it is compacted; the SQL of `ddl`; the lines of
`metrics --set-aside`. A transaction's last record says up to which offset of each raw partition its rows hold. So each
row of a calendar window is counted again over the lake's events below those offsets, and compared. Also: commits of a
partition are numbered without a hole (one that is written once more stands at the same offsets), every row names the
commit that it came with, and no key goes back.

For the marketplace topology, and its values that are sums and counts of different ids. Exit 1 on any difference.
"""

import json
import sys
from bisect import bisect_left
from collections import Counter, defaultdict

import marketplace
from calendar_rows import PLACE, choose_targets, counted
from committed import committed
from common import fail, instant, lake, load_set_aside, rounded

AGGREGATES = {
    "vendor": "type, action, total, customer_id",
    "product": "type, action, line, NULL",
}
KINDS = {
    "vendor": {
        "product_views": ("ProductView", None),
        "profile_views": ("VendorView", None),
        "added": ("ProductFavorite", "added"),
        "removed": ("ProductFavorite", "removed"),
        "cart_adds": ("CartAdd", None),
        "orders": ("OrderCreated", None),
        "completed_orders": ("OrderCompleted", None),
    },
    "product": {
        "views": ("ProductView", None),
        "added": ("ProductFavorite", "added"),
        "removed": ("ProductFavorite", "removed"),
        "cart_adds": ("CartAdd", None),
        "orders": ("OrderCreated", None),
    },
}


def history(brokers, topic):
    """Partition → its committed records in order: (key, value or None)."""
    parsed = lambda text: None if text is None else json.loads(text)
    records = committed(brokers, topic).items()
    return {partition: [(parsed(key), parsed(value)) for key, value in of_it] for partition, of_it in records}


def transactions(records):
    """(rows, position) of each commit of one partition."""
    rows = []
    for key, value in records:
        if "position" in key:
            yield rows, value
            rows = []
        else:
            rows.append((key, value))
    if rows:
        fail([f"rows without the position that ends their transaction: {rows[0]}"])


class Count:
    """What was counted for one key and window, as far as some position."""

    def __init__(self, contributions):
        self.by_part = defaultdict(list)
        for part, offset, *rest in sorted(contributions, key=lambda one: one[:2]):
            self.by_part[part].append((offset, rest))
        self.done = Counter()
        self.kinds = Counter()
        self.revenue = 0
        self.buyers = set()
        self.seen = set()

    def up_to(self, sources):
        for part, all_of_it in self.by_part.items():
            end = bisect_left(all_of_it, sources.get(str(part), 0), key=lambda one: one[0])
            for offset, (kind, action, amount, customer) in all_of_it[self.done[part] : end]:
                if kind == "OrderCompleted" and amount is not None:
                    self.revenue += amount
                # An event counts once for a key, however many of its items add to it.
                if (part, offset) not in self.seen:
                    self.seen.add((part, offset))
                    self.kinds[kind, action] += 1
                    self.kinds[kind, None] += action is not None
                if kind == "OrderCreated" and customer is not None:
                    self.buyers.add(customer)
            self.done[part] = max(self.done[part], end)

    def values(self, aggregate):
        values = {name: self.kinds[kind] for name, kind in KINDS[aggregate].items()}
        values["revenue"] = rounded(self.revenue, 2)
        if aggregate == "vendor":
            values["buyers"] = len(self.buyers)
        return values


def counts(connection, partitions):
    """(aggregate, tenant, by, window, start) → Count."""
    found = {}
    for aggregate in marketplace.AGGREGATES:
        connection.execute(f"CREATE OR REPLACE TEMP TABLE contributions AS {aggregate.contributions}")
        choose_targets(connection, aggregate.name, partitions)
        for window in aggregate.windows:
            counted(connection, aggregate.name, window, marketplace.ZONE)
            groups = defaultdict(list)
            for tenant, by, start, *one in connection.execute(
                f"SELECT tenant, row_by, start, _partition, _offset, {AGGREGATES[aggregate.name]} FROM counted"
            ).fetchall():
                groups[aggregate.name, tenant, by, window, instant(start)].append(one)
            found.update((key, Count(contributions)) for key, contributions in groups.items())
    return found


class Judge:
    def __init__(self, counts):
        self.counts = counts
        self.commits = self.rows = self.checked = 0
        self.at = {}  # key → the offset of its newest row
        self.faults = []

    def partition(self, partition, records):
        last = None
        for rows, position in transactions(records):
            # Where the end of a transaction was sent twice, a late copy of it may have cut off a part of what followed:
            # the same commit is written once more, under its own number.
            is_next = last is None or position["commit"] == last["commit"] + 1 or position == last
            if not is_next:
                self.faults.append(f"partition {partition}: {position} follows {last}")
            last = position
            self.commits += 1
            for key, value in rows:
                self.row(partition, key, value, position)

    def row(self, partition, key, value, position):
        self.rows += 1
        if value is None:
            return
        name = json.dumps(key)
        as_of = value["as_of"]
        if as_of != {"partition": partition, "offset": position["offset"]}:
            self.faults.append(f"{name}: {as_of} in commit {position['commit']} of partition {partition}, which ends at {position['offset']}")
        if as_of["offset"] < self.at.get(name, 0):
            self.faults.append(f"{name}: went back from {self.at[name]} to {as_of['offset']}")
        self.at[name] = as_of["offset"]
        if key["aggregate"] not in KINDS or key["window"] not in ("day", "week", "month"):
            return
        by = json.dumps(key["by"], ensure_ascii=False, separators=(",", ":"))
        count = self.counts.get((key["aggregate"], key["tenant_id"], by, key["window"], key["start"]))
        if count is None:
            self.faults.append(f"{name}: not in the lake")
            return
        count.up_to(position["sources"])
        self.checked += 1
        for member, want in count.values(key["aggregate"]).items():
            # Above 1,024 different ids a count is an estimate, and says so.
            if value["values"][member] != want and member not in value.get("approximate", []):
                self.faults.append(f"{name}, commit {position['commit']}, {member}: expected {want!r}, was {value['values'][member]!r}")


def main():
    brokers, topic, sql, set_aside, partitions = sys.argv[1:]
    connection = lake(sql)
    load_set_aside(connection, set_aside)
    judge = Judge(counts(connection, int(partitions)))
    for partition, records in sorted(history(brokers, topic).items()):
        judge.partition(partition, records)
    if judge.faults:
        fail(judge.faults)
    if not judge.checked:
        fail(["no row was checked"])
    print(json.dumps({"commits": judge.commits, "rows": judge.rows, "checked": judge.checked}))


if __name__ == "__main__":
    main()
