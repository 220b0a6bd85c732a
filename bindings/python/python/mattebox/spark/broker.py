"""Topics and offsets, through the Kafka client that Spark's connector brings along.

A question that the broker cannot answer now is asked again until it can, for as long as `--connect-timeout` says.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, TypeVar

from . import failures

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from .settings import Settings

T = TypeVar("T")

log = logging.getLogger("mattebox.spark")

# What the reason, the key and the headers of a dead letter may take, in bytes.
LETTER_OVERHEAD = 64 << 10
# The largest result, in bytes, that a topic made here takes.
MAX_RESULT_BYTES = 16 << 20
# What a result's key, headers and frame in the log may take, in bytes.
RESULT_OVERHEAD = 16 << 10


@dataclass(frozen=True)
class Largest:
    """The largest values, in bytes, that topics take."""

    letter: int
    frame: int


class Broker:
    """Questions to the broker. All may raise :class:`failures.Unreachable` and :class:`failures.Stopped`."""

    def __init__(self, spark: SparkSession, settings: Settings, is_stopped: Callable[[float], bool]) -> None:
        """:param is_stopped: waits for so many seconds, and says whether the job is to stop."""
        self._jvm = spark._jvm
        self._settings = settings
        self._is_stopped = is_stopped
        self._client: Any = None

    def close(self) -> None:
        if self._client is not None:
            self._client.close()

    def _admin(self) -> Any:
        """The client. A host whose name is not known yet has none."""
        if self._client is None:
            properties = self._jvm.java.util.Properties()
            properties.put("bootstrap.servers", self._settings.kafka)
            properties.put("default.api.timeout.ms", "10000")
            properties.put("request.timeout.ms", "5000")
            for name, value in self._settings.kafka_options.items():
                properties.put(name, value)
            kind = self._jvm.org.apache.kafka.clients.admin.AdminClient
            try:
                self._client = kind.create(properties)
            except TypeError as error:  # what is no class is a package for py4j, and a package cannot be called
                raise failures.JobError("Spark's Kafka connector is not on the class path: see --jars and --packages") from error
        return self._client

    def _ask(self, question: Callable[[Any], T]) -> T:
        """Asks until there is an answer. An error that does not pass is raised as it came."""
        begun, has_said = time.monotonic(), False
        while True:
            try:
                return question(self._admin())
            except Exception as error:  # py4j wraps what the client throws
                failure = failures.of_start(error)
                if not failure.is_passing:
                    raise
            waited = self._settings.connect_timeout_s
            if time.monotonic() - begun > waited:
                raise failures.Unreachable(f"no broker answered at {self._settings.kafka} within {waited:g} s: {failure.reason}")
            if not has_said:
                log.info("waiting for the broker at %s (%s)", self._settings.kafka, failure.reason)
                has_said = True
            if self._is_stopped(0.5):
                raise failures.Stopped

    def wait(self) -> None:
        """Waits for the broker."""
        self._ask(lambda admin: admin.describeCluster().nodes().get())

    def _describe(self, admin: Any, topic: str) -> Any:
        return admin.describeTopics(self._jvm.java.util.Collections.singletonList(topic)).allTopicNames().get().get(topic)

    def topic_id(self, topic: str) -> str:
        """What Kafka names the topic by, which another topic of the same name does not have."""
        return str(self._ask(lambda admin: self._describe(admin, topic)).topicId().toString())

    def partitions(self, topic: str) -> int:
        """How many partitions a topic has; 0 if it is not there."""

        def count(admin: Any) -> int:
            try:
                return int(self._describe(admin, topic).partitions().size())
            except Exception as error:
                if "UnknownTopicOrPartition" in str(error):
                    return 0
                raise

        return self._ask(count)

    def wait_for_topic(self) -> int:
        """Waits until the frames' topic is there, and returns its partitions."""
        topic, has_said = self._settings.topic, False
        while not (found := self.partitions(topic)):
            if not has_said:
                log.info("waiting for topic %s: a camera makes it", topic)
                has_said = True
            if self._is_stopped(0.5):
                raise failures.Stopped
        return found

    def ensure_outputs(self, partitions: int) -> Largest:
        """Makes the topics of results and dead letters where they are missing."""
        settings = self._settings
        largest = self.max_message_bytes(settings.topic)
        self._ensure(settings.results, partitions, {})
        frame = MAX_RESULT_BYTES
        if settings.publish_frames:
            self._ensure(settings.publish_frames, partitions, {"max.message.bytes": str(MAX_RESULT_BYTES + RESULT_OVERHEAD)})
            frame = min(frame, self.max_message_bytes(settings.publish_frames) - RESULT_OVERHEAD)
        self._ensure(settings.dead, 1, {"max.message.bytes": str(largest + LETTER_OVERHEAD)})
        return Largest(letter=max(self.max_message_bytes(settings.dead) - LETTER_OVERHEAD, 0), frame=max(frame, 0))

    def _ensure(self, topic: str, partitions: int, config: dict[str, str]) -> None:
        if self.partitions(topic):
            return
        new = self._jvm.org.apache.kafka.clients.admin.NewTopic(
            topic, self._jvm.java.util.Optional.of(partitions), self._jvm.java.util.Optional.empty()
        )
        if config:
            new = new.configs(config)
        try:
            self._ask(lambda admin: admin.createTopics(self._jvm.java.util.Collections.singletonList(new)).all().get())
            log.info("made topic %s", topic)
        except failures.JobError:
            raise
        except Exception as error:
            if "TopicExists" not in str(error):
                raise failures.JobError(f"topic {topic} is not there and cannot be made: {failures.sentence(error)}") from error

    def max_message_bytes(self, topic: str) -> int:
        """The largest batch of records that a topic takes; Kafka's default where the broker does not tell."""
        kind = self._jvm.org.apache.kafka.common.config.ConfigResource
        resource = kind(getattr(kind, "Type").TOPIC, topic)
        try:
            found = self._ask(lambda admin: admin.describeConfigs(self._jvm.java.util.Collections.singletonList(resource)).all().get())
            return int(found.get(resource).get("max.message.bytes").value())
        except failures.JobError:
            raise
        except Exception as error:
            log.debug("%s", failures.sentence(error))
            return 1_048_588

    def offsets(self, topic: str, latest: bool) -> dict[int, int]:
        """The first offset of each partition, or the one behind the last record."""
        spec = self._jvm.org.apache.kafka.clients.admin.OffsetSpec
        wanted = self._jvm.java.util.HashMap()
        for partition in range(self.partitions(topic)):
            where = self._jvm.org.apache.kafka.common.TopicPartition(topic, partition)
            wanted.put(where, spec.latest() if latest else spec.earliest())
        found = self._ask(lambda admin: admin.listOffsets(wanted).all().get())
        return {entry.getKey().partition(): entry.getValue().offset() for entry in found.entrySet()}
