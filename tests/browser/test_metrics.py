"""A real Prometheus reads the metrics, the alerts and the queries of the dashboard."""

from __future__ import annotations

import json
import pathlib
import re
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from conftest import LIMIT_S, ROOT, Process, Server, looped, until

PROMETHEUS = ROOT / "deploy/prometheus"
DASHBOARD = json.loads((ROOT / "deploy/grafana/mattebox.json").read_text())
# scripts/setup unpacks Debian's package there, unless Prometheus is installed.
UNPACKED = ROOT / ".cache/prometheus/usr/bin"


def program(name: str) -> str:
    path = shutil.which(name) or shutil.which(name, path=UNPACKED)
    assert path, f"there is no {name} here; `scripts/setup test` gets it"
    return path


def promtool(*arguments: object, **how: Any) -> None:
    done = subprocess.run(
        [program("promtool"), *(str(a) for a in arguments)],
        capture_output=True,
        timeout=LIMIT_S,
        **how,
    )
    assert done.returncode == 0, (done.stdout + done.stderr).decode()


def panels() -> Iterator[dict[str, Any]]:
    for panel in DASHBOARD["panels"]:
        yield panel
        yield from panel.get("panels", [])


def queries() -> list[str]:
    """The queries of the dashboard."""
    return [target["expr"] for panel in panels() for target in panel.get("targets", [])]


class Prometheus(Process):
    """Prometheus with the configuration and the rules of deploy/, for one server."""

    def __init__(self, folder: pathlib.Path, server: Server) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        config = (PROMETHEUS / "prometheus.yml").read_text()
        assert "127.0.0.1:9480" in config
        config = config.replace("127.0.0.1:9480", server.host).replace(
            "_interval: 5s", "_interval: 1s"
        )
        (folder / "prometheus.yml").write_text(config)
        shutil.copy(PROMETHEUS / "rules.yml", folder)
        command = [
            program("prometheus"),
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
        ]
        super().__init__(
            [*command, f"--web.listen-address={self.address}"], folder / "prometheus.log"
        )

    def ask(self, path: str, **query: str) -> Any:
        with urllib.request.urlopen(
            f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(query)}", timeout=LIMIT_S
        ) as answer:
            told = json.load(answer)
        assert told["status"] == "success", told
        return told["data"]

    def is_up(self) -> bool:
        assert self.process.poll() is None, self.text()
        try:
            with urllib.request.urlopen(
                f"http://{self.address}/-/ready", timeout=LIMIT_S
            ) as answer:
                return answer.status == 200
        except OSError:
            return False


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory, server: Server) -> Iterator[Prometheus]:
    prometheus = Prometheus(tmp_path_factory.mktemp("prometheus"), server)
    until("Prometheus", prometheus.is_up)
    yield prometheus
    prometheus.end()


def test_the_page_of_numbers_is_as_prometheus_wants_it(server: Server) -> None:
    answer = server.get("/metrics")
    assert answer.status == 200 and answer.headers["Content-Type"].startswith(
        "text/plain; version=0.0.4"
    )
    promtool("check", "metrics", input=answer.body)


def test_rules_and_configuration_are_valid_and_every_alert_fires_when_it_should() -> None:
    promtool("check", "config", PROMETHEUS / "prometheus.yml")
    promtool("check", "rules", PROMETHEUS / "rules.yml")
    promtool("test", "rules", "rules_test.yml", cwd=PROMETHEUS)
    alerts = set(re.findall(r"- alert: (\w+)", (PROMETHEUS / "rules.yml").read_text()))
    fired = set(
        re.findall(r"alertname: (\w+)\n\s+exp_alerts", (PROMETHEUS / "rules_test.yml").read_text())
    )
    assert alerts == fired


def test_every_alert_has_a_section_in_the_guide() -> None:
    guide = (ROOT / "docs/guide/operations.md").read_text()
    anchors = {
        heading.lower().replace(" ", "-") for heading in re.findall(r"^#+ (.*)$", guide, re.M)
    }
    links = re.findall(
        r"runbook_url: docs/guide/operations\.md#(\S+)", (PROMETHEUS / "rules.yml").read_text()
    )
    assert links and set(links) <= anchors


def test_a_real_prometheus_takes_the_numbers_of_every_camera(
    prometheus: Prometheus, server: Server
) -> None:
    def first(query: str) -> dict[str, float]:
        return {
            one["metric"].get("camera", ""): float(one["value"][1])
            for one in prometheus.ask("query", query=query)["result"]
        }

    written = until(
        "the numbers",
        lambda: (
            len(found := first('mattebox_frames_total{job="mattebox-run",outcome="written"}')) == 4
            and found
        ),
    )
    assert set(written) == {"door", "hall", "desk", "yard"}
    until(
        "more frames",
        lambda: all(
            first('mattebox_frames_total{outcome="written"}')[camera] > count
            for camera, count in written.items()
        ),
    )
    assert first('up{job="mattebox-run"}') == {"": 1}
    until(
        "states", lambda: first('mattebox_camera_state{state="live"} == 1').keys() == written.keys()
    )
    assert first("sum by (camera) (mattebox_camera_state)") == dict.fromkeys(written, 1)
    assert abs(first("process_start_time_seconds")[""] - time.time()) < 24 * 3600


def test_a_real_prometheus_evaluates_every_rule(prometheus: Prometheus) -> None:
    def rules() -> list[dict[str, Any]]:
        return [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]

    until("all rules", lambda: all(rule["health"] != "unknown" for rule in rules()))
    assert {rule["name"]: rule.get("lastError") for rule in rules() if rule["health"] != "ok"} == {}


@pytest.mark.parametrize("query", sorted(set(queries())))
def test_what_the_dashboard_asks_for_can_be_answered(prometheus: Prometheus, query: str) -> None:
    for name, value in {
        "$camera": ".*",
        "$job": ".*",
        "$__rate_interval": "1m",
        "$__range": "1h",
    }.items():
        query = query.replace(name, value)
    assert "$" not in query
    prometheus.ask("query", query=query)


def test_alerts_and_dashboard_ask_only_for_numbers_that_there_are() -> None:
    reference = set(re.findall(r"`([a-z_]+)`", (ROOT / "docs/ref/metrics.md").read_text()))
    for text in [(PROMETHEUS / "rules.yml").read_text(), "\n".join(queries())]:
        names = set(re.findall(r"\b(?:mattebox|process)_[a-z_]+\b", text))
        parts = {f"{name}_{part}" for name in reference for part in ("bucket", "sum", "count")}
        assert names and names <= reference | parts


def test_the_start_of_the_process_is_when_it_started(start: Callable[..., Server]) -> None:
    begun = time.time()
    server = start(*looped("door"))
    by = time.time()
    server.await_pictures()
    until("half a second", lambda: time.time() > by + 0.5)
    text = server.get("/metrics").body.decode()
    match = re.search(r"^process_start_time_seconds (\S+)$", text, re.M)
    assert match and begun - 1 <= float(match[1]) <= by + 0.1
