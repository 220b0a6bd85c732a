"""What rows share: folders, inputs, a broker, and the logs in it."""

from __future__ import annotations

import dataclasses
import functools
import pathlib

import inputs
import records
import topics
from builds import Build
from processes import Failure, Skip, execute, last_line

CAMERA_DEFAULTS = {
    "--frames": str(inputs.FRAMES),
    "--fps": "25",
    "--realtime": "false",
    "--partitions": "2",
    "--progress": "none",
}
# The frames that a camera publishes into the logs of both formats.
LOG = "door={clip} yard={odd} --max-width 320"

# The logs that no camera publishes: how their records are made, and of which pictures.
MADE = {
    "hostile": (topics.hostile, "pictures"),
    "same-png-binary": (functools.partial(topics.in_binary, "cam01"), "pngs"),
    "same-png-json": (functools.partial(topics.in_json, "cam01"), "pngs"),
    "same-jpg-binary": (functools.partial(topics.in_binary, "cam01"), "pictures"),
    "same-jpg-json": (functools.partial(topics.in_json, "cam01"), "pictures"),
}


def with_defaults(words: list[str], defaults: dict[str, str]) -> list[str]:
    """The words of a command, and the flags that they do not have."""
    return words + [
        word for flag, value in defaults.items() if flag not in words for word in (flag, value)
    ]


def expect(code: int, wanted: int, log: pathlib.Path) -> None:
    """Fails if a command ended in another way than its row says."""
    if code != wanted:
        raise Failure(f"exit code {code}: {last_line(log)}")


@dataclasses.dataclass
class Workspace:
    """What rows share: folders, inputs, a broker, and the logs in it."""

    folder: pathlib.Path
    inputs: inputs.Inputs
    # It publishes the logs.
    first: Build
    _logs: set[str] = dataclasses.field(default_factory=set)
    _broker: records.Broker | Skip | None = None

    @property
    def broker(self) -> records.Broker:
        """The broker, which is started when it is first asked for."""
        if self._broker is None:
            try:
                self._broker = records.Broker(self.folder / "broker")
            except Skip as skip:
                self._broker = skip
        if isinstance(self._broker, Skip):
            raise self._broker
        return self._broker

    def log(self, name: str) -> str:
        """The topic of a log, which is filled when it is first asked for."""
        if name not in self._logs:
            self._fill(name)
            self._logs.add(name)
        return name

    def _fill(self, name: str) -> None:
        if name in ("binary", "json"):
            publish(self.first, self, f"{LOG} --wire {name}", name, self.folder / f"log-{name}.log")
            return
        frames, pictures = MADE[name]
        self.broker.create(name)
        self.broker.produce(name, frames(self.inputs.encoded(pictures)))

    def close(self) -> None:
        """Stops the broker, if it was started."""
        if isinstance(self._broker, records.Broker):
            self._broker.stop()

    def place(self, row: str, build: Build) -> Place:
        """An empty working folder for one row and one build."""
        cwd = self.folder / row / build.name
        cwd.mkdir(parents=True)
        return Place(cwd, cwd.with_suffix(".log"))


@dataclasses.dataclass
class Place:
    """The folder of a command: everything below `cwd` is compared. Standard error goes to `log`,
    beside it."""

    cwd: pathlib.Path
    log: pathlib.Path


def publish(build: Build, workspace: Workspace, spec: str, topic: str, log: pathlib.Path) -> None:
    """Fills a topic by `mattebox camera`, as fast as it goes."""
    words = with_defaults(
        workspace.inputs.fill_in(spec),
        {**CAMERA_DEFAULTS, "--kafka": workspace.broker.address, "--topic": topic},
    )
    expect(execute([build.binary, "camera", *words], log=log), 0, log)
