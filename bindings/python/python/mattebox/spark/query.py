"""From records to files, and from their outcomes to records for Kafka: the function makes both, SQL
gives each its row."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from . import paths

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming import DataStreamWriter

    from .broker import Largest
    from .settings import Settings


def settings_json(**made: object) -> str:
    """The last argument of the function in SQL, as a quoted text. ``out`` and ``group`` are
    required; the others are those of ``mattebox worker``.

    ``topics`` names the topics that the job reads, each with the id that Kafka gave it or None:
    ``{"camera_frames": None}``.

    :raises paths.NotAPath: out names no folder, or camera_settings no file.
    """
    for name in ("out", "camera_settings"):
        if isinstance(path := made.get(name), (str, os.PathLike)):
            made = {**made, name: paths.local(os.fspath(path))}
    return "'" + plain_json(made).replace("\\", "\\\\").replace("'", "\\'") + "'"


def plain_json(made: Mapping[str, object]) -> str:
    """The settings of the function, as JSON."""
    return json.dumps(
        {name: value for name, value in made.items() if value is not None},
        ensure_ascii=True,
        sort_keys=True,
    )


def frames(spark: SparkSession, settings: Settings) -> DataFrame:
    """The topic's records."""
    reader = spark.readStream.format("kafka").option("subscribe", settings.topic)
    reader = reader.option("includeHeaders", "true")
    if settings.start.isdecimal():
        # A partition without a record of that time or later begins with the next one, as a worker
        # does.
        reader = reader.option("startingTimestamp", settings.start).option(
            "startingOffsetsByTimestampStrategy", "latest"
        )
    else:
        reader = reader.option("startingOffsets", settings.start)
    # Lost records end the query with an error that names them. Otherwise Spark skips them.
    reader = reader.option("failOnDataLoss", "true")
    if settings.trigger == "micro" and settings.max_offsets:
        reader = reader.option("maxOffsetsPerTrigger", str(settings.max_offsets))
    for name, value in _kafka(settings).items():
        reader = reader.option(name, value)
    return reader.load()


def made(records: DataFrame, settings: Settings, largest: Largest) -> DataFrame:
    """One row for each record: its outcome, with the records to publish, as ``made``."""
    topics = {settings.topic: settings.topic_id}
    told = settings_json(
        **{**settings.made, "topics": topics, "publish": publish(settings, largest)}
    )
    return records.selectExpr(
        f"mattebox(topic, partition, offset, key, value, headers, {told}) AS made"
    )


def publish(settings: Settings, largest: Largest) -> dict[str, object]:
    """The names of the output topics and the largest records they take, for the function."""
    topics: dict[str, object] = {
        "results": settings.results,
        "dead": settings.dead,
        "max_dead_bytes": largest.letter,
    }
    if settings.publish_frames:
        topics["pictures"] = {"topic": settings.publish_frames, "max_bytes": largest.frame}
    return topics


def for_kafka(rows: DataFrame) -> DataFrame:
    """The records for the topics: results, dead letters, and pictures if they are published."""
    return rows.selectExpr("explode(made.publish) AS record").select("record.*")


def writer(rows: DataFrame, settings: Settings) -> DataStreamWriter:
    """The query, ready to start."""
    out = (
        rows.writeStream.format("kafka")
        .queryName("mattebox")
        .option("checkpointLocation", settings.checkpoint)
    )
    out = (
        out.option("includeHeaders", "true")
        .option("kafka.max.request.size", str(64 << 20))
        .option("kafka.compression.type", "none")
    )
    # Results wait for a few milliseconds, so that many go in one request: a request for each costs
    # as much as an eighth of a frame. At the end of a task none waits. Published frames wait less.
    out = out.option("kafka.linger.ms", "5" if settings.publish_frames else "20")
    for name, value in _kafka(settings).items():
        out = out.option(name, value)
    if settings.trigger == "realtime":
        return out.outputMode("update").trigger(
            realTime=f"{settings.checkpoint_interval_s:g} seconds"
        )
    out = out.outputMode("append")
    if settings.async_progress:
        out = out.option("asyncProgressTrackingEnabled", "true").option(
            "asyncProgressTrackingCheckpointIntervalMs", "1000"
        )
    if settings.until_end:
        return out.trigger(availableNow=True)
    return out.trigger(processingTime=f"{settings.interval_s:g} seconds")


def _kafka(settings: Settings) -> dict[str, str]:
    options = {f"kafka.{name}": value for name, value in settings.kafka_options.items()}
    return {"kafka.bootstrap.servers": settings.kafka, **options}
