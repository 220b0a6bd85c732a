"""Records of Kafka: a broker for all rows, reading and writing, and records as files that can be
compared."""

from __future__ import annotations

import base64
import json
import pathlib
import re
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from processes import ROOT, Failure, Service, Skip, answer

CLIENT = pathlib.Path(__file__).resolve().parent / "kafka_client.py"
# Headers that differ in each run.
OF_TRACES = ("traceparent", "tracestate")
OF_A_CAMERAS_START = ("ce_id", "ce_session", "ce_time")


@dataclass(frozen=True)
class Record:
    """One record of a topic."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]] = field(default_factory=list)
    partition: int = 0

    def header(self, name: str) -> str:
        return next((value or b"" for key, value in self.headers if key == name), b"").decode()


class Broker:
    """A real broker on this machine, with another client than ours."""

    def __init__(self, folder: pathlib.Path) -> None:
        try:
            answer([ROOT / "scripts/kafka", "fetch", "kraft"])
            self._python = answer([ROOT / "scripts/python-client"])
        except Failure as failure:
            raise Skip(f"no broker here: {failure}") from failure
        self._service = Service(ROOT / "scripts/kafka", "run", folder)
        self.address = self._service.words[1]
        self.stop = self._service.stop

    def create(self, topic: str, partitions: int = 1) -> None:
        self._client("create", topic, str(partitions))

    def produce(self, topic: str, records: Iterable[Record]) -> None:
        lines = [
            json.dumps(
                {
                    "partition": record.partition,
                    "key": _text(record.key),
                    "value": _text(record.value),
                    "headers": [(name, _text(value)) for name, value in record.headers],
                }
            )
            for record in records
        ]
        self._client("produce", topic, text="\n".join(lines))

    def ends(self, topic: str) -> str:
        """The ends of all partitions, from which `consume` can begin."""
        return self._client("ends", topic)

    def consume(self, topic: str, starts: str = "{}") -> list[Record]:
        """All committed records of a topic, partition by partition."""
        found = [json.loads(line) for line in self._client("consume", topic, starts).splitlines()]
        return sorted(map(_record, found), key=lambda record: record.partition)

    def _client(self, command: str, *more: str, text: str | None = None) -> str:
        return answer([self._python, CLIENT, self.address, command, *more], text)


def _record(fields: dict[str, Any]) -> Record:
    headers = [(name, _data(value)) for name, value in fields["headers"]]
    return Record(_data(fields["key"]), _data(fields["value"]), headers, fields["partition"])


def _text(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


def _data(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


def save(
    records: Iterable[Record],
    folder: pathlib.Path,
    name: Callable[[Record], str],
    without: Iterable[str] = OF_TRACES,
) -> None:
    """Writes each record as two files: its value, and its key and headers. Those of one name are
    numbered in their order."""
    count: Counter[str] = Counter()
    for record in records:
        base = name(record)
        path = f"{base}-{count[base]:04}"
        count[base] += 1
        folder.mkdir(parents=True, exist_ok=True)
        headers = [(key, _readable(value)) for key, value in record.headers if key not in without]
        (folder / f"{path}.headers").write_text(
            json.dumps({"key": _readable(record.key), "headers": headers}, indent=1)
        )
        if record.value is not None:
            (folder / f"{path}.value").write_bytes(record.value)


def _readable(data: bytes | None) -> str | None:
    return None if data is None else data.decode("latin-1")


def by_key(record: Record) -> str:
    """A name for records whose order within a key counts."""
    return "no-key" if record.key is None else urllib.parse.quote(record.key, safe="")


def by_origin(record: Record) -> str:
    """A name for dead letters: where the record was read."""
    return f"{record.header('mattebox-error-partition')}-{record.header('mattebox-error-offset')}"


def without_time(record: Record) -> Record:
    """A frame in JSON without the time when it was taken."""
    value = record.value and re.sub(rb'"ts": [0-9.]+', b'"ts": 0', record.value, count=1)
    return Record(record.key, value, record.headers, record.partition)
