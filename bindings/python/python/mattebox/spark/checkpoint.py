"""Whether a checkpoint still fits its topic.

A topic that was deleted and created again counts from 0. Then the offsets of an older checkpoint do
not exist, or belong to other records, and a job that continues there would skip records silently.
So the checkpoint keeps the topic's id, which is different for each topic that Kafka creates.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import re
import time
from typing import TYPE_CHECKING, Any

from . import failures
from .settings import STATES

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from .broker import Broker
    from .settings import Settings

log = logging.getLogger("mattebox.spark")

# The file in the checkpoint that holds the topic's id.
TOPIC_ID = "mattebox-topic-id"
# The file that shows that the checkpoint can be written. It is removed at once.
PROBE = "mattebox-probe"


class Stale(failures.JobError):
    """The checkpoint does not fit the topic."""


class _Folder:
    """The checkpoint's folder, on whatever file system it is."""

    def __init__(self, spark: SparkSession, checkpoint: str) -> None:
        self._jvm = spark._jvm
        self._checkpoint = checkpoint
        self._files = self._path(checkpoint).getFileSystem(spark._jsc.hadoopConfiguration())

    def _path(self, path: str) -> Any:
        return self._jvm.org.apache.hadoop.fs.Path(path)

    def _inside(self, name: str) -> Any:
        return self._path(os.path.join(self._checkpoint, name))

    def names(self, folder: str) -> list[str]:
        """The names in a folder; none if there is no folder."""
        path = self._inside(folder)
        return (
            [status.getPath().getName() for status in self._files.listStatus(path)]
            if self._files.exists(path)
            else []
        )

    def read(self, name: str) -> str | None:
        path = self._inside(name)
        if not self._files.exists(path):
            return None
        stream = self._files.open(path)
        try:
            return str(self._jvm.org.apache.commons.io.IOUtils.toString(stream, "UTF-8"))
        finally:
            stream.close()

    def write(self, name: str, text: str) -> None:
        stream = self._files.create(self._inside(name), True)
        try:
            stream.write(bytearray(text.encode()))
        finally:
            stream.close()

    def make(self) -> None:
        self._files.mkdirs(self._path(self._checkpoint))

    def make_states(self) -> None:
        """Makes the folder of camera states. Executors that do not see it refuse to run."""
        self._files.mkdirs(self._inside(STATES))

    def remove(self, name: str) -> None:
        self._files.delete(self._inside(name), False)

    def set_aside(self) -> None:
        """Renames it, so that the job begins without one."""
        new = f"{self._checkpoint}.stale-{time.strftime('%Y%m%dT%H%M%S')}"
        if not self._files.rename(self._path(self._checkpoint), self._path(new)):
            raise Stale(f"the checkpoint {self._checkpoint} cannot be renamed to {new}")


def probe(spark: SparkSession, checkpoint: str) -> None:
    """Makes the folder, and a file in it.

    :raises failures.JobError: it cannot be written; :class:`failures.SettingsError` if it never
    can.
    """
    try:
        folder = _Folder(spark, checkpoint)
        folder.make()
        folder.write(PROBE, "")
        folder.remove(PROBE)
    except Exception as error:
        failure = failures.of_start(error)
        kind = failures.SettingsError if failure.exit_code == 2 else failures.JobError
        shown = re.sub(r"//[^/@]*@", "//***@", checkpoint)
        raise kind(f"--checkpoint {shown} cannot be written: {failure.reason}") from error


def _last_offsets(folder: _Folder, checkpoint: str, topic: str) -> dict[int, int] | None:
    """The checkpoint's offset of the next batch, by partition; None if there is no checkpoint
    yet."""
    newest = max(filter(str.isdecimal, folder.names("offsets")), key=int, default=None)
    if newest is None:
        return None
    text = folder.read(f"offsets/{newest}") or ""
    for line in text.splitlines()[2:]:
        try:
            places = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(places, dict) and isinstance(places.get(topic), dict):
            return {int(partition): int(offset) for partition, offset in places[topic].items()}
    raise Stale(
        f"the checkpoint {checkpoint} is not one of topic {topic}: give another --checkpoint"
    )


def check(spark: SparkSession, broker: Broker, settings: Settings) -> Settings:
    """Compares the checkpoint with the topic, makes the folder of camera states, and returns the
    settings with the topic's id.

    If the checkpoint was set aside (--on-stale-checkpoint restart), they begin with the oldest
    record.
    """
    folder = _Folder(spark, settings.checkpoint)
    settings = _check(folder, broker, settings)
    folder.make_states()
    return settings


def _check(folder: _Folder, broker: Broker, settings: Settings) -> Settings:
    places = _last_offsets(folder, settings.checkpoint, settings.topic)
    topic_id = broker.topic_id()
    settings = dataclasses.replace(settings, topic_id=topic_id)
    if places is None:
        folder.write(TOPIC_ID, f"{topic_id}\n")
        return settings
    first, end = (
        broker.offsets(settings.topic, latest=False),
        broker.offsets(settings.topic, latest=True),
    )
    problems = []
    if (known := folder.read(TOPIC_ID)) is None:
        folder.write(TOPIC_ID, f"{topic_id}\n")
    elif known.strip() != topic_id:
        problems.append(
            f"the topic was created again (its id is {topic_id}, the checkpoint's {known.strip()})"
        )
    for partition, offset in sorted(places.items()):
        if partition not in end:
            problems.append(f"partition {partition} is gone")
        elif offset > end[partition]:
            problems.append(
                f"partition {partition} ends at {end[partition]}, before the checkpoint's {offset}"
            )
        elif offset < first[partition]:
            problems.append(
                f"partition {partition} has lost {first[partition] - offset} records that were "
                f"not done (it begins at {first[partition]})"
            )
    if not problems:
        return settings
    text = (
        f"the checkpoint {settings.checkpoint} does not fit topic {settings.topic}: "
        f"{'; '.join(problems)}"
    )
    if settings.on_stale == "fail":
        raise Stale(
            f"{text}. The topic was created again, or its retention removed records. With "
            "--on-stale-checkpoint restart the checkpoint is set aside "
            "and the job begins with the oldest record that is there"
        )
    log.warning("%s: it is set aside, and the job begins with the oldest record", text)
    folder.set_aside()
    folder.write(TOPIC_ID, f"{topic_id}\n")
    return dataclasses.replace(settings, start="earliest")
