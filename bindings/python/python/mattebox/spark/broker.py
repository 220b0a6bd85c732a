"""Topics and offsets, through the Kafka client of Spark's connector.

A question that the broker does not answer is repeated, until `--connect-timeout` is over.
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

# Room for the reason, the key and the headers of a dead letter, in bytes.
LETTER_OVERHEAD = 64 << 10
# The largest result of a topic that is made here, in bytes.
MAX_RESULT_BYTES = 16 << 20
# Room for a result's key, headers and frame in the log, in bytes.
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
    # Whether the job's user may read it. Brokers older than Kafka 2.3 do not tell: then it is true.
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
        """:param is_stopped: waits for so many seconds; true if the job is to stop."""
        self._jvm = spark._jvm
        self._settings = settings
        self._is_stopped = is_stopped
        self._health = health
        self._client: Any = None

    def close(self) -> None:
        """Ends the client, which otherwise keeps trying."""
        client, self._client = self._client, None
        if client is not None:
            client.close(self._jvm.java.time.Duration.ZERO)

    def _admin(self) -> Any:
        """The client. There is none while the host's name is unknown."""
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
            except TypeError as error:
                # py4j takes an unknown class for a package, and a package cannot be called.
                raise failures.JobError(
                    "Spark's Kafka connector is not on the class path: see --jars and --packages"
                ) from error
        return self._client

    def _ask(self, question: Callable[[Any], T]) -> T:
        """Asks until there is an answer. An error that does not pass is raised unchanged."""
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
            # Its thread may have ended, or another service may listen there.
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
        """A future with the description of a topic."""
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
        """Kafka's id of the frames' topic: another topic of the same name has another one."""
        if (found := self._description(self._settings.topic, "READ")) is None:
            raise gone(self._settings.topic)
        return str(found.topicId().toString())

    def partitions(self, topic: str, operation: str = "READ") -> int:
        """The number of partitions of a topic that allows the operation; 0 if there is none."""
        found = self._description(topic, operation)
        return 0 if found is None else int(found.partitions().size())

    def begin_sight(self) -> Any:
        """Asks for the frames' topic. The answer is there when its ``isDone()`` is true."""
        return self._described(self._admin(), self._settings.topic)

    def sight(self, answer: Any) -> Sight | None:
        """The answer to :meth:`begin_sight`; None if there is no such topic. Errors are raised
        unchanged.
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
        """Waits for the frames' topic, and returns its number of partitions."""
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
        """The largest batch of records of a topic; Kafka's default if the broker does not tell."""
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
        """The first offset of each partition, or the one after the last record."""
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


# Kafka's ApiVersions request, version 0, without a client's name: brokers answer it before a login.
_HELLO = struct.pack(">hhih", 18, 0, 0, -1)
# The first byte of a TLS alert (RFC 8446, section 5.1).
_TLS_ALERT = 0x15
PROBE_TIMEOUT_S = 2.0


def _speaks_tls(address: str) -> bool | None:
    """True if the service at an address speaks TLS, False if it speaks Kafka's protocol without
    TLS, None if that is unknown.
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
    """Asks the brokers of ``--kafka`` whether they speak TLS, because Kafka's client does not.

    If only the client speaks TLS, it waits for ever. If only the broker does, the client takes the
    alert for the length of a message, and allocates that much memory.

    :raises failures.SettingsError: the brokers and the settings differ.
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
