"""The metrics of the Spark job."""

from __future__ import annotations

import contextlib
import pathlib
import re
import socket
import threading
import time
import urllib.error
import urllib.request

import pytest

progress = pytest.importorskip("mattebox.spark.progress", reason="PySpark is not installed")

METRICS = pathlib.Path(__file__).resolve().parents[3] / "docs/ref/metrics.md"


def test_every_metric_is_in_the_reference() -> None:
    counters = progress.Counters()
    counters.add_frames("cam01", {"written": 1})
    counters.last(p50=1.0, p95=2.0, p99=3.0, lag=4.0, batch_s=5.0)
    names = set(re.findall(r"^# TYPE (\S+)", counters.page(), re.MULTILINE))
    assert len(names) == 8
    reference = METRICS.read_text()
    assert {name for name in names if f"`{name}`" not in reference} == set()


def test_numbers_health_and_readiness_are_served() -> None:
    counters, health = progress.Counters(), progress.Health()
    server = progress.serve("127.0.0.1:0", counters, health)
    try:
        at = f"http://127.0.0.1:{server.server_address[1]}"
        counters.add_frames("cam01", {"written": 3_000_001, "dead": 1})
        page = urllib.request.urlopen(f"{at}/metrics").read().decode()
        for outcome, count in {"read": 3_000_002, "written": 3_000_001, "dead": 1}.items():
            line = f'mattebox_frames_total{{camera="cam01",outcome="{outcome}"}} {count}'
            assert line in page.splitlines()
        assert urllib.request.urlopen(f"{at}/healthz").status == 200
        health.is_wrong("cores", "Spark has no executors")
        with pytest.raises(urllib.error.HTTPError, match="503") as refused:
            urllib.request.urlopen(f"{at}/readyz")
        assert refused.value.read() == b"the query has not begun\nSpark has no executors\n"
        health.is_well("query", "cores")
        assert urllib.request.urlopen(f"{at}/readyz").status == 200
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{at}/etc/passwd")
    finally:
        server.shutdown()


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:9466", 200),
        ("[::1]:9466", 200),
        ("job", 200),
        ("job.spark.svc:80", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("", 403),
        ("[::1", 403),
    ],
)
def test_numbers_are_not_told_under_a_name_that_others_can_point_at_us(
    host: str, status: int
) -> None:
    server = progress.serve("127.0.0.1:0", progress.Counters(), progress.Health())
    try:
        request = urllib.request.Request(
            f"http://127.0.0.1:{server.server_address[1]}/metrics", headers={"Host": host}
        )
        try:
            told = urllib.request.urlopen(request).status
        except urllib.error.HTTPError as refused:
            told = refused.code
        assert told == status
    finally:
        server.shutdown()


def test_connections_that_say_nothing_do_not_fill_the_driver() -> None:
    server = progress.serve("127.0.0.1:0", progress.Counters(), progress.Health())
    try:
        before = threading.active_count()
        with contextlib.ExitStack() as silent:
            for _ in range(100):
                silent.enter_context(socket.create_connection(server.server_address[:2]))
            at = f"http://127.0.0.1:{server.server_address[1]}/healthz"
            assert all(urllib.request.urlopen(at).status == 200 for _ in range(5))
            # The threads of closed connections end a little later.
            deadline = time.monotonic() + 60
            while threading.active_count() - before > 32:
                assert time.monotonic() < deadline
                time.sleep(0.05)
    finally:
        server.shutdown()


def test_cameras_beyond_the_limit_share_one_set_of_counts() -> None:
    counters = progress.Counters()
    for number in range(1500):
        counters.add_frames(f"cam{number}", {"dead": 1})
    page = counters.page()
    assert page.count('outcome="dead"') == 1001
    assert 'mattebox_frames_total{camera="(others)",outcome="dead"} 500' in page
    assert "mattebox_spark_dead_letters_total 1500" in page
