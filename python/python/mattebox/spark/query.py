"""From records to files, and from what became of them to rows for Kafka."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming import DataStreamWriter

    from .settings import Settings

# The longest reason in a header, in characters.
MAX_MESSAGE = 1000


def settings_json(**made: object) -> str:
    """The last argument of the function in SQL, as a quoted text: out and group must be given, the rest is as in ``mattebox worker``."""
    text = json.dumps({name: value for name, value in made.items() if value is not None}, ensure_ascii=True, sort_keys=True)
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


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


def for_kafka(rows: DataFrame, settings: Settings, max_letter: int) -> DataFrame:
    """Rows for the topics: results, dead letters, and pictures where they are wanted."""
    status = """named_struct(
        'topic', '{results}', 'key', cast(made.camera AS binary), 'value', cast(to_json(named_struct(
            'camera', made.camera, 'frame', made.frame, 'status', made.status, 'path', made.path, 'bytes', made.bytes,
            'width', made.width, 'height', made.height, 'taken_us', made.taken_us, 'latency_ms', made.latency_ms,
            'topic', topic, 'partition', partition, 'offset', offset)) AS binary),
        'headers', array({content_type}))""".format(results=settings.results, content_type=_header("content-type", "'application/json'"))
    left_out = f"length(value) > {max_letter}"
    letter = """named_struct(
        'topic', '{dead}', 'key', key, 'value', CASE WHEN {left_out} THEN NULL ELSE value END,
        'headers', concat(coalesce(filter(headers, h -> NOT startswith(h.key, 'mattebox-error-')), array()), array({code}, {message}, {topic},
            {partition}, {offset}), CASE WHEN {left_out} THEN array({size}) ELSE array() END))""".format(
        dead=settings.dead,
        left_out=left_out,
        code=_header("mattebox-error-code", "made.code"),
        message=_header("mattebox-error-message", f"left(made.error, {MAX_MESSAGE})"),
        topic=_header("mattebox-error-topic", "topic"),
        partition=_header("mattebox-error-partition", "cast(partition AS string)"),
        offset=_header("mattebox-error-offset", "cast(offset AS string)"),
        size=_header("mattebox-error-value-bytes", "cast(length(value) AS string)"),
    )
    if not settings.publish_frames:
        return rows.selectExpr(f"CASE WHEN made.status = 'dead' THEN {letter} ELSE {status} END AS row").select("row.*")
    kind = {"png": "image/png", "jpg": "image/jpeg", "webp": "image/webp"}[str(settings.made["format"])]
    picture = """named_struct('topic', '{topic}', 'key', cast(made.camera AS binary), 'value', made.picture, 'headers', concat(
        filter(coalesce(headers, array()), h -> NOT h.key IN ('content-type', 'ce_type', 'ce_sequence')),
        array({kind}, {type}, {number})))""".format(
        topic=settings.publish_frames,
        kind=_header("content-type", f"'{kind}'"),
        type=_header("ce_type", "'mattebox.matted.v1'"),
        number=_header("ce_sequence", "cast(made.frame AS string)"),
    )
    rows = rows.selectExpr(f"explode(CASE WHEN made.status = 'dead' THEN array({letter}) ELSE array({status}, {picture}) END) AS row")
    return rows.select("row.*")


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
