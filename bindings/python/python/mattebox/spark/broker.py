"""Topics and offsets, through the Kafka client that Spark's connector brings along.

A question that the broker cannot answer now is asked again until it can, for as long as
`--connect-timeout` says.
"""

from __future__ import annotations

import logging
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from . import failures

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from .health import Health
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


@dataclass(frozen=True)
class Sight:
    """The topic as the broker describes it now."""

    partitions: int
    topic_id: str
    # Whether the job's user may read it; brokers older than Kafka 2.3 do not tell, and are believed
    # to allow it.
    is_readable: bool


class Broker:
    """Questions to the broker. All may raise :class:`failures.Unreachable`,
    :class:`failures.Denied` and :class:`failures.Stopped`.
    """

    def __init__(
        self,
        spark: SparkSession,
        settings: Settings,
        is_stopped: Callable[[float], bool],
        health: Health,
    ) -> None:
        """:param is_stopped: waits for so many seconds, and says whether the job is to stop."""
        self._jvm = spark._jvm
        self._settings = settings
        self._is_stopped = is_stopped
        self._health = health
        self._client: Any = None

    def close(self) -> None:
        """Ends the client, which would go on trying."""
        client, self._client = self._client, None
        if client is not None:
            client.close(self._jvm.java.time.Duration.ZERO)

    def _admin(self) -> Any:
        """The client. A host whose name is not known yet has none."""
        if self._client is None:
            check_protocol(self._settings)
            properties = self._jvm.java.util.Properties()
            properties.put("bootstrap.servers", self._settings.kafka)
            properties.put("default.api.timeout.ms", "10000")
            properties.put("request.timeout.ms", "5000")
            for name, value in self._settings.kafka_options.items():
                properties.put(name, value)
            kind = self._jvm.org.apache.kafka.clients.admin.AdminClient
            try:
                self._client = kind.create(properties)
            except (
                TypeError
            ) as error:  # what is no class is a package for py4j, and a package cannot be called
                raise failures.JobError(
                    "Spark's Kafka connector is not on the class path: see --jars and --packages"
                ) from error
        return self._client

    def _ask(self, question: Callable[[Any], T]) -> T:
        """Asks until there is an answer. An error that does not pass is raised as it came."""
        begun, has_said = time.monotonic(), False
        while True:
            try:
                answer = question(self._admin())
                self._health.is_well("broker")
                return answer
            except Exception as error:  # py4j wraps what the client throws
                failure = failures.of_start(error)
                if not failure.is_passing:
                    raise
            self._health.is_wrong(
                "broker", f"no broker answers at {self._settings.kafka}: {failure.reason}"
            )
            # It may be that its thread has ended, or that what listens there is not what it was
            # made for.
            self.close()
            waited = self._settings.connect_timeout_s
            if time.monotonic() - begun > waited:
                raise failures.Unreachable(
                    f"no broker answered at {self._settings.kafka} within {waited:g} s: "
                    f"{failure.reason}"
                )
            if not has_said:
                log.info("waiting for the broker at %s (%s)", self._settings.kafka, failure.reason)
                has_said = True
            if self._is_stopped(0.5):
                raise failures.Stopped

    def wait(self) -> None:
        """Waits for the broker."""
        self._ask(lambda admin: admin.describeCluster().nodes().get())

    def _described(self, admin: Any, topic: str) -> Any:
        """The description of a topic, in the future."""
        options = self._jvm.org.apache.kafka.clients.admin.DescribeTopicsOptions()
        options = options.includeAuthorizedOperations(True)
        return (
            admin.describeTopics(self._jvm.java.util.Collections.singletonList(topic), options)
            .topicNameValues()
            .get(topic)
        )

    def _description(self, topic: str, operation: str) -> Any:
        """A topic's description, None where there is no such topic.

        :raises failures.Denied: the job's user may not do the operation, or not even ask.
        """

        def describe(admin: Any) -> Any:
            try:
                return self._described(admin, topic).get()
            except Exception as error:
                if _is(error, "UnknownTopicOrPartitionException"):
                    return None
                if _is(error, "TopicAuthorizationException"):
                    raise denied(topic, operation) from error
                raise

        found = self._ask(describe)
        if found is not None and not _allows(found, operation):
            raise denied(topic, operation)
        return found

    def topic_id(self) -> str:
        """What Kafka names the frames' topic by, which another topic of the same name does not
        have.
        """
        if (found := self._description(self._settings.topic, "READ")) is None:
            raise gone(self._settings.topic)
        return str(found.topicId().toString())

    def partitions(self, topic: str, operation: str = "READ") -> int:
        """How many partitions a topic has that allows the operation; 0 if it is not there."""
        found = self._description(topic, operation)
        return 0 if found is None else int(found.partitions().size())

    def begin_sight(self) -> Any:
        """Asks for the frames' topic, without waiting for the answer: ``isDone()`` says whether it
        is there.
        """
        return self._described(self._admin(), self._settings.topic)

    def sight(self, answer: Any) -> Sight | None:
        """What :meth:`begin_sight` asked for; None where there is no such topic. Errors are raised
        as they came.
        """
        try:
            found = answer.get()
        except Exception as error:
            if _is(error, "UnknownTopicOrPartitionException"):
                return None
            if _is(error, "TopicAuthorizationException"):
                return Sight(0, "", False)
            raise
        topic_id = str(found.topicId().toString())
        return Sight(int(found.partitions().size()), topic_id, _allows(found, "READ"))

    def wait_for_topic(self) -> int:
        """Waits until the frames' topic is there, and returns its partitions."""
        topic, has_said = self._settings.topic, False
        while not (found := self.partitions(topic)):
            if not has_said:
                log.info("waiting for topic %s: a camera makes it", topic)
                self._health.is_wrong("topic", f"there is no topic {topic} yet: a camera makes it")
                has_said = True
            if self._is_stopped(0.5):
                raise failures.Stopped
        self._health.is_well("topic")
        return found

    def ensure_outputs(self, partitions: int) -> Largest:
        """Makes the topics of results and dead letters where they are missing."""
        settings = self._settings
        largest = self.max_message_bytes(settings.topic)
        self._ensure(settings.results, partitions, {})
        frame = MAX_RESULT_BYTES
        if settings.publish_frames:
            self._ensure(
                settings.publish_frames,
                partitions,
                {"max.message.bytes": str(MAX_RESULT_BYTES + RESULT_OVERHEAD)},
            )
            frame = min(frame, self.max_message_bytes(settings.publish_frames) - RESULT_OVERHEAD)
        self._ensure(settings.dead, 1, {"max.message.bytes": str(largest + LETTER_OVERHEAD)})
        return Largest(
            letter=max(self.max_message_bytes(settings.dead) - LETTER_OVERHEAD, 0),
            frame=max(frame, 0),
        )

    def _ensure(self, topic: str, partitions: int, config: dict[str, str]) -> None:
        if self.partitions(topic, "WRITE"):
            return
        new = self._jvm.org.apache.kafka.clients.admin.NewTopic(
            topic, self._jvm.java.util.Optional.of(partitions), self._jvm.java.util.Optional.empty()
        )
        if config:
            new = new.configs(config)
        try:
            self._ask(
                lambda admin: (
                    admin.createTopics(self._jvm.java.util.Collections.singletonList(new))
                    .all()
                    .get()
                )
            )
            log.info("made topic %s", topic)
        except failures.JobError:
            raise
        except Exception as error:
            if _is(error, "AuthorizationException"):
                raise failures.Denied(
                    f"there is no topic {topic}, and the broker does not let this job make it: "
                    "make it, or give the job's user CREATE on it"
                ) from error
            if not _is(error, "TopicExistsException"):
                raise failures.JobError(
                    f"topic {topic} is not there and cannot be made: {failures.sentence(error)}"
                ) from error

    def max_message_bytes(self, topic: str) -> int:
        """The largest batch of records that a topic takes; Kafka's default where the broker does
        not tell.
        """
        kind = self._jvm.org.apache.kafka.common.config.ConfigResource
        resource = kind(kind.Type.TOPIC, topic)
        try:
            found = self._ask(
                lambda admin: (
                    admin.describeConfigs(self._jvm.java.util.Collections.singletonList(resource))
                    .all()
                    .get()
                )
            )
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


def _is(error: BaseException, name: str) -> bool:
    return failures.is_of(error, name)


def _allows(description: Any, operation: str) -> bool:
    allowed = description.authorizedOperations()
    return allowed is None or operation in {str(one) for one in allowed}


def denied(topic: str, operation: str) -> failures.Denied:
    """The broker's access lists do not allow an operation on a topic."""
    what = "read" if operation == "READ" else "write to"
    return failures.Denied(
        f"the broker does not let this job {what} topic {topic}: give the user of --kafka-option "
        f"{operation} and DESCRIBE on it, or use another user"
    )


def gone(topic: str) -> failures.TopicGone:
    """The frames' topic was deleted."""
    return failures.TopicGone(
        f"topic {topic} is not there any more: it was deleted. Start the job again when there is "
        "one; with --on-stale-checkpoint restart it then "
        "begins with the oldest record of the new topic"
    )


# Kafka's ApiVersions request, version 0, without a client's name: every broker answers it before
# any login.
_HELLO = struct.pack(">hhih", 18, 0, 0, -1)
# How a TLS record begins that says no (RFC 8446, section 5.1).
_TLS_ALERT = 0x15
PROBE_TIMEOUT_S = 2.0


def _speaks_tls(address: str) -> bool | None:
    """Whether what listens at an address speaks TLS (True) or Kafka's protocol without it (False);
    None where it cannot be told.
    """
    host, _, port = address.strip().rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), PROBE_TIMEOUT_S) as peer:
            peer.settimeout(PROBE_TIMEOUT_S)
            peer.sendall(struct.pack(">i", len(_HELLO)) + _HELLO)
            answer = peer.recv(8, socket.MSG_WAITALL)
    except (OSError, ValueError):
        return None
    if answer[:2] == bytes([_TLS_ALERT, 3]):
        return True
    # A length, and the number of the request.
    return False if len(answer) == 8 and answer[4:] == bytes(4) else None


def check_protocol(settings: Settings) -> None:
    """Asks the brokers of ``--kafka`` whether they speak TLS, as Kafka's client cannot tell.

    It waits for ever where it speaks TLS alone, and where the broker does it takes the answer for
    the length of a message and the memory for
    that.

    :raises failures.SettingsError: they do not speak what the settings say.
    """
    protocol = settings.kafka_options.get("security.protocol", "PLAINTEXT").upper()
    wanted, has_login = protocol.endswith("SSL"), protocol.startswith("SASL")
    for address in settings.kafka.split(","):
        found = _speaks_tls(address)
        if found is None or found == wanted:
            continue
        if found:
            raise failures.SettingsError(
                f"the broker at {address} speaks TLS, and this job does not: give --kafka-option "
                "security.protocol="
                f"{'SASL_SSL' if has_login else 'SSL, or SASL_SSL where it wants a password'}"
            )
        raise failures.SettingsError(
            f"the broker at {address} does not speak TLS, and security.protocol={protocol} asks "
            "for it: use a port with TLS, or --kafka-option "
            f"security.protocol={'SASL_PLAINTEXT' if has_login else 'PLAINTEXT'}"
        )
