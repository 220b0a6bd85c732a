"""One run of the job: start, restart after failures, stop."""

from __future__ import annotations

import dataclasses
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING, Any

from . import broker as broker_module
from . import failures, session, watch
from . import settings as settings_module
from .health import Health, Repeats

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from .broker import Broker, Largest
    from .failures import Failure
    from .progress import Counters
    from .settings import Settings

log = logging.getLogger("mattebox.spark")

# The wait before a query that failed is started again; twice as long each time until one batch is
# done.
FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 30.0


class Stop:
    """Set by the first SIGINT or SIGTERM, or by SIGHUP unless that was ignored at the start
    (nohup). A second signal ends the process at once.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self._signals = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            self._signals.append(signal.SIGHUP)
        self.listen()

    def listen(self) -> None:
        """Takes the signals; again after the start of Spark, which takes SIGINT for itself."""
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

    def work() -> int:
        nonlocal spark
        spark = session.build(settings)
        stop.listen()
        session.set_log_level(spark, os.environ.get("MATTEBOX_SPARK_LOG"))
        return run(spark, settings, stop)

    try:
        return _exit_code(work)
    finally:
        if spark is not None:
            _end(spark)


def run(spark: SparkSession, settings: Settings, stop: Stop) -> int:
    """Runs the job in a session, and returns the exit code."""

    def work() -> int:
        tally = session.register(spark)
        session.check(spark, settings.made)
        return _run(spark, settings, tally, stop)

    return _exit_code(work)


def _exit_code(work: Callable[[], int]) -> int:
    """The exit code of the work, or that of its failure, which is logged in one line."""
    try:
        return work()
    except KeyboardInterrupt:
        return 130
    except failures.Stopped as stopped:
        return stopped.exit_code
    except Exception as error:
        failure = failures.of_start(error)
        log.error("%s", failure.reason)
        log.debug("where it came from", exc_info=True)
        return failure.exit_code


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


def _run(spark: SparkSession, settings: Settings, tally: Any, stop: Stop) -> int:
    from . import checkpoint, progress

    counters, health = progress.Counters(), Health()
    server = progress.serve(settings.metrics, counters, health) if settings.metrics else None
    broker = broker_module.Broker(spark, settings, stop.wait, health)
    listener = progress.Listener(counters, tally, settings.topic, health)
    begun = time.monotonic()
    try:
        checkpoint.probe(spark, settings.checkpoint)
        broker.wait()
        partitions = broker.wait_for_topic()
        if stop.is_set():
            return 130
        largest = broker.ensure_outputs(partitions)
        spark.streams.addListener(listener)
        begun = time.monotonic()
        code = Queries(spark, broker, settings, stop, counters, health, largest).run()
        _wait_for_last_batches(spark)
    finally:
        broker.close()
        with suppress(Exception):  # Spark may have ended
            spark.streams.removeListener(listener)
        if server:
            server.shutdown()
            server.server_close()
    log.info(
        "%d written, %d skipped, %d dead in %.1f s",
        *(counters.total(outcome) for outcome in progress.OUTCOMES),
        time.monotonic() - begun,
    )
    return code


def _wait_for_last_batches(spark: SparkSession) -> None:
    """Waits for the listener, which gets the event of a batch some time after its end."""
    try:
        spark.sparkContext._jsc.sc().listenerBus().waitUntilEmpty(10_000)
    except Exception as error:
        log.debug("the last batches may be missing in the sums: %s", error)


class Queries:
    """Runs the query, and starts it again from its checkpoint when it fails, or when its trigger no
    longer fits the partitions and cores. In the same driver that takes a second, in a new one ten.
    """

    def __init__(
        self,
        spark: SparkSession,
        broker: Broker,
        wanted: Settings,
        stop: Stop,
        counters: Counters,
        health: Health,
        largest: Largest,
    ) -> None:
        self._spark = spark
        self._broker = broker
        self._wanted = wanted
        self._stop = stop
        self._counters = counters
        self._health = health
        self._largest = largest
        self._repeats = Repeats()
        # The trigger of the last query.
        self._trigger: str | None = None

    def run(self) -> int:
        """Returns the exit code."""
        wait, done, has_looked = FIRST_WAIT_S, 0, False
        if self._wanted.until_end and self._wanted.start == "latest":
            log.warning(
                "--until end with --from latest does nothing where there is no checkpoint: use "
                "--from earliest"
            )
        while True:
            try:
                failure = self._once(has_looked)
                if has_looked := failure is _CHANGED:
                    continue
            except Exception as error:
                if self._stop.is_set():
                    return 130
                # A failure of the first start would repeat; a later one may be a broker or a disk
                # that is missing for a while.
                if (
                    self._trigger is None
                    or isinstance(error, failures.JobError)
                    and not isinstance(error, failures.Unreachable)
                ):
                    raise
                failure = failures.of_query(error)
            if self._stop.is_set():
                return 130
            if failure is None:
                return 0
            if not failure.is_passing:
                log.error("%s", failure.reason)
                return failure.exit_code
            if _is_gone(self._spark):
                raise failures.JobError(f"Spark has ended: {failure.reason}")
            if self._counters.sum("batches") > done:
                self._repeats.forget()
                wait = FIRST_WAIT_S
            done = self._counters.sum("batches")
            self._health.is_wrong(
                "query",
                f"the query failed, and is started again from its checkpoint: {failure.reason}",
            )
            self._repeats.say(
                logging.ERROR,
                f"the query failed, and goes on from its checkpoint: {failure.reason}",
            )
            self._counters.add(restarts=1)
            if self._stop.wait(wait):
                return 130
            wait = min(wait * 2, LONGEST_WAIT_S)

    def _once(self, has_looked: bool) -> Failure | None:
        """Runs one query until it ends. None: it has done all records, or a signal came.
        ``_CHANGED``: it must be started again.

        :param has_looked: the cores were counted just now, and no executor is about to start.
        """
        from . import checkpoint

        spark, broker = self._spark, self._broker
        if not (partitions := broker.partitions(self._wanted.topic)):
            raise broker_module.gone(self._wanted.topic)
        trigger = self._choose(partitions, 0.0 if has_looked else watch.EXECUTORS_COME_S)
        settings = checkpoint.check(spark, broker, watch.with_trigger(self._wanted, trigger))
        # A checkpoint is set aside only once.
        self._wanted = dataclasses.replace(self._wanted, start=settings.start)
        running = _start(spark, settings, self._largest)
        self._trigger = trigger
        return self._await(
            running,
            settings,
            watch.Watch(
                spark, broker, self._wanted, settings, partitions, self._health, self._repeats
            ),
        )

    def _choose(self, partitions: int, wait_s: float) -> str:
        wanted = self._wanted
        if wanted.trigger == "micro":
            return "micro"
        if watch.choose_trigger(wanted, 0, 0) == "micro":  # however many cores there are
            wait_s = 0.0
        cores = watch.wait_for_cores(self._spark, partitions, wait_s, self._stop)
        trigger = watch.choose_trigger(wanted, partitions, cores)
        if trigger == "micro" and wanted.trigger == "realtime" and self._trigger is None:
            raise failures.JobError(
                f"real time needs a core for each of the {partitions} partitions of topic "
                f"{wanted.topic}, and Spark has {cores}: give it more cores, "
                "or use --trigger micro"
            )
        if trigger != self._trigger:
            log.info(
                "%s: %d partitions, %d cores",
                "real time" if trigger == "realtime" else "micro-batches",
                partitions,
                cores,
            )
        return trigger

    def _await(self, running: Any, settings: Settings, seen: watch.Watch) -> Failure | None:
        from pyspark.errors import StreamingQueryException

        try:
            while not running.awaitTermination(0.5):
                if self._stop.is_set():
                    _stop(self._spark, running, settings, "stopping")
                    return None
                try:
                    is_other = seen.look()
                except failures.JobError:
                    _stop(self._spark, running, settings, None)
                    raise
                if is_other:
                    _stop(self._spark, running, settings, None)
                    return _CHANGED
        except StreamingQueryException as error:
            return failures.of_query(error)
        # PySpark's own exception() cannot tell of one without words.
        problem = running._jsq.exception()
        return failures.of_query(problem.get()) if problem.isDefined() else None


# The query was stopped because its trigger or topic has changed.
_CHANGED = failures.Failure("the query is started again", 1, True)


def _start(spark: SparkSession, settings: Settings, largest: Largest) -> Any:
    from . import query

    rows = query.made(query.frames(spark, settings), settings, largest)
    return query.writer(query.for_kafka(rows), settings).start()


def _is_gone(spark: SparkSession) -> bool:
    """Whether Spark itself has ended, for example because its master has dropped the job. Then no
    query can be started.
    """
    try:
        return bool(spark.sparkContext._jsc.sc().isStopped())
    except Exception:
        return True


def _stop(spark: SparkSession, running: Any, settings: Settings, why: str | None) -> None:
    if why and settings.trigger == "realtime":
        log.info(
            "%s: frames since the last checkpoint are made again at the next start, with the same "
            "bytes",
            why,
        )
    elif why:
        log.info("%s after the running batch", why)
    # Spark logs the tasks that it ends as failures.
    with session.quiet(spark):
        running.stop()
