"""What any read_committed consumer sees of a topic, from its beginning to its end."""

from collections import defaultdict

from common import fail


def topics(brokers, beginnings):
    """Names of the topics that begin so, of a cluster."""
    from confluent_kafka.admin import AdminClient

    names = AdminClient({"bootstrap.servers": brokers}).list_topics(timeout=30).topics
    return sorted(name for name in names if name.startswith(beginnings))


def committed(brokers, topic):
    """Partition → its records in order: (key, value), as bytes; a value may be None."""
    from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": "a-reader-of-history",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in partitions])
    records, at_end = defaultdict(list), set()
    while len(at_end) < len(partitions):
        message = consumer.poll(30)
        if message is None:
            fail([f"{topic}: nothing for half a minute"])
        if message.error():
            if message.error().code() != KafkaError._PARTITION_EOF:
                fail([str(message.error())])
            at_end.add(message.partition())
            continue
        records[message.partition()].append((message.key(), message.value()))
    consumer.close()
    return records
