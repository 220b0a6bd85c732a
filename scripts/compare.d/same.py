"""The promise "same bytes everywhere": the same encoded frames through run, worker, Python and
Spark give the same PNG files."""

from __future__ import annotations

import pathlib

import commands
from builds import Build
from rows import Row
from workspace import Workspace

OUT = pathlib.Path("output/cam01")
# The same frames as the source of `run`, and as a folder of encoded pictures.
SOURCES = {"png": "lossless", "jpg": "pictures"}
FOLDERS = {"png": "pngs", "jpg": "pictures"}


def by_run(row: Row, build: Build, workspace: Workspace) -> pathlib.Path:
    """The files of `mattebox run`, which the others must equal."""
    matte, pictures = row.spec.split()
    spec = f"{{{SOURCES[pictures]}}} --camera-id cam01 --matte {matte}"
    return commands.run(Row(f"{row.name}-by-run", "run", spec), build, workspace) / OUT


def by_way(row: Row, build: Build, workspace: Workspace) -> pathlib.Path:
    """The files of another command."""
    matte, pictures = row.spec.split()
    if row.kind == "python":
        made = commands.call(
            row.name,
            build,
            workspace,
            "matte_files.py",
            matte,
            workspace.inputs.path(FOLDERS[pictures]),
        )
    elif row.kind == "spark":
        made = commands.spark(
            Row(row.name, "spark", f"--matte {matte}", f"same-{pictures}-binary"), build, workspace
        )
    else:
        wire = row.kind.removeprefix("worker-")
        made = commands.worker(
            Row(row.name, "worker", f"--matte {matte}", f"same-{pictures}-{wire}"), build, workspace
        )
    return made / OUT
