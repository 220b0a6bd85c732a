"""Settings of the job: flags over environment over defaults. The names are those of the other
commands."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn

from . import paths

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}

KAFKA_PACKAGE = "org.apache.spark:spark-sql-kafka-0-10_2.13:4.2.0"


# The folder in the checkpoint with the states of cameras.
STATES = "mattebox-state"


@dataclass(frozen=True)
class Settings:
    """Checked settings."""

    kafka: str
    topic: str
    out: str
    checkpoint: str
    group: str
    results: str
    publish_frames: str | None
    start: str
    until_end: bool
    trigger: str
    interval_s: float
    checkpoint_interval_s: float
    look_interval_s: float
    back_to_realtime_s: float
    max_offsets: int | None
    async_progress: bool
    on_stale: str
    connect_timeout_s: float
    metrics: str | None
    master: str | None
    jars: list[str]
    packages: str | None
    kafka_options: dict[str, str] = field(repr=False)  # passwords are among them
    made: dict[str, object]
    # Kafka's id of the topic, known when the broker has answered.
    topic_id: str | None = None

    @property
    def dead(self) -> str:
        """The topic of dead letters."""
        return f"{self.topic}.dead"


def _seconds(text: str) -> float:
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*(ms|s|min|m|h)?\s*", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: write 500ms, 5s, 2m or 1h")
    return float(match[1]) * _UNITS[match[2] or "s"]


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1")
    return int(text)


def _yes_no(text: str) -> bool:
    if text.lower() in ("true", "1", "yes"):
        return True
    if text.lower() in ("false", "0", "no"):
        return False
    raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")


def _option(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        # Not repeated: it may be a secret in the wrong form.
        raise argparse.ArgumentTypeError("write NAME=VALUE")
    return name, value


def _brokers(text: str) -> str:
    # Messages repeat it, so it must hold no password.
    if "@" in text:
        raise argparse.ArgumentTypeError(
            "write HOST:PORT; the user and the password belong into --kafka-option "
            "sasl.jaas.config=..."
        )
    return text


def _topic(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,244}", text) or text in (".", ".."):
        raise argparse.ArgumentTypeError(
            f"{text!r} cannot be a topic: use letters, digits, '.', '_' and '-'"
        )
    return text


def _address(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no address: write HOST:PORT, for example 127.0.0.1:9466"
        )
    return text


def _path(find: Callable[[str], str]) -> Callable[[str], str]:
    """A flag's value as a path, or an error that says why it is none."""

    def convert(text: str) -> str:
        try:
            return find(text)
        except paths.NotAPath as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return convert


def _start(text: str) -> str:
    """``earliest``, ``latest``, or unix milliseconds in digits, like `mattebox worker --from`."""
    from mattebox._native import start_at

    try:
        return start_at(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from error


def _model(text: str) -> str:
    if text == "landscape":
        return text
    # A .onnx file may be followed by the range of the network's colours: net.onnx:imagenet.
    path, onnx, range_ = text.rpartition(".onnx:")
    return f"{paths.local(f'{path}.onnx')}:{range_}" if onnx else paths.local(text)


def _background(text: str) -> str:
    kind, colon, path = text.partition(":")
    return f"image:{paths.local(path)}" if colon and kind.lower() == "image" else text


class _Parser(argparse.ArgumentParser):
    """Reads flags, then the environment for the others. Both are checked alike."""

    # The origin of the checked value, for messages.
    origin = ""

    def __init__(self, **more: object) -> None:
        super().__init__(argument_default=argparse.SUPPRESS, **more)  # type: ignore[arg-type]
        self.others: list[tuple[str, str, str | None]] = []

    def error(self, message: str) -> NoReturn:
        super().error(self.origin + message)

    def read(self, arguments: list[str] | None) -> argparse.Namespace:
        given = self.parse_args(arguments)
        for flag, variable, default in self.others:
            name = next(action.dest for action in self._actions if flag in action.option_strings)
            if hasattr(given, name):
                continue
            value = os.environ.get(variable) or None
            self.origin = f"{variable} in the environment: " if value else ""
            if value or default is not None:
                self.parse_args([f"{flag}={value or default}"], given)
            else:
                setattr(given, name, None)
        self.origin = ""
        return given


def parser() -> _Parser:
    """All flags."""
    top = _Parser(
        prog="python -m mattebox.spark",
        description="Reads frames from a Kafka topic with Spark Structured Streaming, puts another "
        "background behind the people, and writes one picture file for each frame: "
        "OUT/CAMERA/frame_000000.png.",
        epilog="Every flag has an environment variable, in brackets. Exit codes: 0 done, 1 failed, "
        "2 bad settings, 3 no broker in time, 130 stopped.",
    )

    def add(
        group: argparse._ArgumentGroup,
        flag: str,
        variable: str,
        default: str | None,
        what: str,
        **more: object,
    ) -> None:
        top.others.append((flag, variable, default))
        shown = "" if default is None else f" [default: {default}]"
        help = f"{what} [{variable}]{shown}"
        group.add_argument(flag, help=help, **more)  # type: ignore[arg-type]

    log = top.add_argument_group("Reading the topic")
    add(
        log,
        "--kafka",
        "KAFKA_BOOTSTRAP",
        "localhost:9092",
        "the broker, HOST:PORT[,HOST:PORT...]",
        type=_brokers,
    )
    add(log, "--topic", "TOPIC_FRAMES", "camera_frames", "the topic of frames", type=_topic)
    add(
        log,
        "--from",
        "MATTEBOX_FROM",
        "latest",
        "where a job without a checkpoint begins: earliest, latest, a time such as "
        "2026-01-31T12:00:00Z, or unix seconds",
        type=_start,
        dest="start",
    )
    add(
        log,
        "--until",
        "MATTEBOX_UNTIL",
        "never",
        "end: stop after the records that are there at the start; never: run until stopped",
        choices=("end", "never"),
    )
    add(
        log,
        "--connect-timeout",
        "MATTEBOX_CONNECT_TIMEOUT",
        "120s",
        "how long to try to reach the broker",
        type=_seconds,
    )
    log.add_argument(
        "--kafka-option",
        action="append",
        default=[],
        type=_option,
        metavar="NAME=VALUE",
        help="a setting of Kafka's Java client, such as security.protocol=SASL_SSL; may be given "
        "several times",
    )

    made = top.add_argument_group("Output")
    add(
        made,
        "--out",
        "OUTPUT_DIR",
        "output",
        "the folder for the files, on every executor; several machines need a shared one",
        type=_path(paths.local),
    )
    add(
        made,
        "--background",
        "MATTEBOX_BACKGROUND",
        "gray",
        "gray, a CSS colour, #RRGGBB, blur[:SIGMA], transparent or image:PATH",
        type=_path(_background),
    )
    add(
        made,
        "--matte",
        "MATTEBOX_MATTE",
        "soft",
        "soft (steady edges), hard (MediaPipe's category mask), fine (finer edges, drawn in key "
        "frames) or fine:always (in every frame; see docs/guide/models.md)",
        choices=("soft", "hard", "fine", "fine:always"),
    )
    add(
        made,
        "--model",
        "SEG_MODEL_PATH",
        None,
        "a .tflite or .onnx file, on the driver and every executor, instead of the built-in "
        "network; "
        "or landscape",
        type=_path(_model),
    )
    add(made, "--format", "MATTEBOX_FORMAT", "png", "picture files", choices=("png", "jpg", "webp"))
    add(
        made,
        "--jpeg-quality",
        "JPEG_QUALITY",
        "80",
        "quality of JPEG files, 1 to 100",
        type=_positive,
    )
    add(
        made,
        "--foreground-cleanup",
        "MATTEBOX_FOREGROUND_CLEANUP",
        "true",
        "remove colour spill of the old room from edges",
        type=_yes_no,
    )
    add(
        made,
        "--people",
        "MATTEBOX_PEOPLE",
        "all",
        "the people to show: all, nearest (the largest in the picture) or a number from 1 to 9; "
        "the "
        "others become background",
    )
    add(
        made,
        "--plate",
        "MATTEBOX_PLATE",
        "auto",
        "learn the room behind the people while the camera stands still (auto), or do not (off)",
        choices=("auto", "off"),
    )
    add(
        made,
        "--skip-still",
        "MATTEBOX_SKIP_STILL",
        "false",
        "reuse the last matte while nothing moves",
        type=_yes_no,
    )
    add(
        made,
        "--on-existing",
        "MATTEBOX_ON_EXISTING",
        "skip",
        "keep a file that exists (skip), or replace it (overwrite)",
        choices=("overwrite", "skip"),
    )
    add(
        made,
        "--name",
        "MATTEBOX_NAME",
        "number",
        "names of files: number (ID/frame_000000.png) or a template, such as "
        "{camera}/{date}/{hour}/frame_{number}; the time is that of the record, in UTC",
    )
    add(
        made,
        "--max-megapixels",
        "MATTEBOX_MAX_MEGAPIXELS",
        None,
        "the largest picture that is decoded, in millions of pixels",
        type=_positive,
    )
    add(
        made,
        "--simd",
        "MATTEBOX_SIMD",
        None,
        "vector instructions: scalar, sse4.2, avx2, avx512 or neon [default: the best of each "
        "executor]",
    )
    add(
        made,
        "--fsync",
        "MATTEBOX_FSYNC",
        "false",
        "write each file to the disk before it counts as done",
        type=_yes_no,
    )
    add(
        made,
        "--camera-settings",
        "MATTEBOX_CAMERA_SETTINGS",
        None,
        "background, matte and more of single cameras, a table for each, in a TOML file on the "
        "driver and every executor; read again when it changes",
        type=_path(paths.local),
        metavar="FILE",
    )
    add(
        made,
        "--results",
        "MATTEBOX_RESULTS",
        None,
        "the topic of results, one for each frame [default: TOPIC.results]",
        type=_topic,
    )
    add(
        made,
        "--publish-frames",
        "MATTEBOX_PUBLISH_FRAMES",
        None,
        "a topic for the finished pictures",
        type=_topic,
    )

    run = top.add_argument_group("Performance and monitoring")
    add(
        run,
        "--checkpoint",
        "CHECKPOINT_DIR",
        None,
        "the folder for Spark's offsets and the states of cameras; several machines need a shared "
        "one [default: OUT/.checkpoint]",
        type=_path(paths.checkpoint),
    )
    add(
        run,
        "--group",
        "MATTEBOX_GROUP",
        "mattebox-spark",
        "the name of the job: only jobs with the same name and topic may share OUT",
    )
    add(
        run,
        "--trigger",
        "MATTEBOX_TRIGGER",
        "auto",
        "micro: batch after batch; realtime: Spark's real-time mode, which needs a core for each "
        "partition; auto: real time where there are enough",
        choices=("auto", "micro", "realtime"),
    )
    add(
        run,
        "--checkpoint-interval",
        "MATTEBOX_CHECKPOINT_INTERVAL",
        "30s",
        "time between two checkpoints (realtime)",
        type=_seconds,
    )
    add(
        run,
        "--look-interval",
        "MATTEBOX_LOOK_INTERVAL",
        "5s",
        "time between two checks of the topic's partitions and permissions and of the executors",
        type=_seconds,
    )
    add(
        run,
        "--back-to-realtime",
        "MATTEBOX_BACK_TO_REALTIME",
        "60s",
        "how long there must be enough cores before real time begins again: each change processes "
        "the frames since the last checkpoint again",
        type=_seconds,
    )
    add(
        run,
        "--interval",
        "MATTEBOX_INTERVAL",
        "0s",
        "time between two batches (micro)",
        type=_seconds,
    )
    add(
        run,
        "--max-offsets",
        "MATTEBOX_MAX_OFFSETS",
        "2000",
        "most records in a batch (micro)",
        type=_positive,
    )
    add(
        run,
        "--async-progress",
        "MATTEBOX_ASYNC_PROGRESS",
        "false",
        "write checkpoints while the next batch runs (micro)",
        type=_yes_no,
    )
    add(
        run,
        "--on-stale-checkpoint",
        "MATTEBOX_ON_STALE_CHECKPOINT",
        "fail",
        "if the topic was created again or lost records, so that the checkpoint does not fit: "
        "fail, "
        "or set the checkpoint aside and begin with the oldest record (restart)",
        choices=("fail", "restart"),
        dest="on_stale",
    )
    add(
        run,
        "--master",
        "SPARK_MASTER",
        None,
        "spark://HOST:PORT, local[N] and so on [default: that of spark-submit, or local[*]]",
    )
    add(
        run,
        "--jars",
        "MATTEBOX_JARS",
        None,
        "jars of Spark's Kafka connector, or folders of them, separated by commas",
    )
    add(
        run,
        "--packages",
        "MATTEBOX_PACKAGES",
        KAFKA_PACKAGE,
        "Maven coordinates of the connector, used if --jars does not name it",
    )
    add(
        run,
        "--metrics",
        "MATTEBOX_METRICS",
        None,
        "serve /metrics, /healthz and /readyz at this address, for example 127.0.0.1:9466",
        type=_address,
    )
    run.add_argument("--version", action="version", version=_version())
    return top


def _version() -> str:
    from mattebox import __version__

    return f"mattebox {__version__}"


def read(arguments: list[str] | None = None) -> Settings:
    """Reads flags and environment. Exits with 2 and a message where a value is invalid."""
    top = parser()
    given = top.read(arguments)
    if given.checkpoint_interval < 5:
        top.error(
            "--checkpoint-interval must be at least 5s: Spark makes no real-time batches that are "
            "shorter"
        )
    if given.trigger == "realtime" and given.until == "end":
        top.error("--trigger realtime has no end: use --trigger micro with --until end")
    if given.trigger == "realtime" and given.async_progress:
        top.error("--async-progress is for --trigger micro")
    _check_topics(top, given)
    checkpoint = given.checkpoint or os.path.join(given.out, ".checkpoint")
    made = {
        "out": given.out,
        "group": given.group,
        "background": given.background,
        "matte": given.matte,
        "people": given.people,
        "plate": given.plate,
        "model": given.model,
        "format": given.format,
        "jpeg_quality": given.jpeg_quality,
        "foreground_cleanup": given.foreground_cleanup,
        "skip_still": given.skip_still,
        "on_existing": given.on_existing,
        "name": given.name,
        "camera_settings": given.camera_settings,
        "max_megapixels": given.max_megapixels,
        "simd": given.simd,
        "fsync": given.fsync,
        "topics": {given.topic: None},
        "state_dir": os.path.join(checkpoint, STATES),
        # The states of so many batches are kept, since a batch without a checkpoint may be done
        # again. With synchronous checkpoints that is only the last one.
        "keep": 64 if given.async_progress else 2,
    }
    return Settings(
        kafka=given.kafka,
        topic=given.topic,
        out=given.out,
        checkpoint=checkpoint,
        group=given.group,
        results=given.results or f"{given.topic}.results",
        publish_frames=given.publish_frames,
        start=given.start,
        until_end=given.until == "end",
        trigger=given.trigger,
        interval_s=given.interval,
        checkpoint_interval_s=given.checkpoint_interval,
        look_interval_s=given.look_interval,
        back_to_realtime_s=given.back_to_realtime,
        max_offsets=given.max_offsets,
        async_progress=given.async_progress,
        on_stale=given.on_stale,
        connect_timeout_s=given.connect_timeout,
        metrics=given.metrics,
        master=given.master,
        jars=_jars(top, given.jars),
        packages=given.packages or None,
        kafka_options=dict(given.kafka_option),
        made={name: value for name, value in made.items() if value is not None},
    )


def _check_topics(top: _Parser, given: argparse.Namespace) -> None:
    """All topics differ: the job must not read its results as frames."""
    topics = {
        "--topic": given.topic,
        "the dead letters of --topic": f"{given.topic}.dead",
        "--results": given.results or f"{given.topic}.results",
    }
    if given.publish_frames:
        topics["--publish-frames"] = given.publish_frames
    known: dict[str, str] = {}
    for flag, topic in topics.items():
        if topic in known:
            top.error(
                f"{flag}: {topic} is also the topic of {known[topic]}: give each another name"
            )
        known[topic] = flag


def _jars(top: _Parser, text: str | None) -> list[str]:
    found: list[str] = []
    for name in filter(None, (text or "").split(",")):
        if os.path.isdir(name):
            found += sorted(
                os.path.abspath(os.path.join(name, jar))
                for jar in os.listdir(name)
                if jar.endswith(".jar")
            )
        elif os.path.isfile(name):
            found.append(os.path.abspath(name))
        else:
            top.error(f"--jars: there is no {name}")
    return found
