"""Whose fault a failure is, in one place: the settings', a service's that did not answer, or one that passes.

Everything that can fail ends here: an exit code and one line for people, or another try.
"""

from __future__ import annotations

import os
import traceback
from dataclasses import dataclass
from typing import Any

# The longest reason, in characters.
MAX_REASON = 500
# A chain of causes is not followed further.
MAX_CAUSES = 20


class JobError(Exception):
    """An end with a reason that is already in words."""

    exit_code = 1


class SettingsError(JobError):
    """A setting cannot be used."""

    exit_code = 2


class Unreachable(JobError):
    """No broker answered in time."""

    exit_code = 3


class Stopped(JobError):
    """A signal came while something was waited for."""

    exit_code = 130


@dataclass(frozen=True)
class Failure:
    """What it means for the job."""

    reason: str
    exit_code: int
    # Whether the same may succeed later.
    is_passing: bool


@dataclass(frozen=True)
class _Cause:
    """One exception of a chain: its class, the names of that and of those that it extends without packages, and what it says."""

    kind: str
    names: frozenset[str]
    text: str

    @property
    def words(self) -> str:
        """The first line with something in it. Java's messages may be missing or empty; then the kind of error must do."""
        return next((line.strip() for line in self.text.splitlines() if line.strip()), self.kind)


# Java's exceptions by the names of their classes. Whatever is in neither list is passing while the query runs, and the end before.
_SETTINGS = {
    "SettingsException": "",
    "ConfigException": ": check --kafka and --kafka-option",
    "UnsupportedFileSystemException": ": Spark has no such file system: give --checkpoint a path, or Spark the jars of that file system",
    "ParseException": "",
    "AnalysisException": "",
    "IllegalArgumentException": "",
    "UnsupportedOperationException": "",
    "ClassNotFoundException": ": a jar is missing on Spark's class path: see --jars and --packages",
}
_REFUSED = {
    "AuthenticationException": ": check the user, the password and the certificates (--kafka-option)",
    "AuthorizationException": ": the broker's access lists do not allow it",
}
# Of those above, these say so of a name that may be known later, as that of a container that is about to start.
_UNKNOWN_HOST = "No resolvable bootstrap urls"
# What else is known by its words.
_KNOWN_WORDS = {
    "Could not parse Master URL": (": check --master", 2),
    "JAVA_GATEWAY_EXITED": (" Is Java 17 or newer here, and can the jars of --packages be fetched?", 1),
    "No module named 'pyspark": (": install it with pip install 'pyspark==4.2.*'", 1),
}
# What only a mistake in this program raises.
_FAULTS = (TypeError, AttributeError, LookupError, NameError, AssertionError, ValueError)
# Those that also stand in the text of a query's failure, where Spark carries no more than text from an executor.
_FATAL_IN_QUERY = ("SettingsException", "ConfigException", "UnsupportedFileSystemException")


def of_start(error: BaseException) -> Failure:
    """What a failure before the query runs means."""
    if isinstance(error, JobError):
        return Failure(str(error), error.exit_code, False)
    causes = _causes(error)
    for cause in reversed(causes):
        if _UNKNOWN_HOST in cause.words or "RetriableException" in cause.names:
            return Failure(reason(error), 3, True)
        for known, exit_code in ((_REFUSED, 1), (_SETTINGS, 2)):
            for name, advice in known.items():
                if name in cause.names:
                    return Failure(f"{cause.words[:MAX_REASON]}{advice}", exit_code, False)
    words = reason(error)
    for known, (advice, exit_code) in _KNOWN_WORDS.items():
        if known in words:
            return Failure(f"{words}{advice}", exit_code, False)
    if isinstance(error, _FAULTS):
        last = traceback.extract_tb(error.__traceback__)[-1:]
        where = "".join(f" ({os.path.basename(frame.filename)}:{frame.lineno})" for frame in last)
        return Failure(f"a fault of mattebox, please report it: {type(error).__name__}: {words}{where}", 1, False)
    return Failure(words, 1, False)


def of_query(error: Any) -> Failure:
    """What the end of a running query means: another try from its checkpoint, unless a setting is to blame."""
    if isinstance(error, JobError):
        return Failure(str(error), error.exit_code, isinstance(error, Unreachable))
    causes = _causes(error)
    # From an executor comes no more than text.
    text = "\n".join(f"{cause.kind}: {cause.text}" for cause in causes)
    names = frozenset().union(*(cause.names for cause in causes))
    is_settings = any(name in names or f".{name}:" in text for name in _FATAL_IN_QUERY) and _UNKNOWN_HOST not in text
    return Failure(_line(text), 2 if is_settings else 1, not is_settings)


def reason(error: Any) -> str:
    """One line: the last cause's own words, or its kind where it has none."""
    return _causes(error)[-1].words[:MAX_REASON]


def _causes(error: Any) -> list[_Cause]:
    """The chain of causes, the outermost first: Java's where it comes from there, else the exception alone."""
    throwable = error
    if isinstance(error, BaseException):
        throwable = getattr(error, "java_exception", None) or getattr(error, "_origin", None)
    if throwable is None:
        kinds = [kind.__name__ for kind in type(error).__mro__]
        return [_Cause(kinds[0], frozenset(kinds), str(error))]
    found: list[_Cause] = []
    try:
        while throwable is not None and len(found) < MAX_CAUSES:
            kind, names = throwable.getClass(), []
            name = str(kind.getName())
            while kind is not None:
                names.append(str(kind.getSimpleName()))
                kind = kind.getSuperclass()
            found.append(_Cause(name, frozenset(names), throwable.getMessage() or ""))
            throwable = throwable.getCause()
    except Exception as lost:  # Java is gone, and what it had to say with it
        found = found or [_Cause(type(lost).__name__, frozenset([type(lost).__name__]), "Java has ended")]
    return found


def _line(text: str) -> str:
    """The line of a Java stack trace that says most."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    causes = [line for line in lines if line.startswith("Caused by:") or "Exception:" in line]
    ours = [line for line in causes if "io.mattebox.spark." in line]
    found = (ours or causes[-1:] or lines[:1] or ["it gave no reason"])[-1]
    # What Spark puts around it: the task, the executor, the function.
    at = found.find("io.mattebox.spark.")
    return (found if at < 0 else found[at:].partition(": ")[2] or found)[:MAX_REASON]
