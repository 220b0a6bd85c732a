"""The commands of the rows, by kind: each function fills a working folder with the outputs of a
command, and returns the folder."""

from __future__ import annotations

import contextlib
import json
import pathlib
import shutil
import sys
from collections.abc import Iterator

import inputs
import records
from builds import Build
from processes import ROOT, Skip, answer, environment, execute
from rows import Row
from workspace import Workspace, expect, publish, with_defaults

HERE = pathlib.Path(__file__).resolve().parent
RUN_DEFAULTS = {"--frames": str(inputs.FRAMES), "--threads": "1", "--progress": "none"}
WORKER_DEFAULTS = {"--until": "end", "--threads": "1", "--progress": "none"}
SPARK_DEFAULTS = {
    "--from": "earliest",
    "--until": "end",
    "--trigger": "micro",
    "--master": "local[2]",
}


def run(row: Row, build: Build, workspace: Workspace) -> pathlib.Path:
    """`mattebox run`."""
    if row.simd and row.simd not in build.simd_levels:
        raise Skip(f"this processor has no {row.simd}")
    place = workspace.place(row.name, build)
    words = with_defaults(workspace.inputs.fill_in(row.spec), RUN_DEFAULTS)
    stdout = place.cwd / "stdout" if "-" in words else None
    expect(
        execute([build.binary, "run", *words], cwd=place.cwd, log=place.log, stdout=stdout),
        row.exit_code,
        place.log,
    )
    return place.cwd


def python(row: Row, build: Build, workspace: Workspace) -> pathlib.Path:
    """Calls of the Python class."""
    return call(
        row.name,
        build,
        workspace,
        "matte_calls.py",
        row.spec,
        workspace.inputs.path("raw"),
        workspace.inputs.path("pictures"),
    )


def call(
    name: str, build: Build, workspace: Workspace, program: str, *arguments: object
) -> pathlib.Path:
    """Runs a program of this folder with this build's Python package, in the present Python."""
    env = environment(
        PYTHONPATH=str(build.python_path(workspace.folder)), PYTHONDONTWRITEBYTECODE="1"
    )
    place = workspace.place(name, build)
    expect(
        execute(
            [sys.executable, HERE / program, *arguments], cwd=place.cwd, log=place.log, env=env
        ),
        0,
        place.log,
    )
    return place.cwd


def camera(row: Row, build: Build, workspace: Workspace) -> pathlib.Path:
    """`mattebox camera`, into a new topic; its records become files."""
    place, topic = workspace.place(row.name, build), f"{row.name}-{build.name}"
    publish(build, workspace, row.spec, topic, place.log)
    found = [records.without_time(record) for record in workspace.broker.consume(topic)]
    records.save(found, place.cwd / "records", records.by_key, without=records.OF_A_CAMERAS_START)
    return place.cwd


def worker(row: Row, build: Build, workspace: Workspace) -> pathlib.Path:
    """`mattebox worker` until the end of a log; results and dead letters become files."""
    topic = workspace.log(row.topic)
    place, results = workspace.place(row.name, build), f"{row.name}-{build.name}"
    words = with_defaults(
        workspace.inputs.fill_in(row.spec, results=results),
        {
            **WORKER_DEFAULTS,
            "--kafka": workspace.broker.address,
            "--topic": topic,
            "--group": results,
        },
    )
    with saved_dead_letters(workspace.broker, topic, place.cwd):
        expect(
            execute([build.binary, "worker", *words], cwd=place.cwd, log=place.log),
            row.exit_code,
            place.log,
        )
    if "{results}" in row.spec:
        records.save(workspace.broker.consume(results), place.cwd / "results", records.by_key)
    # Earlier builds kept the states of cameras here, later ones in Kafka.
    shutil.rmtree(place.cwd / "output/.state", ignore_errors=True)
    return place.cwd


@contextlib.contextmanager
def saved_dead_letters(broker: records.Broker, topic: str, cwd: pathlib.Path) -> Iterator[None]:
    """Writes the new dead letters at the end. Both builds read one log, so their dead letters share
    a topic too."""
    before = broker.ends(f"{topic}.dead")
    yield
    records.save(broker.consume(f"{topic}.dead", before), cwd / "dead", records.by_origin)


def forget_group(cwd: pathlib.Path, group: str) -> None:
    """Removes the group from the names of the cameras' state files: each build has its group."""
    for path in list(cwd.glob(f"output/.state/*/{group}*")):
        path.rename(path.with_name(path.name.replace(group, "group", 1)))


def spark(row: Row, build: Build, workspace: Workspace) -> pathlib.Path:
    """The Spark job until the end of a log, in one process; pictures, rows of results and dead
    letters become files."""
    topic = workspace.log(row.topic)
    place, results = workspace.place(row.name, build), f"{row.name}-{build.name}"
    words = with_defaults(
        workspace.inputs.fill_in(row.spec, results=results),
        {**SPARK_DEFAULTS, "--kafka": workspace.broker.address},
    )
    names = ["--topic", topic, "--group", results, "--results", f"{results}.rows"]
    with saved_dead_letters(workspace.broker, topic, place.cwd):
        expect(
            execute(
                [*spark_job(), *words, *names],
                cwd=place.cwd,
                log=place.log,
                env=spark_environment(build, workspace),
            ),
            0,
            place.log,
        )
    if "{results}" in row.spec:
        records.save(workspace.broker.consume(results), place.cwd / "results", records.by_key)
    save_rows(workspace.broker.consume(f"{results}.rows"), place.cwd)
    forget_group(place.cwd, results)
    return place.cwd


def spark_job() -> list[object]:
    """The words that start the job with Spark's own Python."""
    python, connector = (
        pathlib.Path(answer([ROOT / "scripts/spark", what])) for what in ("python", "connector")
    )
    if not python.exists() or not connector.is_dir():
        raise Skip("there is no Spark here: scripts/spark fetch gets it")
    return [python, "-m", "mattebox.spark", "--jars", connector]


def spark_environment(build: Build, workspace: Workspace) -> dict[str, str]:
    """The variables of the job: this build's package with its libraries, and a small driver."""
    package = str(build.python_path_with_jar(workspace.folder))
    small = {
        "SPARK_DRIVER_MEMORY": "512m",
        "SPARK_LOCAL_IP": "127.0.0.1",
        "MATTEBOX_SPARK_LOG": "ERROR",
    }
    return environment(PYTHONPATH=package, PYTHONDONTWRITEBYTECODE="1", **small)


def save_rows(found: list[records.Record], cwd: pathlib.Path) -> None:
    """Writes the job's row of each frame, without its latency."""
    folder = cwd / "rows"
    folder.mkdir()
    for record in found:
        row = json.loads(record.value or b"{}")
        row.pop("latency_ms", None)
        row["path"] = str(row.get("path", "")).replace(str(cwd), "", 1)
        (folder / f"{row['partition']}-{row['offset']}.json").write_text(json.dumps(row))
