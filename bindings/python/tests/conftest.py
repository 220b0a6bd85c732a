"""A real broker and a real Spark cluster for the tests, started by the repository's own launchers
and stopped with the tests' process."""

from __future__ import annotations

import io
import json
import logging
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator

import pyspark
import pytest
from pyspark.sql import SparkSession

import mattebox.spark.__main__
from mattebox.spark import session, settings
from mattebox.spark.job import Stop, run

ROOT = pathlib.Path(__file__).resolve().parents[3]
BINARY = ROOT / "target/release/mattebox"
SAMPLE = ROOT / "samples/person.mp4"
# The variables that a child of the tests keeps. All others may be settings of this machine: ours,
# Spark's, a proxy.
KEPT = (
    "PATH",
    "HOME",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "JAVA_HOME",
    "PYTHONPATH",
    "PYTHONDONTWRITEBYTECODE",
    "ORT_DYLIB_PATH",
    "XDG_DATA_HOME",
)
LIMIT_S = 240

# No test uses a proxy.
for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
    del os.environ[name]

# The network of the fine matte and ONNX Runtime, from scripts/onnx; also for the cluster's
# processes.
_data = tempfile.TemporaryDirectory(prefix="mattebox-data-")
_models = pathlib.Path(_data.name) / "mattebox/models"
_models.mkdir(parents=True)
(_models / "modnet.onnx").symlink_to(ROOT / ".cache/onnx/modnet.onnx")
os.environ.update(
    XDG_DATA_HOME=_data.name, ORT_DYLIB_PATH=str(ROOT / ".cache/onnx/libonnxruntime.so")
)


def environment(**more: str) -> dict[str, str]:
    """The environment of a child: the kept variables, and these."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {**kept, "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1", **more}


def until(
    what: str,
    is_so: Callable[[], bool],
    limit_s: float = LIMIT_S,
    job: Job | InnerJob | None = None,
) -> None:
    """Waits for a condition; fails when the job that must fulfil it ends."""
    begun = time.monotonic()
    while not is_so():
        has_ended = job is not None and job.has_ended()
        assert not has_ended, f"waited for {what}, and the job ended: {job and job.text()[-4000:]}"
        assert time.monotonic() - begun < limit_s, f"waited {limit_s} s for {what}"
        time.sleep(0.1)


class Service:
    """A launcher that prints a line when its service is ready, and ends with its standard input."""

    def __init__(self, command: list[object]) -> None:
        self.process = subprocess.Popen(
            [str(c) for c in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout
        self.words = self.process.stdout.readline().split()
        assert self.words[:1] == ["ready"], f"{command[0]} did not start"

    def stop(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(60)


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    service = Service([ROOT / "scripts/kafka", "run", tmp_path_factory.mktemp("kafka") / "broker"])
    yield service.words[1]
    service.stop()


@pytest.fixture(scope="session")
def cluster_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service(
        [ROOT / "scripts/spark", "run", tmp_path_factory.mktemp("spark"), "--cores", "2"]
    )
    yield service
    service.stop()


@pytest.fixture(scope="session")
def cluster(cluster_service: Service) -> str:
    """The address of the Spark master."""
    return cluster_service.words[1]


@pytest.fixture(scope="session")
def spark_worker(cluster_service: Service) -> int:
    """The process of the Spark worker, whose children are the executors."""
    return int(cluster_service.words[2].removeprefix("worker="))


def module(pipeline: SparkPipeline) -> list[str]:
    """The job as a module."""
    return [
        sys.executable,
        "-m",
        "mattebox.spark",
        "--master",
        pipeline.master,
        "--jars",
        str(pipeline.connector),
    ]


def submit(pipeline: SparkPipeline) -> list[str]:
    """The job by spark-submit, as in docs/guide/spark.md, with this machine's connector."""
    jars = [
        *(str(path) for path in pathlib.Path(pipeline.connector).glob("*.jar")),
        str(mattebox.spark.jar_path()),
    ]
    program = pathlib.Path(pyspark.__file__).parent / "bin/spark-submit"
    return [
        str(program),
        "--master",
        pipeline.master,
        "--jars",
        ",".join(jars),
        str(mattebox.spark.__main__.__file__),
    ]


class Job:
    """The job, in a separate process."""

    def __init__(
        self,
        pipeline: SparkPipeline,
        by: Callable[[SparkPipeline], list[str]],
        flags: tuple[str, ...],
        more: dict[str, str],
    ) -> None:
        self.log = pipeline.path / f"job-{time.monotonic_ns()}.log"
        command = [*by(pipeline), "--kafka", pipeline.broker, "--topic", pipeline.topic, *flags]
        small = {"SPARK_DRIVER_MEMORY": "512m", "MATTEBOX_SPARK_LOG": "ERROR", **more}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command,
                cwd=pipeline.path,
                env=environment(**small),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def text(self) -> str:
        return self.log.read_text()

    def has_ended(self) -> bool:
        return self.process.poll() is not None

    def finish(self, limit_s: float = LIMIT_S) -> int:
        try:
            return self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(
                f"the job still ran after {limit_s} s: {self.text()[-4000:]}"
            ) from None

    def stop(self, by: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(by)
        return self.finish(60)

    def kill(self) -> None:
        """Kills the driver: Python and the JVM."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait(30)


class InnerJob:
    """The job in the Spark session of the tests, so that only the job itself starts and ends. It
    has the methods of :class:`Job`.
    """

    class _Stop(Stop):
        """Set by the test, not by signals, which belong to the tests' process."""

        def listen(self) -> None:
            pass

        def set(self) -> None:
            self._event.set()

    def __init__(
        self, pipeline: SparkPipeline, spark: SparkSession, flags: tuple[str, ...]
    ) -> None:
        place = [
            "--kafka",
            pipeline.broker,
            "--topic",
            pipeline.topic,
            "--out",
            str(pipeline.path / "output"),
        ]
        self._settings = settings.read([*place, *flags])
        self._spark, self._stop, self._lines = spark, self._Stop(), io.StringIO()
        self._exit_code: int | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        handler = logging.StreamHandler(self._lines)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        log = logging.getLogger("mattebox.spark")
        log.setLevel(logging.INFO)
        log.addHandler(handler)
        try:
            self._exit_code = run(self._spark, self._settings, self._stop)
        finally:
            log.removeHandler(handler)

    def text(self) -> str:
        return self._lines.getvalue()

    def has_ended(self) -> bool:
        return not self._thread.is_alive()

    def finish(self, limit_s: float = LIMIT_S) -> int:
        self._thread.join(limit_s)
        assert self.has_ended(), f"the job still ran after {limit_s} s: {self.text()[-4000:]}"
        assert self._exit_code is not None, self.text()[-4000:]
        return self._exit_code

    def stop(self) -> int:
        self._stop.set()
        return self.finish(60)

    def kill(self) -> None:
        self._stop.set()
        self._thread.join(60)


class SparkPipeline:
    """A folder, a topic, a broker and a cluster."""

    def __init__(self, path: pathlib.Path, broker: str, master: str, topic: str) -> None:
        self.path, self.broker, self.master, self.topic = path, broker, master, topic
        self.connector = subprocess.run(
            [ROOT / "scripts/spark", "connector"], capture_output=True, text=True, check=True
        ).stdout.strip()
        self.jobs: list[Job] = []
        self.inner: list[InnerJob] = []
        self.others: list[subprocess.Popen[bytes]] = []

    def mattebox(self, *arguments: str) -> dict[str, object]:
        command = [
            str(BINARY),
            *arguments,
            "--kafka",
            self.broker,
            "--topic",
            self.topic,
            "--progress",
            "none",
            "--json",
        ]
        done = subprocess.run(
            command,
            cwd=self.path,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def fill(
        self, cameras: int, frames: int, partitions: int, width: int = 320, first: int = 0
    ) -> None:
        """Publishes frames of the sample as fast as possible, from each camera."""
        sources = [f"cam{n:02}={SAMPLE}" for n in range(first, first + cameras)]
        how = [
            "--realtime",
            "false",
            "--fps",
            "25",
            "--frames",
            str(frames),
            "--max-width",
            str(width),
            "--partitions",
            str(partitions),
        ]
        self.mattebox("camera", *sources, *how)

    def job(
        self, *flags: str, by: Callable[[SparkPipeline], list[str]] = module, **environment: str
    ) -> Job:
        job = Job(self, by, flags, environment)
        self.jobs.append(job)
        return job

    def inner_job(self, spark: SparkSession, *flags: str) -> InnerJob:
        job = InnerJob(self, spark, flags)
        self.inner.append(job)
        return job

    def by_worker(self, *more: str, out: str = "compare") -> dict[str, bytes]:
        """The files that `mattebox worker` makes of the topic."""
        self.mattebox("worker", "--until", "end", "--group", out, "--out", out, *more)
        return self.files(out)

    def files(self, out: str) -> dict[str, bytes]:
        """All files with a final name."""
        found = (self.path / out).glob("[!.]*/frame_*")
        return {f"{path.parent.name}/{path.name}": path.read_bytes() for path in found}

    def page(self, topic: str) -> str:
        """The address of a page that shows the results of a topic, by `mattebox view`."""
        log = self.path / "view.log"
        command = [str(BINARY), "view", topic, "--kafka", self.broker, "--view=127.0.0.1:0"]
        with log.open("w") as out:
            self.others.append(
                subprocess.Popen(
                    command, cwd=self.path, env=environment(), stdout=out, stderr=subprocess.STDOUT
                )
            )
        until("the page", lambda: "live page at " in log.read_text())
        return log.read_text().split("live page at ")[1].split()[0].rstrip("/")

    def count(self, out: str) -> int:
        return sum(1 for _ in (self.path / out).glob("[!.]*/frame_*"))


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """Spark in the tests' process, with the function and the connector, like the job's."""
    connector = subprocess.run(
        [ROOT / "scripts/spark", "connector"], capture_output=True, text=True, check=True
    ).stdout.strip()
    os.environ.update(SPARK_LOCAL_IP="127.0.0.1", SPARK_DRIVER_MEMORY="512m")
    folder = tmp_path_factory.mktemp("local")
    spark = session.build(
        settings.read(["--master", "local[1]", "--jars", connector, "--out", str(folder)])
    )
    spark.sparkContext.setLogLevel("OFF")
    session.register(spark)
    yield spark
    spark.stop()


@pytest.fixture
def pipeline(
    tmp_path: pathlib.Path, broker: str, cluster: str, request: pytest.FixtureRequest
) -> Iterator[SparkPipeline]:
    pipeline = SparkPipeline(
        tmp_path, broker, cluster, request.node.name.replace("[", "-").replace("]", "")[:120]
    )
    yield pipeline
    for job in [*pipeline.jobs, *pipeline.inner]:
        job.kill()
    for other in pipeline.others:
        other.kill()
        other.wait(30)
