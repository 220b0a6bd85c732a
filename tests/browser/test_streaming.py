"""The streaming recipe (docs/guide/streaming.md) with the files that it names: mattebox sends to
go2rtc, and Chromium plays what comes out.

Not part of `make test`, since go2rtc is built with Go: `make test-streaming`."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from conftest import (
    BINARY,
    LIMIT_S,
    ROOT,
    SAMPLE,
    Process,
    Server,
    Visit,
    environment,
    is_near,
    until,
)

TOOLS = pathlib.Path(os.environ["MATTEBOX_TEST_STREAMING"])
GREEN, BLUE = (0, 200, 40), (20, 60, 220)
# These are no secrets.
NAME, PASSWORD = "anna", "a-word"

# The colour of the video's corner, which is background, and a small copy of the picture.
LOOK = """() => {
  const video = document.querySelector('video');
  if (!video || !video.videoWidth || video.readyState < 2) return null;
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  const context = canvas.getContext('2d');
  context.drawImage(video, 0, 0);
  const corner = [...context.getImageData(canvas.width - 9, 8, 1, 1).data].slice(0, 3);
  const picture = canvas.toDataURL('image/jpeg', 0.3);
  const size = { width: video.videoWidth, height: video.videoHeight };
  return { time: video.currentTime, ...size, corner, picture };
}"""

# Plays HLS as a page with hls.js does.
PLAY_HLS = """() => {
  document.body.innerHTML = '<video autoplay muted></video>';
  const player = new Hls();
  player.loadSource('/api/stream.m3u8?src=door&mp4');
  player.attachMedia(document.querySelector('video'));
}"""


def free_ports(count: int) -> list[int]:
    """Ports of this machine that are free by TCP and UDP: go2rtc cannot use port 0."""
    with contextlib.ExitStack() as held:
        ports: list[int] = []
        while len(ports) < count:
            stream = held.enter_context(socket.create_server(("127.0.0.1", 0)))
            port = stream.getsockname()[1]
            packets = held.enter_context(socket.socket(type=socket.SOCK_DGRAM))
            with contextlib.suppress(OSError):
                packets.bind(("127.0.0.1", port))
                ports.append(port)
        return ports


class Go2rtc(Process):
    """go2rtc with deploy/go2rtc.yml, on free ports of 127.0.0.1."""

    def __init__(self, folder: pathlib.Path, streams: dict[str, str] | None = None) -> None:
        self.api, self.rtsp, self.media = free_ports(3)
        own: dict[str, Any] = {
            "api": {"listen": f"127.0.0.1:{self.api}"},
            "rtsp": {"listen": f"127.0.0.1:{self.rtsp}"},
            "webrtc": {
                "listen": f"127.0.0.1:{self.media}",
                "candidates": [f"127.0.0.1:{self.media}"],
            },
        }
        if streams:
            own["streams"] = streams
        # A copy, because go2rtc writes into its settings file.
        shutil.copy(ROOT / "deploy/go2rtc.yml", folder / "go2rtc.yml")
        command = [TOOLS / "go2rtc", "-config", folder / "go2rtc.yml", "-config", json.dumps(own)]
        super().__init__(
            [*command],
            folder / "go2rtc.log",
            cwd=folder,
            env=environment(),
            stdout=(folder / "go2rtc.out").open("w"),
        )
        self.url = f"http://127.0.0.1:{self.api}"
        until("go2rtc", self.answers)

    def answers(self) -> bool:
        assert self.process.poll() is None, self.text()
        try:
            self.stream()
        except urllib.error.URLError:
            return False
        return True

    def stream(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/api/streams?src=door", timeout=LIMIT_S) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def children(self) -> list[str]:
        """The commands that it has started."""
        found = subprocess.run(
            ["ps", "-o", "args=", "--ppid", str(self.process.pid)], capture_output=True, text=True
        )
        return found.stdout.splitlines()


@pytest.fixture
def go2rtc(tmp_path: pathlib.Path) -> Iterator[Go2rtc]:
    (tmp_path / "go2rtc").mkdir()
    server = Go2rtc(tmp_path / "go2rtc")
    yield server
    server.end()


@pytest.fixture
def sender(start: Callable[..., Server], go2rtc: Go2rtc) -> Server:
    """A mattebox that sends to go2rtc. Returns when the stream is there."""
    out = f"rtsp://127.0.0.1:{go2rtc.rtsp}/{{camera}}"
    server = start(
        f"door={SAMPLE}", "--loop", "--realtime", "--background", "#00c828", "--out", out
    )
    until("the stream", lambda: go2rtc.stream()["producers"])
    return server


def open_player(visit: Visit, url: str, how: str) -> None:
    if how == "hls":
        visit.page.goto(f"{url}/video-rtc.js")
        visit.page.evaluate((TOOLS / "hls.js").read_text())
        visit.page.evaluate(PLAY_HLS)
    else:
        visit.page.goto(f"{url}/stream.html?src=door&mode={how}")


def await_colour(visit: Visit, colour: tuple[int, int, int]) -> dict[str, Any]:
    """Waits until the video's background has a colour."""
    found: dict[str, Any] = until(
        f"{colour} in the video",
        lambda: (now := visit.page.evaluate(LOOK)) and is_near(now["corner"], colour, 16) and now,
    )
    return found


@pytest.mark.parametrize("how", ["webrtc", "mse", "hls"])
def test_chromium_plays_what_mattebox_sends(
    visits: Callable[..., Visit], go2rtc: Go2rtc, sender: Server, how: str
) -> None:
    visit = visits()
    open_player(visit, go2rtc.url, how)
    first = await_colour(visit, GREEN)
    assert (first["width"], first["height"]) == (640, 360)
    for count in range(3):
        seen = visit.page.evaluate(LOOK)["picture"]
        until(f"{count + 1} other pictures", lambda: visit.page.evaluate(LOOK)["picture"] != seen)
    until("two more seconds", lambda: visit.page.evaluate(LOOK)["time"] > first["time"] + 2)
    # A change on mattebox's page reaches the stream.
    assert sender.patch("door", {"background": "#143cdc"}).status == 200
    await_colour(visit, BLUE)
    (consumer,) = go2rtc.stream()["consumers"]
    assert how in consumer["format_name"]


def test_other_programs_read_the_stream_by_rtsp(go2rtc: Go2rtc, sender: Server) -> None:
    command = [
        "ffprobe",
        "-v",
        "error",
        "-of",
        "json",
        "-show_entries",
        "stream=codec_name,width,height,has_b_frames",
        "-rtsp_transport",
        "tcp",
    ]
    found = subprocess.run(
        [*command, f"rtsp://127.0.0.1:{go2rtc.rtsp}/door"],
        capture_output=True,
        check=True,
        timeout=LIMIT_S,
    )
    assert json.loads(found.stdout)["streams"] == [
        {"codec_name": "h264", "width": 640, "height": 360, "has_b_frames": 0}
    ]


def test_go2rtc_runs_mattebox_only_while_somebody_watches(
    visits: Callable[..., Visit], tmp_path: pathlib.Path
) -> None:
    # GREEN; a # would begin go2rtc's own options.
    how = "--loop --realtime --background rgb(0,200,40) --progress none --out {output}"
    go2rtc = Go2rtc(tmp_path, {"door": f"exec:{BINARY} run door={SAMPLE} {how}"})
    try:
        assert go2rtc.children() == []
        visit = visits()
        open_player(visit, go2rtc.url, "webrtc")
        await_colour(visit, GREEN)
        (command,) = go2rtc.children()
        assert str(BINARY) in command
        visit.page.close()
        until("the end of mattebox", lambda: not go2rtc.children())
    finally:
        go2rtc.end()


# Sources that make go2rtc run a program, in several spellings, and a camera that is not listed.
QUERIES = [
    "",
    "src=hall",
    "src=exec:/usr/bin/true",
    "SRC=door&src=exec:/usr/bin/true",
    "src=door&src=exec:/usr/bin/true",
    "src=exec:/usr/bin/true&src=door",
    "src=door&name=door&src=exec:/usr/bin/true",
    "src=door;src=exec:/usr/bin/true",
    "src=door%26src=exec:/usr/bin/true",
]
# Pages that only go2rtc's owner may open.
PATHS = [
    "/",
    "/editor.html",
    "/api",
    "/api/config",
    "/api//config",
    "/api/ws/../config",
    "/api/ws/%2e%2e/config",
    "/api/exit",
    "/api/log",
    "/api/restart",
    "/api/streams",
    "/api/webrtc?src=door",
]


class Nginx(Process):
    """nginx with deploy/nginx-go2rtc.conf, on a free port of 127.0.0.1, with another certificate
    and password."""

    def __init__(self, folder: pathlib.Path, program: str, go2rtc: Go2rtc) -> None:
        (self.port,) = free_ports(1)
        certificate = [
            "-keyout",
            str(folder / "cams.key"),
            "-out",
            str(folder / "cams.pem"),
            "-subj",
            "/CN=localhost",
            "-days",
            "1",
        ]
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *certificate],
            check=True,
            capture_output=True,
        )
        digest = subprocess.run(
            ["openssl", "passwd", "-apr1", PASSWORD], check=True, capture_output=True, text=True
        )
        (folder / "cams.htpasswd").write_text(f"{NAME}:{digest.stdout}")
        text = (ROOT / "deploy/nginx-go2rtc.conf").read_text()
        for old, new in [
            ("listen 443", f"listen 127.0.0.1:{self.port}"),
            ("/etc/nginx/", f"{folder}/"),
            ("127.0.0.1:1984", f"127.0.0.1:{go2rtc.api}"),
        ]:
            assert old in text
            text = text.replace(old, new)
        kept = " ".join(
            f"{kind}_temp_path {folder}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (folder / "nginx.conf").write_text(
            f"daemon off; user root; pid {folder}/pid; events {{}} http {{ access_log off; {kept} "
            f"{text} }}"
        )
        super().__init__(
            [program, "-e", folder / "error.log", "-c", folder / "nginx.conf"],
            folder / "nginx.log",
            env=environment(),
        )
        self.url = f"https://localhost:{self.port}"
        until("nginx", lambda: self.status("/") and True)

    def status(self, path: str, *, name: str = NAME, method: str = "GET") -> int:
        assert self.process.poll() is None, self.text()
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        passwords = urllib.request.HTTPPasswordMgrWithPriorAuth()
        passwords.add_password(None, self.url, name, PASSWORD, is_authenticated=True)
        opener = urllib.request.build_opener(
            urllib.request.HTTPSHandler(context=context),
            urllib.request.HTTPBasicAuthHandler(passwords),
        )
        try:
            with opener.open(
                urllib.request.Request(self.url + path, method=method), timeout=LIMIT_S
            ) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except (urllib.error.URLError, ConnectionError):
            return 0


def test_the_proxy_lets_watch_and_nothing_else(
    visits: Callable[..., Visit], go2rtc: Go2rtc, sender: Server, tmp_path: pathlib.Path
) -> None:
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if not program:
        pytest.skip("no nginx here")
    nginx = Nginx(tmp_path, program, go2rtc)
    try:
        for path in ("/stream.html?src=door", "/video-rtc.js", "/api/stream.m3u8?src=door&mp4"):
            assert nginx.status(path) == 200, path
            assert nginx.status(path, name="eve") == 401, path
        for query in QUERIES:
            for path in ("/api/ws", "/api/stream.m3u8"):
                assert nginx.status(f"{path}?{query}") == 403, query
        for path in PATHS:
            for method in ("GET", "POST", "PUT"):
                assert nginx.status(path, method=method) == 404, (method, path)
        for how in ("webrtc", "mse", "hls"):
            visit = visits(
                ignore_https_errors=True, http_credentials={"username": NAME, "password": PASSWORD}
            )
            open_player(visit, nginx.url, how)
            await_colour(visit, GREEN)
    finally:
        nginx.end()


def test_the_guide_names_the_files_and_versions_that_are_tested() -> None:
    guide = (ROOT / "docs/guide/streaming.md").read_text()
    version = subprocess.run(
        [TOOLS / "go2rtc", "--version"], capture_output=True, check=True, text=True
    ).stdout
    found = re.search(r"version ([\d.]+)", version)
    assert found and f"go2rtc {found[1]}" in guide
    for name in ("deploy/go2rtc.yml", "deploy/nginx-go2rtc.conf"):
        assert name in guide and (ROOT / name).exists()
