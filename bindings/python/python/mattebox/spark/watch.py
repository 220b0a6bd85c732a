"""Watches the topic's partitions, its access rights and the executors' cores while the query runs.

Spark does not: in real time it leaves partitions without a core unread, and logs nothing.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from typing import TYPE_CHECKING, Any

from . import broker as broker_module
from . import failures

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from .broker import Broker
    from .health import Health, Repeats
    from .job import Stop
    from .settings import Settings

log = logging.getLogger("mattebox.spark")

# How long executors may take to start, also after they died.
EXECUTORS_COME_S = 10.0
# So many checks in a row must miss the topic before it counts as deleted: a broker that has just
# started may not know it yet.
GONE_LOOKS = 2


def cores(spark: SparkSession) -> int:
    """How many tasks can run at once on the present executors."""
    context = spark.sparkContext
    executors = context._jsc.sc().statusStore().executorList(True)
    total = sum(int(executors.apply(at).totalCores()) for at in range(executors.size()))
    return total // int(context.getConf().get("spark.task.cpus", "1") or "1")


def wait_for_cores(spark: SparkSession, wanted: int, wait_s: float, stop: Stop) -> int:
    """The cores of all executors, which start one after the other: waits until there are enough, at
    most ``wait_s``.
    """
    until = time.monotonic() + wait_s
    while (found := cores(spark)) < wanted and time.monotonic() < until and not stop.wait(0.2):
        pass
    return found


def choose_trigger(settings: Settings, partitions: int, cores: int) -> str:
    """Real time if every partition has a core and the settings allow it."""
    if settings.trigger == "micro" or settings.until_end or settings.async_progress:
        return "micro"
    return "realtime" if cores >= partitions else "micro"


class Watch:
    """Watches one run of the query. Its questions never wait."""

    def __init__(
        self,
        spark: SparkSession,
        broker: Broker,
        wanted: Settings,
        running: Settings,
        partitions: int,
        health: Health,
        repeats: Repeats,
    ) -> None:
        """:param wanted: the given settings
        :param running: the settings of the query
        :param partitions: the number that the query was started for
        """
        self._spark = spark
        self._broker = broker
        self._wanted = wanted
        self._trigger = running.trigger
        self._topic_id = running.topic_id
        self._is_other_topic = False
        self._partitions = partitions
        self._health = health
        self._repeats = repeats
        self._answer: Any = None
        self._next = time.monotonic() + wanted.look_interval_s
        # Since when the other trigger fits better.
        self._other_since: float | None = None
        # Then Spark releases idle executors.
        elastic = spark.sparkContext.getConf().get("spark.dynamicAllocation.enabled", "false")
        self._is_elastic = elastic == "true"
        self._missed = 0

    def look(self) -> bool:
        """True if the query must be started again: its trigger no longer fits, or its topic was
        created again.

        :raises failures.JobError: the topic is gone, or the job may not read it any more.
        """
        if self._answer is not None and self._answer.isDone():
            answer, self._answer = self._answer, None
            self._see(answer)
            if self._is_other_topic:
                return True
        if time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + self._wanted.look_interval_s
        if self._answer is None:
            self._ask()
        return self._judge(cores(self._spark))

    def _ask(self) -> None:
        try:
            self._answer = self._broker.begin_sight()
        except failures.JobError:
            raise
        except Exception as error:
            self._unanswered(error)

    def _see(self, answer: Any) -> None:
        topic = self._wanted.topic
        try:
            sight = self._broker.sight(answer)
        except Exception as error:
            self._unanswered(error)
            return
        self._health.is_well("broker")
        if sight is None:
            self._missed += 1
            if self._missed >= GONE_LOOKS:
                raise broker_module.gone(topic)
            return
        self._missed = 0
        if not sight.is_readable:
            raise broker_module.denied(topic, "READ")
        if sight.topic_id != self._topic_id:
            log.warning("topic %s was deleted and made again while the job ran", topic)
            self._is_other_topic = True
        elif sight.partitions != self._partitions:
            log.info(
                "topic %s has %d partitions now, and had %d",
                topic,
                sight.partitions,
                self._partitions,
            )
            self._partitions = sight.partitions

    def _unanswered(self, error: Exception) -> None:
        problem = f"no broker answers at {self._wanted.kafka}: {failures.of_start(error).reason}"
        self._health.is_wrong("broker", problem)
        self._repeats.say(logging.WARNING, problem)

    def _judge(self, cores: int) -> bool:
        if cores == 0 and not self._is_elastic:
            problem = (
                "Spark has no executors for this job: it makes no frames until its workers have "
                "free "
                "cores and memory"
            )
            self._health.is_wrong("cores", problem)
            self._repeats.say(logging.WARNING, problem)
            return False
        trigger = choose_trigger(self._wanted, self._partitions, cores)
        if trigger == self._trigger:
            self._health.is_well("cores")
            self._other_since = None
            return False
        now = time.monotonic()
        self._other_since = now if self._other_since is None else self._other_since
        lasted = now - self._other_since
        if trigger == "realtime":
            self._health.is_well("cores")
            return lasted >= self._wanted.back_to_realtime_s
        counts = (self._partitions, self._wanted.topic, cores)
        problem = (
            "real time needs a core for each of the %d partitions of topic %s, and Spark has %d"
        )
        self._health.is_wrong("cores", problem % counts)
        if lasted < EXECUTORS_COME_S:
            return False
        log.warning(f"{problem}: the query goes on in micro-batches", *counts)
        return True


def with_trigger(settings: Settings, trigger: str) -> Settings:
    return dataclasses.replace(settings, trigger=trigger)
