"""The Spark session: its jars, and the settings that this job needs."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from . import failures, query

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from .settings import Settings

log = logging.getLogger("mattebox.spark")


# Java does little here, the work is in the native library: the quick compiler is enough, and the
# thorough one takes a core for minutes.
JAVA_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"


def jar_path() -> str:
    """The path of the function's jar, for ``spark-submit --jars``."""
    return os.path.join(
        os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "jars", "mattebox-spark.jar"
    )


def register(spark: SparkSession) -> Any:
    """Registers the function ``mattebox`` in the session. Returns the outcomes of the frames:
    ``take()`` gives them as JSON."""
    jvm = spark._jvm
    try:
        mattebox = jvm.io.mattebox.spark.Mattebox
        return mattebox.register(spark._jsparkSession)
    except TypeError as error:
        # py4j takes an unknown class for a package, and a package cannot be called.
        raise failures.JobError(
            "the jar of mattebox is not on Spark's class path: start with spark-submit --jars "
            f"{jar_path()}"
        ) from error


def check(spark: SparkSession, made: Mapping[str, object]) -> None:
    """Checks the settings of the function here, as the executors will: the network, the background,
    every name and number, the owner of the folder.

    :raises failures.SettingsError: one of them cannot be used.
    """
    try:
        spark._jvm.io.mattebox.spark.Mattebox.check(query.plain_json(made))
    except Exception as error:
        failure = failures.of_start(error)
        if failure.exit_code == 2:
            raise failures.SettingsError(failure.reason) from error
        # The driver is another kind of machine than the executors, which check the same; the job
        # then ends.
        log.warning(
            "the settings cannot be checked on this machine; the executors check them: %s",
            failure.reason,
        )


# Loggers of events that the job logs in one line: failed queries and tasks, and brokers that do not
# answer.
_SAID_BY_THE_JOB = (
    "org.apache.kafka",
    "org.apache.spark.executor.Executor",
    "org.apache.spark.scheduler.TaskSetManager",
    "org.apache.spark.sql.execution.datasources.v2",
    "org.apache.spark.sql.execution.streaming",
)


def set_log_level(spark: SparkSession, level: str | None) -> None:
    """Sets Spark's log level: warnings, without the stack traces of events that the job logs. With
    a level, everything of that level.
    """
    spark.sparkContext.setLogLevel(level or "WARN")
    if not level:
        log4j = spark._jvm.org.apache.logging.log4j
        for name in _SAID_BY_THE_JOB:
            log4j.core.config.Configurator.setLevel(name, log4j.Level.OFF)


@contextmanager
def quiet(spark: SparkSession) -> Iterator[None]:
    """Spark logs nothing inside the block."""
    root = spark._jvm.org.apache.logging.log4j.LogManager.getRootLogger()
    before = str(root.getLevel())
    spark.sparkContext.setLogLevel("OFF")
    try:
        yield
    finally:
        spark.sparkContext.setLogLevel(before)


def is_submitted() -> bool:
    """Whether spark-submit started this process."""
    return "PYSPARK_GATEWAY_PORT" in os.environ


def build(settings: Settings) -> SparkSession:
    """Starts Spark, or uses spark-submit's session."""
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName("mattebox")
    if settings.master:
        builder = builder.master(settings.master)
    elif not is_submitted():
        builder = builder.master("local[*]")
    # spark-submit has jars, packages and Java options from the user, which settings here would
    # replace.
    if not is_submitted():
        builder = builder.config("spark.jars", ",".join([jar_path(), *settings.jars]))
        if settings.packages and not settings.jars:
            builder = builder.config("spark.jars.packages", settings.packages)
        for role in ("driver", "executor"):
            builder = builder.config(f"spark.{role}.extraJavaOptions", JAVA_OPTIONS)
    fixed = {
        # The same records must not be processed twice at once: all attempts share files and states
        # of cameras.
        "spark.speculation": "false",
        # A failed task ends the query. The job logs why, /readyz fails, and the query starts again.
        # In real time Spark's second attempt begins when the time of its batch is over. It reads no
        # record, Spark ends the batch as done, and this repeats for ever.
        "spark.task.maxFailures": "1",
        # Streaming queries do not use it, and log that each time.
        "spark.sql.adaptive.enabled": "false",
        # It would fill the log.
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.streaming.stopTimeout": "30s",
    }
    for name, value in fixed.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()
