"""Whether the job does its work, for /readyz; and log lines that do not fill the disk while it does
not.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable

log = logging.getLogger("mattebox.spark")

# How often the log repeats a cause that goes on.
REPEAT_S = 60.0
# Causes that are remembered. More would be a cause that is never the same.
MAX_CAUSES = 100
# What differs between two texts of one cause: ids of queries, numbers of frames and tasks.
_VARIES = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9]+")


class Health:
    """What keeps the job from its work now, by kind: query, broker, topic or cores."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._problems = {"query": "the query has not begun"}

    def is_wrong(self, kind: str, problem: str) -> None:
        with self._lock:
            self._problems[kind] = problem

    def is_well(self, *kinds: str) -> None:
        with self._lock:
            for kind in kinds:
                self._problems.pop(kind, None)

    def problems(self) -> list[str]:
        """One sentence each; none while all is well."""
        with self._lock:
            return list(self._problems.values())


class Repeats:
    """Log lines of one cause: the first at once, then one a minute that says how often it came."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # By cause: when it was said last, and how often it came since.
        self._causes: dict[str, tuple[float, int]] = {}

    def say(self, level: int, text: str) -> None:
        """Two texts are of one cause where they differ in numbers and ids only."""
        cause, now = _VARIES.sub("0", text), self._clock()
        said, more = self._causes.get(cause, (None, 0))
        if said is not None and now - said < REPEAT_S:
            self._causes[cause] = (said, more + 1)
            return
        if cause not in self._causes and len(self._causes) >= MAX_CAUSES:
            self._causes.clear()
        self._causes[cause] = (now, 0)
        log.log(
            level,
            "%s%s",
            text,
            f" ({more + 1} times in {now - said:.0f} s)" if said is not None and more else "",
        )

    def forget(self) -> None:
        """All is well again: the next failure is said at once."""
        self._causes.clear()
