"""One run of the job: start, go on after failures, stop."""

from __future__ import annotations

import dataclasses
import logging
import os
import signal
import sys
import threading
import time
from types import FrameType
from typing import TYPE_CHECKING, Any

from . import settings as settings_module

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from .broker import Broker
    from .progress import Numbers
    from .settings import Settings

log = logging.getLogger("mattebox.spark")

# The wait before a query that failed is started again; twice as long each time until one batch is done.
FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 30.0
# How long executors may take to come.
EXECUTORS_COME_S = 10.0


class Stop:
    """Set by the first SIGINT or SIGTERM. The second ends the process at once."""

    def __init__(self) -> None:
        self._event = threading.Event()
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, self._signal)

    def _signal(self, number: int, frame: FrameType | None) -> None:
        if self._event.is_set():
            os._exit(130)
        self._event.set()

    def is_set(self) -> bool:
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """True if it is to stop."""
        return self._event.wait(seconds)


def main(arguments: list[str] | None = None) -> int:
    """Runs the job and returns the exit code."""
    settings = settings_module.read(arguments)
    _log_to_stderr()
    stop = Stop()
    from . import broker as broker_module
    from . import checkpoint as checkpoint_module
    from . import session

    spark = None
    try:
        spark = session.build(settings)
        spark.sparkContext.setLogLevel(os.environ.get("MATTEBOX_SPARK_LOG", "WARN"))
        tally = session.register(spark)
        broker = broker_module.Broker(spark, settings)
        return _run(spark, broker, settings, tally, stop)
    except broker_module.Unreachable as error:
        log.error("%s", error)
        return 3
    except (checkpoint_module.Stale, RuntimeError) as error:
        log.error("%s", error)
        return 1
    finally:
        if spark is not None:
            spark.stop()


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False


def _run(spark: SparkSession, broker: Broker, settings: Settings, tally: Any, stop: Stop) -> int:
    from . import checkpoint, progress

    if not broker.wait(stop.wait):
        return 130
    partitions = broker.wait_for_topic(stop.wait)
    if not partitions:
        return 130
    settings = _choose_trigger(settings, partitions, _cores(spark, partitions, stop))
    if checkpoint.check(spark, broker, settings):
        settings = dataclasses.replace(settings, start="earliest")
    max_letter = broker.ensure_outputs(partitions)
    numbers = progress.Numbers()
    spark.streams.addListener(progress.Listener(numbers, tally, settings.topic))
    server = progress.serve(settings.metrics, numbers) if settings.metrics else None
    begun = time.monotonic()
    try:
        code = _query_until_stopped(spark, broker, settings, stop, numbers, max_letter)
    finally:
        if server:
            server.shutdown()
    _hear_of_last_batches(spark)
    log.info(
        "%d written, %d kept, %d dead in %.1f s",
        *(numbers.total(name) for name in ("written", "kept", "dead")),
        time.monotonic() - begun,
    )
    return code


def _cores(spark: SparkSession, wanted: int, stop: Stop) -> int:
    """The cores of all executors, which come one after the other at the start: waits a little until there are enough."""
    until = time.monotonic() + EXECUTORS_COME_S
    while (cores := int(spark.sparkContext.defaultParallelism)) < wanted and time.monotonic() < until and not stop.wait(0.2):
        pass
    return cores


def _choose_trigger(settings: Settings, partitions: int, cores: int) -> Settings:
    """Real time where every partition has a core: with fewer, Spark gives some of them no turn at all, and says nothing."""
    enough = cores >= partitions
    if settings.trigger == "realtime" and not enough:
        raise RuntimeError(
            f"real time needs a core for each of the {partitions} partitions of topic {settings.topic}, and Spark has {cores}: give it more cores, or "
            "use --trigger micro"
        )
    if settings.trigger != "auto":
        return settings
    trigger = "realtime" if enough and not settings.until_end and not settings.async_progress else "micro"
    log.info("%s: %d partitions, %d cores", "real time" if trigger == "realtime" else "micro-batches", partitions, cores)
    return dataclasses.replace(settings, trigger=trigger)


def _hear_of_last_batches(spark: SparkSession) -> None:
    """The listener hears of a batch some time after its end."""
    try:
        spark.sparkContext._jsc.sc().listenerBus().waitUntilEmpty(10_000)
    except Exception as error:
        log.debug("the last batches may be missing in the sums: %s", error)


def _query_until_stopped(
    spark: SparkSession, broker: Broker, settings: Settings, stop: Stop, numbers: Numbers, max_letter: int
) -> int:
    """Runs the query. One that fails is started again from its checkpoint, in the same driver: that takes a second, a new driver ten."""
    from pyspark.errors import StreamingQueryException

    from . import checkpoint, query

    wait, done = FIRST_WAIT_S, 0
    if settings.until_end and settings.start == "latest":
        log.warning("--until end with --from latest does nothing where there is no checkpoint: use --from earliest")
    while True:
        rows = query.made(query.frames(spark, settings), settings)
        running = query.writer(query.for_kafka(rows, settings, max_letter), settings).start()
        try:
            while not running.awaitTermination(0.5):
                if stop.is_set():
                    _stop(spark, running, settings)
                    return 130
            if running.exception() is None:
                return 130 if stop.is_set() else 0
            problem = str(running.exception())
        except StreamingQueryException as error:
            problem = str(error)
        if stop.is_set():
            return 130
        log.error("the query failed, and goes on from its checkpoint in %.1f s: %s", wait, _reason(problem))
        if checkpoint.check(spark, broker, settings):
            settings = dataclasses.replace(settings, start="earliest")
        numbers.add(restarts=1)
        if stop.wait(wait):
            return 130
        wait = FIRST_WAIT_S if numbers.total("batches") > done else min(wait * 2, LONGEST_WAIT_S)
        done = numbers.total("batches")


def _stop(spark: SparkSession, running: Any, settings: Settings) -> None:
    if settings.trigger == "realtime":
        log.info("stopping: frames since the last checkpoint are made again at the next start, with the same bytes")
        # Spark tells of the tasks that it ends as of failures.
        spark.sparkContext.setLogLevel("OFF")
    else:
        log.info("stopping after the batch at hand")
    running.stop()


def _reason(text: str) -> str:
    """The line of a Java stack trace that says most."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    causes = [line for line in lines if line.startswith("Caused by:") or "Exception:" in line]
    ours = [line for line in causes if "MatteboxException" in line]
    return (ours or causes[-1:] or lines[:1] or ["it gave no reason"])[-1][:500]
