"""Checks that every transaction of every target is there as a whole, in all the topics that it wrote to.

    whole_transactions.py BROKERS DEPLOYMENT

In: the topics of that name that `aggregate` writes to, with one partition a target; the whole of each, before it is
compacted. A commit record (key `commit`, the last one of its transaction in `state`) says how many records it came with; a
position (the last one in `metrics`) says which commit it is of. So, for each target: both topics name the same commits in
the same order; each is the next one, or the same once more; none has more records in the two than it says; and all that
they say together is what stands in all topics together. A part of a transaction that was aborted, cut off or written twice
is one too many.

Prints how many transactions and records there were. Exit 1 on any difference.
"""

import json
import sys
from collections import defaultdict

from committed import committed, topics
from common import fail


def parts(records, is_last):
    """Records up to and with each last one; nothing may stand behind."""
    found, size = [], 0
    for key, value in records:
        size += 1
        last = is_last(key, value)
        if last is not None:
            found.append((last, size))
            size = 0
    return found, size


def commit_record(key, value):
    return json.loads(value) if key == b"commit" else None


def position(key, value):
    return json.loads(value) if key.startswith(b'{"position":') else None


def target(name, state, metrics, others):
    faults = []
    commits, rest_of_state = parts(state, commit_record)
    positions, rest_of_metrics = parts(metrics, position)
    if rest_of_state or rest_of_metrics:
        faults.append(f"{name}: {rest_of_state} and {rest_of_metrics} records behind the last commit")
    numbers = [commit["commit"] for commit, _ in commits]
    if numbers != [position["commit"] for position, _ in positions]:
        faults.append(f"{name}: commits {numbers}, and positions of {[one['commit'] for one, _ in positions]}")
    steps = [after - before for before, after in zip(numbers, numbers[1:])]
    if any(step not in (0, 1) for step in steps):
        faults.append(f"{name}: commits {numbers}")
    for (commit, in_state), (_, in_metrics) in zip(commits, positions):
        if in_state + in_metrics > commit["records"]:
            faults.append(f"{name}: commit {commit['commit']} has {in_state} + {in_metrics} records of {commit['records']}")
    said, found = sum(commit["records"] for commit, _ in commits), len(state) + len(metrics) + others
    if said != found:
        faults.append(f"{name}: {len(commits)} transactions of {said} records, and {found} are there")
    return len(commits), found, faults


def main():
    brokers, deployment = sys.argv[1:]
    states, rows = committed(brokers, f"{deployment}.state"), committed(brokers, f"{deployment}.metrics")
    sizes = defaultdict(int)
    for topic in topics(brokers, (f"{deployment}.set-aside", f"{deployment}.history.")):
        for partition, records in committed(brokers, topic).items():
            sizes[partition] += len(records)
    transactions, records, faults = 0, 0, []
    for partition in sorted({*states, *rows, *sizes}):
        of_it = target(f"target {partition}", states[partition], rows[partition], sizes[partition])
        transactions, records, faults = transactions + of_it[0], records + of_it[1], faults + of_it[2]
    if faults:
        fail(faults)
    if not transactions:
        fail(["no transaction was checked"])
    print(json.dumps({"transactions": transactions, "records": records}))


if __name__ == "__main__":
    main()
