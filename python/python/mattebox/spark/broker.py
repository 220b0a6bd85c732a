"""Topics and offsets, through the Kafka client that Spark's connector brings along."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Callable

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from .settings import Settings

log = logging.getLogger("mattebox.spark")

# What the reason, the key and the headers of a dead letter may take, in bytes.
LETTER_OVERHEAD = 64 << 10
# The largest result, in bytes, that a topic made here takes.
MAX_RESULT_BYTES = 16 << 20


class Unreachable(Exception):
    """No broker answered in time."""


class Broker:
    """Questions to the broker."""

    def __init__(self, spark: SparkSession, settings: Settings) -> None:
        self._jvm = spark._jvm
        self._settings = settings
        properties = self._jvm.java.util.Properties()
        properties.put("bootstrap.servers", settings.kafka)
        properties.put("default.api.timeout.ms", "10000")
        properties.put("request.timeout.ms", "5000")
        for name, value in settings.kafka_options.items():
            properties.put(name, value)
        try:
            self._admin = self._jvm.org.apache.kafka.clients.admin.AdminClient.create(properties)
        except TypeError as error:
            raise RuntimeError("Spark's Kafka connector is not on the class path: see --jars and --packages") from error

    def close(self) -> None:
        self._admin.close()

    def wait(self, is_stopped: Callable[[float], bool]) -> bool:
        """Waits for the broker; False if it was stopped meanwhile."""
        begun, said = time.monotonic(), False
        while True:
            try:
                self._admin.describeCluster().nodes().get()
                return True
            except Exception as error:  # py4j wraps what the client throws
                problem = _words(error)
            if time.monotonic() - begun > self._settings.connect_timeout_s:
                raise Unreachable(f"no broker answered at {self._settings.kafka} within {self._settings.connect_timeout_s:g} s: {problem}")
            if not said:
                log.info("waiting for the broker at %s (%s)", self._settings.kafka, problem)
                said = True
            if is_stopped(0.5):
                return False

    def _describe(self, topic: str) -> Any:
        return self._admin.describeTopics(self._jvm.java.util.Collections.singletonList(topic)).allTopicNames().get().get(topic)

    def topic_id(self, topic: str) -> str:
        """What Kafka names the topic by, which another topic of the same name does not have."""
        return str(self._describe(topic).topicId().toString())

    def partitions(self, topic: str) -> int:
        """How many partitions a topic has; 0 if it is not there."""
        try:
            return int(self._describe(topic).partitions().size())
        except Exception as error:
            if "UnknownTopicOrPartition" in str(error):
                return 0
            raise

    def wait_for_topic(self, is_stopped: Callable[[float], bool]) -> int:
        """Waits until the frames' topic is there, and returns its partitions; 0 if it was stopped meanwhile."""
        topic, said = self._settings.topic, False
        while True:
            try:
                if found := self.partitions(topic):
                    return found
            except Exception as error:
                log.debug("%s", _words(error))
            if not said:
                log.info("waiting for topic %s: a camera makes it", topic)
                said = True
            if is_stopped(0.5):
                return 0

    def ensure_outputs(self, partitions: int) -> int:
        """Makes the topics of results and dead letters where they are missing. Returns the largest value that a dead letter may have."""
        settings = self._settings
        largest = self.max_message_bytes(settings.topic)
        self._ensure(settings.results, partitions, {})
        if settings.publish_frames:
            self._ensure(settings.publish_frames, partitions, {"max.message.bytes": str(MAX_RESULT_BYTES + (16 << 10))})
        self._ensure(settings.dead, 1, {"max.message.bytes": str(largest + LETTER_OVERHEAD)})
        return max(self.max_message_bytes(settings.dead) - LETTER_OVERHEAD, 0)

    def _ensure(self, topic: str, partitions: int, config: dict[str, str]) -> None:
        if self.partitions(topic):
            return
        new = self._jvm.org.apache.kafka.clients.admin.NewTopic(
            topic, self._jvm.java.util.Optional.of(partitions), self._jvm.java.util.Optional.empty()
        )
        if config:
            new = new.configs(config)
        try:
            self._admin.createTopics(self._jvm.java.util.Collections.singletonList(new)).all().get()
            log.info("made topic %s", topic)
        except Exception as error:
            if "TopicExists" not in str(error):
                raise RuntimeError(f"topic {topic} is not there and cannot be made: {_words(error)}") from error

    def max_message_bytes(self, topic: str) -> int:
        """The largest batch of records that a topic takes; Kafka's default where the broker does not tell."""
        try:
            kind = self._jvm.org.apache.kafka.common.config.ConfigResource
            resource = kind(getattr(kind, "Type").TOPIC, topic)
            found = self._admin.describeConfigs(self._jvm.java.util.Collections.singletonList(resource)).all().get()
            return int(found.get(resource).get("max.message.bytes").value())
        except Exception as error:
            log.debug("%s", _words(error))
            return 1_048_588

    def offsets(self, topic: str, latest: bool) -> dict[int, int]:
        """The first offset of each partition, or the one behind the last record."""
        spec = self._jvm.org.apache.kafka.clients.admin.OffsetSpec
        wanted = self._jvm.java.util.HashMap()
        for partition in range(self.partitions(topic)):
            where = self._jvm.org.apache.kafka.common.TopicPartition(topic, partition)
            wanted.put(where, spec.latest() if latest else spec.earliest())
        found = self._admin.listOffsets(wanted).all().get()
        return {entry.getKey().partition(): entry.getValue().offset() for entry in found.entrySet()}


def _words(error: Any) -> str:
    """The last cause's own words out of a Java error."""
    cause = getattr(error, "java_exception", None)
    while cause is not None and cause.getCause() is not None:
        cause = cause.getCause()
    return str(cause.getMessage() if cause is not None else error).strip().splitlines()[0]
