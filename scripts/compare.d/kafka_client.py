"""Writes and reads records with another Kafka client. It runs in the Python that
scripts/python-client prints.

    kafka_client.py BROKER create TOPIC PARTITIONS
    kafka_client.py BROKER produce TOPIC
    kafka_client.py BROKER ends TOPIC
    kafka_client.py BROKER consume TOPIC [STARTS]

`produce` reads records from standard input. `ends` prints the offset after the last record of each
partition, as JSON. `consume` prints records, beginning at the offsets that `ends` printed. A record
is one line of JSON: partition, key, value and headers, all bytes in base64, nothing as null."""

from __future__ import annotations

import base64
import json
import sys

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition

LARGEST = 16 << 20


def text(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


def data(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


def create(broker: str, topic: str, partitions: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=broker)
    options = {
        "num_partitions": int(partitions),
        "replication_factor": 1,
        "configs": {"max.message.bytes": str(LARGEST)},
    }
    admin.create_topics({topic: options}, wait_for_metadata=True)


def produce(broker: str, topic: str) -> None:
    producer = KafkaProducer(bootstrap_servers=broker, max_request_size=LARGEST)
    for line in sys.stdin:
        record = json.loads(line)
        headers = [(name, data(value)) for name, value in record["headers"]]
        producer.send(
            topic,
            partition=record["partition"],
            key=data(record["key"]),
            value=data(record["value"]),
            headers=headers,
        )
    producer.flush()


def partitions_of(consumer: KafkaConsumer, topic: str) -> list[TopicPartition]:
    """None where the topic is not there."""
    if topic not in consumer.topics():
        return []
    return [
        TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic))
    ]


def ends(broker: str, topic: str) -> None:
    consumer = KafkaConsumer(bootstrap_servers=broker)
    found = consumer.end_offsets(partitions_of(consumer, topic))
    print(json.dumps({partition.partition: offset for partition, offset in found.items()}))


def consume(broker: str, topic: str, starts: str = "{}") -> None:
    consumer = KafkaConsumer(
        bootstrap_servers=broker, enable_auto_commit=False, isolation_level="read_committed"
    )
    partitions = partitions_of(consumer, topic)
    consumer.assign(partitions)
    for partition in partitions:
        consumer.seek(partition, json.loads(starts).get(str(partition.partition), 0))
    last = consumer.end_offsets(partitions)
    while any(consumer.position(partition) < last[partition] for partition in partitions):
        for records in consumer.poll(1000).values():
            for record in records:
                show(record)


def show(record: object) -> None:
    headers = [(name, text(value)) for name, value in record.headers]
    print(
        json.dumps(
            {
                "partition": record.partition,
                "key": text(record.key),
                "value": text(record.value),
                "headers": headers,
            }
        )
    )


if __name__ == "__main__":
    {"create": create, "produce": produce, "ends": ends, "consume": consume}[sys.argv[2]](
        sys.argv[1], *sys.argv[3:]
    )
