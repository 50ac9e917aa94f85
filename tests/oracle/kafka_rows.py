"""Reads a compacted topic as any program may, and writes its live rows as `thalweg metrics` prints them.

    kafka_rows.py read BROKERS TOPIC OUT      with confluent-kafka, as a read_committed consumer without a group
    kafka_rows.py fold CONSOLE OUT            what Kafka's own console consumer printed: key, tab, value
    kafka_rows.py same ONE OTHER              both hold the same rows

Only what is documented is used: a row's key and value are JSON objects, a tombstone removes the row, and a key
without `aggregate` is a position, not a row.
"""

import json
import sys

from common import fail, lines


def read(brokers, topic):
    from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": "a-reader-of-metrics",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
        }
    )
    partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in partitions])
    at_end, live = set(), {}
    while len(at_end) < len(partitions):
        message = consumer.poll(30)
        if message is None:
            fail([f"{topic}: nothing for half a minute, and {len(at_end)} of {len(partitions)} partitions at their end"])
        if message.error():
            if message.error().code() != KafkaError._PARTITION_EOF:
                fail([str(message.error())])
            at_end.add(message.partition())
            continue
        note(live, message.key().decode(), message.value() and message.value().decode())
    consumer.close()
    return live


def note(live, key, value):
    if value is None:
        live.pop(key, None)
    else:
        live[key] = value


def fold(path):
    live = {}
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            key, tab, value = line.rstrip("\n").partition("\t")
            if not tab:
                # That nothing more came in time is how a console consumer ends, and it logs that to the same stream.
                rest = line + file.read()
                if "TimeoutException" not in rest:
                    fail([f"{path}, line {number} is no record: {rest[:500]!r}"])
                break
            note(live, key, None if value == "null" else value)
    return live


def write(live, out):
    rows = 0
    with open(out, "w", encoding="utf-8") as file:
        for key in sorted(live):
            row = json.loads(key)
            if "aggregate" not in row:
                continue
            file.write(json.dumps(row | json.loads(live[key]), ensure_ascii=False) + "\n")
            rows += 1
    print(f"{rows} rows")
    if not rows:
        fail(["no row was read"])


def same(one, other):
    as_text = lambda path: sorted(json.dumps(row, sort_keys=True) for row in lines(path))
    one, other = as_text(one), as_text(other)
    if one != other:
        only = lambda a, b: sorted(set(a) - set(b))
        fail([f"only in the first: {row}" for row in only(one, other)] + [f"only in the second: {row}" for row in only(other, one)])
    print(f"{len(one)} rows are the same")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["read", brokers, topic, out]:
            write(read(brokers, topic), out)
        case ["fold", console, out]:
            write(fold(console), out)
        case ["same", one, other]:
            same(one, other)
        case _:
            sys.exit(__doc__)
