"""A build: a folder with the binary, and perhaps the libraries for Python and for Spark."""

from __future__ import annotations

import functools
import pathlib
import re
import shutil
import zipfile

from processes import ROOT, Failure, Skip, answer

PACKAGE = ROOT / "bindings/python/python/mattebox"
JAR = PACKAGE / "jars/mattebox-spark.jar"
LIBRARY_IN_JAR = "libmattebox_jvm.so"


class Build:
    """One of the two builds. `name` is old, new or same: the folder of its outputs."""

    def __init__(self, name: str, folder: pathlib.Path) -> None:
        self.name, self.folder = name, folder.resolve()
        self.binary = self.folder / "mattebox"
        if not self.binary.is_file():
            raise Failure(f"{folder} holds no mattebox")

    def library(self, name: str) -> pathlib.Path:
        """A library of this build."""
        path = self.folder / name
        if not path.is_file():
            raise Skip(f"{self.folder} has no {name}")
        return path

    @functools.cached_property
    def simd_levels(self) -> list[str]:
        """The vector levels of this machine, from the build."""
        found = re.search(r"vector instructions: ([^;\n]+)", answer([self.binary, "doctor"]))
        return [level.strip() for level in found[1].split(",")] if found else []

    def python_path(self, work: pathlib.Path) -> pathlib.Path:
        """A folder for PYTHONPATH with the Python package around this build's native module. It is
        made once."""
        folder = work / "packages" / self.name
        package = folder / "mattebox"
        if not package.exists():
            native = self.library("lib_native.so")
            shutil.copytree(
                self._package(),
                package,
                ignore=shutil.ignore_patterns("_native.abi3.so*", "jars", "__pycache__"),
            )
            (package / "_native.abi3.so").symlink_to(native)
        return folder

    def python_path_with_jar(self, work: pathlib.Path) -> pathlib.Path:
        """The same, with the jar for Spark in the package."""
        folder = self.python_path(work)
        jar = folder / "mattebox/jars/mattebox-spark.jar"
        if not jar.exists():
            jar.parent.mkdir(exist_ok=True)
            put_library(self._jar(), self.library("libmattebox_jvm.so"), jar)
        return folder

    def _package(self) -> pathlib.Path:
        """The package's Python files: of the build where it has them, else the repository's."""
        own = self.folder / "python/mattebox"
        return own if own.is_dir() else PACKAGE

    def _jar(self) -> pathlib.Path:
        """A jar with the Java classes: of the build where it has one, else the repository's."""
        own = self.folder / "mattebox-spark.jar"
        jar = own if own.is_file() else JAR
        if not jar.is_file():
            raise Skip(f"there is no {jar.relative_to(ROOT)}: scripts/jar makes it")
        return jar


def put_library(jar: pathlib.Path, library: pathlib.Path, into: pathlib.Path) -> None:
    """Copies a jar and puts another native library into the copy."""
    with zipfile.ZipFile(jar) as old, zipfile.ZipFile(into, "w") as new:
        for entry in old.infolist():
            if pathlib.PurePosixPath(entry.filename).name == LIBRARY_IN_JAR:
                new.write(library, entry.filename)
            else:
                new.writestr(entry, old.read(entry))
