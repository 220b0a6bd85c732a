"""Whether the job works, for /readyz; and log lines that do not fill the disk while it does not."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable

log = logging.getLogger("mattebox.spark")

# How often the log repeats a cause that lasts.
REPEAT_S = 60.0
# The most causes that are kept. More means that the texts of one cause vary.
MAX_CAUSES = 100
# Parts that differ between two texts of one cause: ids of queries, numbers of frames and tasks.
_VARIES = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9]+")


class Health:
    """The problems that stop the job now, by kind: query, broker, topic or cores."""

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
        """One sentence for each problem."""
        with self._lock:
            return list(self._problems.values())


class Repeats:
    """Log lines of one cause: the first at once, then one a minute with the number of repeats."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # By cause: the time of the last line, and the number of repeats since.
        self._causes: dict[str, tuple[float, int]] = {}

    def say(self, level: int, text: str) -> None:
        """Two texts that differ only in numbers and ids have one cause."""
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
        """The job works again: the next failure is logged at once."""
        self._causes.clear()
