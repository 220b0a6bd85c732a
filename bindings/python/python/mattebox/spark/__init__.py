"""The Spark job: reads frames from a Kafka topic, replaces their background, and writes one picture
file for each.

``python -m mattebox.spark`` runs it. To use the function in your job::

    from mattebox.spark import register, settings_json

    register(spark)  # the jar must be on the class path: mattebox.spark.jar_path()
    frames.selectExpr("mattebox(topic, partition, offset, key, value, headers, '…') AS made")

Layout: ``settings`` (flags and environment), ``session`` (the Spark session and its jars),
``broker`` (topics and offsets), ``checkpoint`` (whether a checkpoint fits its topic), ``query``
(from records to rows), ``progress`` (one line for each batch, and metrics), ``job`` (the run:
start, restart after failures, stop).
"""

from .query import settings_json
from .session import jar_path, register

__all__ = ["jar_path", "register", "settings_json"]
