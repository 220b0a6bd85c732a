"""Whether a checkpoint still fits its topic.

A topic that was made anew counts from 0 again. A checkpoint of before then names places that do not exist, or that hold other records, and
going on from there would leave records out without a word. So the topic's own id, which Kafka gives each topic once, is kept in the checkpoint.
"""

from __future__ import annotations

import json
import logging
import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from .broker import Broker
    from .settings import Settings

log = logging.getLogger("mattebox.spark")


class Stale(Exception):
    """The checkpoint does not fit the topic."""


def last_offsets(spark: SparkSession, checkpoint: str, topic: str) -> dict[int, int] | None:
    """Where the next batch begins, by partition, as the checkpoint has it; None where there is no checkpoint yet."""
    jvm = spark._jvm
    folder = jvm.org.apache.hadoop.fs.Path(os.path.join(checkpoint, "offsets"))
    files = folder.getFileSystem(spark._jsc.hadoopConfiguration())
    if not files.exists(folder):
        return None
    batches = [status.getPath() for status in files.listStatus(folder) if status.getPath().getName().isdecimal()]
    if not batches:
        return None
    newest = max(batches, key=lambda path: int(path.getName()))
    stream = files.open(newest)
    try:
        text = jvm.org.apache.commons.io.IOUtils.toString(stream, "UTF-8")
    finally:
        stream.close()
    for line in text.splitlines()[2:]:
        try:
            places = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(places, dict) and isinstance(places.get(topic), dict):
            return {int(partition): int(offset) for partition, offset in places[topic].items()}
    raise Stale(f"the checkpoint {checkpoint} is not one of topic {topic}: give another --checkpoint")


def check(spark: SparkSession, broker: Broker, settings: Settings) -> None:
    """Compares the checkpoint with the topic, and sets it aside if that was asked for."""
    places = last_offsets(spark, settings.checkpoint, settings.topic)
    name = _Name(spark, settings.checkpoint)
    topic_id = broker.topic_id(settings.topic)
    if places is None:
        name.write(topic_id)
        return
    first, end = broker.offsets(settings.topic, latest=False), broker.offsets(settings.topic, latest=True)
    problems = []
    if (known := name.read()) is None:
        name.write(topic_id)
    elif known != topic_id:
        problems.append(f"the topic was made anew (its id is {topic_id}, the checkpoint's {known})")
    for partition, offset in sorted(places.items()):
        if partition not in end:
            problems.append(f"partition {partition} is gone")
        elif offset > end[partition]:
            problems.append(f"partition {partition} ends at {end[partition]}, before the checkpoint's {offset}")
        elif offset < first[partition]:
            problems.append(f"partition {partition} has lost {first[partition] - offset} records that were not done (it begins at {first[partition]})")
    if not problems:
        return
    text = f"the checkpoint {settings.checkpoint} does not fit topic {settings.topic}: {'; '.join(problems)}"
    if settings.on_stale == "fail":
        raise Stale(
            f"{text}. The topic was made anew, or its retention removed records. With --on-stale-checkpoint restart the checkpoint is set aside "
            "and the job begins with the oldest record that is there"
        )
    log.warning("%s: it is set aside, and the job begins with the oldest record", text)
    set_aside(spark, settings.checkpoint)
    name.write(topic_id)


class _Name:
    """The file in the checkpoint that holds the topic's id."""

    def __init__(self, spark: SparkSession, checkpoint: str) -> None:
        self._io = spark._jvm.org.apache.commons.io.IOUtils
        self._path = spark._jvm.org.apache.hadoop.fs.Path(os.path.join(checkpoint, "mattebox-topic-id"))
        self._files = self._path.getFileSystem(spark._jsc.hadoopConfiguration())

    def read(self) -> str | None:
        if not self._files.exists(self._path):
            return None
        stream = self._files.open(self._path)
        try:
            return str(self._io.toString(stream, "UTF-8")).strip()
        finally:
            stream.close()

    def write(self, topic_id: str) -> None:
        stream = self._files.create(self._path, True)
        try:
            stream.write(bytearray(f"{topic_id}\n".encode()))
        finally:
            stream.close()


def set_aside(spark: SparkSession, checkpoint: str) -> None:
    """Renames a checkpoint, so that the job begins without one."""
    path = spark._jvm.org.apache.hadoop.fs.Path
    old, new = path(checkpoint), path(f"{checkpoint}.stale-{time.strftime('%Y%m%dT%H%M%S')}")
    if not old.getFileSystem(spark._jsc.hadoopConfiguration()).rename(old, new):
        raise Stale(f"the checkpoint {checkpoint} cannot be renamed to {new}")
