"""From records to files, and from what became of them to rows for Kafka."""

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

# The longest reason in a header, in characters.
MAX_MESSAGE = 1000


def settings_json(**made: object) -> str:
    """The last argument of the function in SQL, as a quoted text: out and group must be given, the rest is as in ``mattebox worker``.

    :raises paths.NotAPath: out names no folder.
    """
    if isinstance(out := made.get("out"), (str, os.PathLike)):
        made = {**made, "out": paths.local(os.fspath(out))}
    return "'" + plain_json(made).replace("\\", "\\\\").replace("'", "\\'") + "'"


def plain_json(made: Mapping[str, object]) -> str:
    """The settings of the function as it gets them."""
    return json.dumps({name: value for name, value in made.items() if value is not None}, ensure_ascii=True, sort_keys=True)


def frames(spark: SparkSession, settings: Settings) -> DataFrame:
    """The topic's records."""
    reader = spark.readStream.format("kafka").option("subscribe", settings.topic)
    reader = reader.option("includeHeaders", "true").option("startingOffsets", settings.start)
    # Records that are gone end the query with an error that names them, rather than being left out with a line in the log.
    reader = reader.option("failOnDataLoss", "true")
    if settings.trigger == "micro" and settings.max_offsets:
        reader = reader.option("maxOffsetsPerTrigger", str(settings.max_offsets))
    for name, value in _kafka(settings).items():
        reader = reader.option(name, value)
    return reader.load()


def made(records: DataFrame, settings: Settings) -> DataFrame:
    """One row for each record: the record, and what became of it as ``made``."""
    call = f"mattebox(topic, partition, offset, key, value, headers, {settings_json(**settings.made)}) AS made"
    return records.selectExpr("topic", "partition", "offset", "key", "value", "headers", call)


def for_kafka(rows: DataFrame, settings: Settings, largest: Largest) -> DataFrame:
    """Rows for the topics: results, dead letters, and pictures where they are wanted."""
    status = """named_struct(
        'topic', '{results}', 'key', cast(made.camera AS binary), 'value', cast(to_json(named_struct(
            'camera', made.camera, 'frame', made.frame, 'status', made.status, 'path', made.path, 'bytes', made.bytes,
            'width', made.width, 'height', made.height, 'taken_us', made.taken_us, 'latency_ms', made.latency_ms,
            'topic', topic, 'partition', partition, 'offset', offset)) AS binary),
        'headers', array({content_type}))""".format(results=settings.results, content_type=_header("content-type", "'application/json'"))
    dead = _letter(settings, largest, "made.code", f"left(made.error, {MAX_MESSAGE})")
    if not settings.publish_frames:
        return rows.selectExpr(f"CASE WHEN made.status = 'dead' THEN {dead} ELSE {status} END AS row").select("row.*")
    # The headers are made where the picture is: those that a worker gives its results.
    picture = "named_struct('topic', '{topic}', 'key', cast(made.camera AS binary), 'value', made.picture, 'headers', made.headers)".format(
        topic=settings.publish_frames
    )
    message = f"concat('the result has ', length(made.picture), ' bytes, and topic {settings.publish_frames} takes {largest.frame}')"
    too_large = _letter(settings, largest, "'result-too-large'", message)
    kinds = f"""CASE WHEN made.status = 'dead' THEN array({dead})
        WHEN length(made.picture) > {largest.frame} THEN array({status}, {too_large}) ELSE array({status}, {picture}) END"""
    return rows.selectExpr(f"explode({kinds}) AS row").select("row.*")


def _letter(settings: Settings, largest: Largest, code: str, message: str) -> str:
    """A record for the dead letters, with the reason in its headers: SQL for a code and a sentence. A value that is too large is left out."""
    is_left_out = f"length(value) > {largest.letter}"
    return """named_struct(
        'topic', '{dead}', 'key', key, 'value', CASE WHEN {is_left_out} THEN NULL ELSE value END,
        'headers', concat(coalesce(filter(headers, h -> NOT startswith(h.key, 'mattebox-error-')), array()), array({code}, {message}, {topic},
            {partition}, {offset}), CASE WHEN {is_left_out} THEN array({size}) ELSE array() END))""".format(
        dead=settings.dead,
        is_left_out=is_left_out,
        code=_header("mattebox-error-code", code),
        message=_header("mattebox-error-message", message),
        topic=_header("mattebox-error-topic", "topic"),
        partition=_header("mattebox-error-partition", "cast(partition AS string)"),
        offset=_header("mattebox-error-offset", "cast(offset AS string)"),
        size=_header("mattebox-error-value-bytes", "cast(length(value) AS string)"),
    )


def _header(name: str, value: str) -> str:
    return f"named_struct('key', '{name}', 'value', cast({value} AS binary))"


def writer(rows: DataFrame, settings: Settings) -> DataStreamWriter:
    """The query, ready to start."""
    out = rows.writeStream.format("kafka").queryName("mattebox").option("checkpointLocation", settings.checkpoint)
    out = out.option("includeHeaders", "true").option("kafka.max.request.size", str(64 << 20)).option("kafka.compression.type", "none")
    # Results wait a moment for others, so that many go in one request: a request each costs as much as an eighth of a frame. At the end of a
    # task none waits. Whoever wants the frames themselves wants them soon.
    out = out.option("kafka.linger.ms", "5" if settings.publish_frames else "20")
    for name, value in _kafka(settings).items():
        out = out.option(name, value)
    if settings.trigger == "realtime":
        return out.outputMode("update").trigger(realTime=f"{settings.checkpoint_interval_s:g} seconds")
    out = out.outputMode("append")
    if settings.async_progress:
        out = out.option("asyncProgressTrackingEnabled", "true").option("asyncProgressTrackingCheckpointIntervalMs", "1000")
    if settings.until_end:
        return out.trigger(availableNow=True)
    return out.trigger(processingTime=f"{settings.interval_s:g} seconds")


def _kafka(settings: Settings) -> dict[str, str]:
    options = {f"kafka.{name}": value for name, value in settings.kafka_options.items()}
    return {"kafka.bootstrap.servers": settings.kafka, **options}
