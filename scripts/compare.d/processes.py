"""Starts programs: with few variables and a time limit, and ends them with this program."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
from collections.abc import Sequence

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIMIT_S = 240
# All other variables may be settings of this machine: ours, Spark's, a proxy.
KEPT = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "JAVA_HOME")


class Skip(Exception):
    """A row cannot run on this machine, and why."""


class Failure(Exception):
    """A command that must work failed; the text is its message."""


def environment(**more: str) -> dict[str, str]:
    """The environment of a child: the kept variables, and these."""
    return {**{name: os.environ[name] for name in KEPT if name in os.environ}, **more}


def execute(
    command: Sequence[object],
    *,
    cwd: pathlib.Path = ROOT,
    log: pathlib.Path,
    stdout: pathlib.Path | None = None,
    env: dict[str, str] | None = None,
) -> int:
    """Runs a command to its end and returns its exit code. Standard error goes to `log`, standard
    output to a file or to `log` too."""
    with log.open("wb") as errors, (stdout or log).open("ab") as out:
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=cwd,
            env=env or environment(),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=errors,
            start_new_session=True,
        )
        try:
            return process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            raise Failure(f"{command[0]} still ran after {LIMIT_S} s; see {log}") from None
        finally:
            end_group(process)


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Kills a process and its children."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def answer(command: Sequence[object], text: str | None = None, cwd: pathlib.Path = ROOT) -> str:
    """The standard output of a command, which must succeed."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words,
        input=text,
        capture_output=True,
        text=True,
        env=environment(),
        cwd=cwd,
        timeout=LIMIT_S,
    )
    if done.returncode:
        raise Failure(f"{command[0]} ended with {done.returncode}: {last_of(done.stderr)}")
    return done.stdout.strip()


def last_line(log: pathlib.Path) -> str:
    """The last message of a program."""
    return last_of(log.read_text(errors="replace"))


def last_of(text: str) -> str:
    """The last line of a text, shortened."""
    lines = text.strip().splitlines()
    return lines[-1].strip()[-600:] if lines else "it said nothing"


class Service:
    """A launcher of scripts/ that prints a line when its service is ready, and ends with its
    standard input."""

    def __init__(self, *command: object) -> None:
        self.process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        assert self.process.stdout and self.process.stderr
        self.words = self.process.stdout.readline().split()
        if self.words[:1] != ["ready"]:
            raise Failure(f"{command[0]} did not start: {last_of(self.process.stderr.read())}")

    def stop(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(60)
