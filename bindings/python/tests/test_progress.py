"""The numbers of the Spark job."""

from __future__ import annotations

import pathlib
import re
import urllib.error
import urllib.request

import pytest

progress = pytest.importorskip("mattebox.spark.progress", reason="PySpark is not installed")

METRICS = pathlib.Path(__file__).resolve().parents[3] / "docs/ref/metrics.md"


def test_every_metric_is_in_the_reference() -> None:
    numbers = progress.Numbers()
    numbers.last(p50=1.0, p95=2.0, p99=3.0, lag=4.0, batch_s=5.0)
    names = set(re.findall(r"^# TYPE (\S+)", numbers.page(), re.MULTILINE))
    assert len(names) == 7
    reference = METRICS.read_text()
    assert {name for name in names if f"`{name}`" not in reference} == set()


def test_numbers_health_and_readiness_are_served() -> None:
    numbers, health = progress.Numbers(), progress.Health()
    server = progress.serve("127.0.0.1:0", numbers, health)
    try:
        at = f"http://127.0.0.1:{server.server_address[1]}"
        numbers.add(written=3, dead=1)
        page = urllib.request.urlopen(f"{at}/metrics").read().decode()
        assert 'mattebox_spark_frames_total{status="written"} 3' in page
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
