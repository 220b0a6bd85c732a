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

from . import failures
from . import settings as settings_module

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from .broker import Broker, Largest
    from .failures import Failure
    from .progress import Numbers
    from .settings import Settings

log = logging.getLogger("mattebox.spark")

# The wait before a query that failed is started again; twice as long each time until one batch is done.
FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 30.0
# How long executors may take to come.
EXECUTORS_COME_S = 10.0


class Stop:
    """Set by the first SIGINT or SIGTERM, or SIGHUP unless it was ignored at the start, as by nohup. The second ends the process at once."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._signals = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            self._signals.append(signal.SIGHUP)
        self.listen()

    def listen(self) -> None:
        """Takes the signals: once more after Spark has started, which takes SIGINT for itself."""
        for name in self._signals:
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
    spark = None
    try:
        from . import broker, session

        spark = session.build(settings)
        stop.listen()
        spark.sparkContext.setLogLevel(os.environ.get("MATTEBOX_SPARK_LOG", "WARN"))
        tally = session.register(spark)
        session.check(spark, settings.made)
        return _run(spark, broker.Broker(spark, settings, stop.wait), settings, tally, stop)
    except KeyboardInterrupt:
        return 130
    except failures.Stopped as stopped:
        return stopped.exit_code
    except Exception as error:
        failure = failures.of_start(error)
        log.error("%s", failure.reason)
        log.debug("where it came from", exc_info=True)
        return failure.exit_code
    finally:
        if spark is not None:
            _end(spark)


def _end(spark: SparkSession) -> None:
    try:
        spark.stop()
    except Exception as error:
        log.debug("Spark has ended before: %s", failures.sentence(error))


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False


def _run(spark: SparkSession, broker: Broker, settings: Settings, tally: Any, stop: Stop) -> int:
    from . import checkpoint, progress

    checkpoint.probe(spark, settings.checkpoint)
    broker.wait()
    partitions = broker.wait_for_topic()
    if stop.is_set():
        return 130
    settings = _choose_trigger(settings, partitions, _cores(spark, partitions, stop))
    settings = checkpoint.check(spark, broker, settings)
    largest = broker.ensure_outputs(partitions)
    numbers = progress.Numbers()
    server = progress.serve(settings.metrics, numbers) if settings.metrics else None
    spark.streams.addListener(progress.Listener(numbers, tally, settings.topic))
    begun = time.monotonic()
    try:
        code = _query_until_stopped(spark, broker, settings, stop, numbers, largest)
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
        raise failures.JobError(
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
    spark: SparkSession, broker: Broker, settings: Settings, stop: Stop, numbers: Numbers, largest: Largest
) -> int:
    """Runs the query. One that fails is started again from its checkpoint, in the same driver: that takes a second, a new driver ten."""
    from . import checkpoint

    wait, done, has_run = FIRST_WAIT_S, 0, False
    if settings.until_end and settings.start == "latest":
        log.warning("--until end with --from latest does nothing where there is no checkpoint: use --from earliest")
    while True:
        try:
            if numbers.total("restarts"):
                settings = checkpoint.check(spark, broker, settings)
            running = _start(spark, settings, largest)
            has_run = True
            failure = _await(spark, running, settings, stop)
        except Exception as error:
            if stop.is_set():
                return 130
            # What fails at the first start fails at the next; later it may be the broker or a disk that is away for a while.
            if not has_run or isinstance(error, checkpoint.Stale):
                raise
            failure = failures.of_query(error)
        if stop.is_set():
            return 130
        if failure is None:
            return 0
        if not failure.is_passing:
            log.error("%s", failure.reason)
            return failure.exit_code
        if _is_gone(spark):
            raise failures.JobError(f"Spark has ended: {failure.reason}")
        log.error("the query failed, and goes on from its checkpoint in %.1f s: %s", wait, failure.reason)
        numbers.add(restarts=1)
        if stop.wait(wait):
            return 130
        wait = FIRST_WAIT_S if numbers.total("batches") > done else min(wait * 2, LONGEST_WAIT_S)
        done = numbers.total("batches")


def _start(spark: SparkSession, settings: Settings, largest: Largest) -> Any:
    from . import query

    rows = query.made(query.frames(spark, settings), settings, largest)
    return query.writer(query.for_kafka(rows), settings).start()


def _await(spark: SparkSession, running: Any, settings: Settings, stop: Stop) -> Failure | None:
    """Waits for the query's end, or for a signal, which ends it. None: it has done what there was."""
    from pyspark.errors import StreamingQueryException

    try:
        while not running.awaitTermination(0.5):
            if stop.is_set():
                _stop(spark, running, settings)
                return None
    except StreamingQueryException as error:
        return failures.of_query(error)
    # PySpark's own exception() cannot tell of one without words.
    problem = running._jsq.exception()
    return failures.of_query(problem.get()) if problem.isDefined() else None


def _is_gone(spark: SparkSession) -> bool:
    """Whether Spark itself has ended, as when its master has given the job up: then no query can be started any more."""
    try:
        return bool(spark.sparkContext._jsc.sc().isStopped())
    except Exception:
        return True


def _stop(spark: SparkSession, running: Any, settings: Settings) -> None:
    if settings.trigger == "realtime":
        log.info("stopping: frames since the last checkpoint are made again at the next start, with the same bytes")
        # Spark tells of the tasks that it ends as of failures.
        spark.sparkContext.setLogLevel("OFF")
    else:
        log.info("stopping after the batch at hand")
    running.stop()
