"""One log line for each batch with frames, and the same counts at /metrics."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import logging
import math
import socket
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pyspark.sql.streaming import StreamingQueryListener

from . import failures
from .health import Health

log = logging.getLogger("mattebox.spark")


OUTCOMES = ("written", "skipped", "dead")
# Cameras with counts of their own. Those beyond this number share one set.
_MAX_CAMERAS = 1000
_OTHERS = "(others)"


class Counters:
    """Counts over the batches, for the log and /metrics."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Records without a name of a camera are there from the start, so that an alert sees the
        # first of them.
        self._cameras = {_OTHERS: dict.fromkeys(OUTCOMES, 0)}
        self._sums = {"bytes": 0, "batches": 0, "restarts": 0}
        self._last: dict[str, float] = {}

    def add(self, **more: int) -> None:
        with self._lock:
            for name, value in more.items():
                self._sums[name] += value

    def add_frames(self, camera: str, counts: dict[str, int]) -> None:
        """Adds the frames of one camera, by outcome."""
        with self._lock:
            if camera not in self._cameras and len(self._cameras) > _MAX_CAMERAS:
                camera = _OTHERS
            sums = self._cameras.setdefault(camera, dict.fromkeys(OUTCOMES, 0))
            for outcome in OUTCOMES:
                sums[outcome] += counts.get(outcome, 0)

    def last(self, **values: float | None) -> None:
        with self._lock:
            self._last.update({name: value for name, value in values.items() if value is not None})

    def total(self, outcome: str) -> int:
        """The frames of all cameras with an outcome."""
        with self._lock:
            return sum(counts[outcome] for counts in self._cameras.values())

    def sum(self, name: str) -> int:
        """Bytes, batches or restarts."""
        with self._lock:
            return self._sums[name]

    def page(self) -> str:
        """All metrics in Prometheus' text format. The driver has no dependency but PySpark, so
        that no client library is needed on it."""
        with self._lock:
            sums, last = dict(self._sums), dict(self._last)
            cameras = {name: dict(counts) for name, counts in self._cameras.items()}
        lines: list[str] = []

        def metric(name: str, kind: str, what: str, samples: list[tuple[str, float]]) -> None:
            if samples:
                lines.append(f"# HELP {name} {what}")
                lines.append(f"# TYPE {name} {kind}")
                lines.extend(f"{name}{labels} {value!r}" for labels, value in samples)

        frames = [
            (f'{{camera="{camera}",outcome="{outcome}"}}', count)
            for camera, counts in sorted(cameras.items())
            for outcome, count in {"read": sum(counts.values()), **counts}.items()
        ]
        metric(
            "mattebox_frames_total",
            "counter",
            "Frames by outcome: read, written, skipped, dead.",
            frames,
        )
        dead = sum(counts["dead"] for counts in cameras.values())
        what = "Dead letters of all cameras."
        metric("mattebox_spark_dead_letters_total", "counter", what, [("", dead)])
        for name, key, what in (
            ("mattebox_spark_written_bytes_total", "bytes", "Bytes of the files."),
            ("mattebox_spark_batches_total", "batches", "Batches with frames that are done."),
            ("mattebox_spark_restarts_total", "restarts", "Restarts of the query after a failure."),
        ):
            metric(name, "counter", what, [("", sums[key])])
        if "lag" in last:
            metric(
                "mattebox_spark_lag_records",
                "gauge",
                "Records behind the end of the topic.",
                [("", last["lag"])],
            )
        quantiles = {"0.5": "p50", "0.95": "p95", "0.99": "p99"}
        latency = [
            (f'{{quantile="{q}"}}', last[name] / 1000)
            for q, name in quantiles.items()
            if name in last
        ]
        metric(
            "mattebox_spark_latency_seconds",
            "gauge",
            "From when a frame was captured to when its file was in place, in the last batch.",
            latency,
        )
        if "batch_s" in last:
            metric(
                "mattebox_spark_batch_seconds",
                "gauge",
                "How long the last batch took.",
                [("", last["batch_s"])],
            )
        return "\n".join(lines) + "\n"


class Listener(StreamingQueryListener):
    """Takes Spark's event of every batch."""

    def __init__(self, counters: Counters, tally: Any, topic: str, health: Health) -> None:
        self._health = health
        self._has_run = False
        self._counters = counters
        self._tally = tally
        self._topic = topic

    def onQueryStarted(self, event: Any) -> None:
        if self._has_run:  # the job has said why it starts again
            log.debug("the query runs (run %s)", event.runId)
            return
        log.info("the query runs (run %s)", event.runId)
        self._has_run = True
        self._health.is_well("query")

    def onQueryIdle(self, event: Any) -> None:
        self._health.is_well("query")

    def onQueryProgress(self, event: Any) -> None:
        self._health.is_well("query")
        try:
            self._progress(event.progress)
        except Exception:  # a missing log line must not end the query
            log.debug("the progress of a batch could not be read", exc_info=True)

    def onQueryTerminated(self, event: Any) -> None:
        pass

    def _progress(self, progress: Any) -> None:
        seconds = progress.batchDuration / 1000
        lag = _lag(progress.sources[0] if progress.sources else None, self._topic)
        self._counters.last(batch_s=seconds, lag=lag)
        batch = json.loads(self._tally.take())  # NaN is a number for Python's reader
        cameras = batch["cameras"].items()
        frames = sum(sum(counts.values()) for _, counts in cameras)
        if not frames:
            return
        self._counters.add(batches=1, bytes=batch["bytes"])
        for camera, counts in cameras:
            self._counters.add_frames(camera, counts)
        dead = sum(counts["dead"] for _, counts in cameras)
        rate = frames / max(seconds, 0.001)
        text = f"batch {progress.batchId}: {frames} frames in {seconds:.2f} s ({rate:.1f}/s)"
        if not math.isnan(batch["p95"]):
            self._counters.last(p50=batch["p50"], p95=batch["p95"], p99=batch["p99"])
            text += f", latency p95 {batch['p95']:.0f} ms"
        if batch["differing"]:
            text += f", {batch['differing']} skipped whose files differ"
        if dead:
            text += f", {dead} dead"
        if lag is not None:
            text += f", lag {lag:.0f}"
        log.info("%s", text)


def _lag(source: Any, topic: str) -> float | None:
    """Records between the batch's end and the topic's."""
    if source is None or not source.latestOffset or not source.endOffset:
        return None
    try:
        latest, end = (
            json.loads(source.latestOffset).get(topic, {}),
            json.loads(source.endOffset).get(topic, {}),
        )
    except (TypeError, ValueError):
        return None
    return float(
        sum(max(offset - end.get(partition, 0), 0) for partition, offset in latest.items())
    )


# Top-level domains that no site of the internet is below: RFC 6762, 6761, ICANN's reservation of
# .internal and its refusal to delegate .home and .corp; and those of routers and of Kubernetes'
# services.
_PRIVATE = ("internal", "local", "localhost", "home", "corp", "lan", "svc")
_CONNECTIONS = 32
_TIME_S = 10.0  # from the beginning of a connection to its end


def _is_private(host: str) -> bool:
    """Whether no site of the internet can have a host's name. Otherwise such a site could make a
    browser ask for the metrics under the site's name."""
    try:
        name = (urllib.parse.urlsplit(f"//{host}").hostname or "").removesuffix(".")
    except ValueError:
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name != "" and (
            "." not in name or name.rpartition(".")[2] in _PRIVATE or name.endswith(".home.arpa")
        )
    return True


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._lock = threading.Lock()
        self._open: dict[Any, float] = {}  # the connections, oldest first, and when each came

    def process_request(self, request: Any, client_address: Any) -> None:
        """Starts a thread for a connection. If there are too many, the oldest one is closed."""
        with self._lock:
            if len(self._open) >= _CONNECTIONS:
                self._hang_up(next(iter(self._open)))
            self._open[request] = time.monotonic()
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._lock:
                self._open.pop(request, None)

    def service_actions(self) -> None:
        """Closes connections that take too long."""
        with self._lock:
            for request in [
                one for one, came in self._open.items() if time.monotonic() - came > _TIME_S
            ]:
                self._hang_up(request)

    def _hang_up(self, request: Any) -> None:
        del self._open[request]
        with contextlib.suppress(OSError):
            request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that closed its connection is no error."""
        log.debug("/metrics", exc_info=True)


def serve(address: str, counters: Counters, health: Health) -> ThreadingHTTPServer:
    """Serves /metrics, /healthz and /readyz until it is shut down.

    :raises failures.SettingsError: the address is taken, or none of this machine's.
    """
    host, _, port = address.rpartition(":")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, kind, body = 200, "text/plain; charset=utf-8", "ok\n"
            hosts = self.headers.get_all("Host", [])
            if self.path == "/metrics" and (
                foreign := [name for name in hosts if not _is_private(name)]
            ):
                status, body = (
                    403,
                    f"host name {foreign[0]!r} is not allowed: ask this machine by its IP "
                    "address\n",
                )
            elif self.path == "/metrics":
                kind, body = "text/plain; version=0.0.4; charset=utf-8", counters.page()
            elif self.path == "/readyz" and (problems := health.problems()):
                status, body = 503, "".join(f"{problem}\n" for problem in problems)
            elif self.path not in ("/healthz", "/readyz"):
                status, body = 404, "there are /metrics, /healthz and /readyz\n"
            data = body.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *arguments: object) -> None:
            log.debug(format, *arguments)

    try:
        server = _Server((host.strip("[]") or "127.0.0.1", int(port)), Handler)
    except OSError as error:
        raise failures.SettingsError(
            f"--metrics {address} cannot be served: {error.strerror or error}"
        ) from error
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server
