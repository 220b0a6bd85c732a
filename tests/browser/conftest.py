"""The real binary with its live page, a camera that can be killed, and Debian's Chromium.
Everything ends with the tests' process."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

import playwright.sync_api
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = ROOT / "target/release/mattebox"
SAMPLE = ROOT / "samples/person.mp4"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# The variables that a child of the tests keeps. All others may be settings of this machine.
KEPT = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "ORT_DYLIB_PATH", "XDG_DATA_HOME")
# The longest wait for an event. How fast it happens is printed, and fails no test.
LIMIT_S = 120
# This test needs more programs: scripts/test-streaming runs it.
collect_ignore = [] if "MATTEBOX_TEST_STREAMING" in os.environ else ["test_streaming.py"]


def environment() -> dict[str, str]:
    """The environment of a child: few variables."""
    return {name: os.environ[name] for name in KEPT if name in os.environ}


# No test uses a proxy.
for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
    del os.environ[name]


def until(what: str, find: Callable[[], Any], limit_s: float = LIMIT_S) -> Any:
    """Waits for a true value, and returns it."""
    begun = time.monotonic()
    while not (found := find()):
        assert time.monotonic() - begun < limit_s, f"waited {limit_s} s for {what}"
        time.sleep(0.05)
    return found


class Process:
    """A process that the kernel kills when the tests' process ends."""

    def __init__(self, command: list[object], log: pathlib.Path, **how: Any) -> None:
        self.log = log
        words = ["setpriv", "--pdeathsig", "KILL", "--", *(str(word) for word in command)]
        with log.open("w") as file:
            self.process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stderr=file, start_new_session=True, **how
            )

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        try:
            return self.process.wait(30)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(30)


class Answer:
    """The answer of a server."""

    def __init__(self, status: int, headers: http.client.HTTPMessage, body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    def json(self) -> Any:
        return json.loads(self.body)

    def assert_problem(self, status: int) -> None:
        """Asserts that it is a problem of RFC 9457."""
        assert self.status == status, self.body[:500]
        assert self.headers["Content-Type"] == "application/problem+json"
        problem = self.json()
        assert problem["status"] == status and problem["title"] and problem["detail"], problem


class Server(Process):
    """`mattebox run SOURCE... --view` on a free port."""

    def __init__(
        self, folder: pathlib.Path, *arguments: object, context: ssl.SSLContext | None = None
    ) -> None:
        view = (
            [] if any(str(a).startswith("--view=") for a in arguments) else ["--view=127.0.0.1:0"]
        )
        out = [] if "--out" in arguments else ["--out", "none"]
        command = [BINARY, "run", *arguments, *view, *out, "--progress", "none"]
        super().__init__(command, folder / "mattebox.log", cwd=folder, env=environment())
        self.context = context
        find = re.compile(r"live page at (https?)://([^/\s]+)/")
        match = until(
            "the live page", lambda: find.search(self.text()) or self.process.poll() is not None
        )
        assert isinstance(match, re.Match), self.text()
        self.scheme, self.host = match[1], match[2]
        self.port = int(self.host.rsplit(":", 1)[1])
        self.url = f"{self.scheme}://{self.host}"

    def connect(self) -> socket.socket:
        """A bare TCP connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=LIMIT_S)

    @contextlib.contextmanager
    def open(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> Iterator[http.client.HTTPResponse]:
        if self.context:
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                "127.0.0.1", self.port, timeout=LIMIT_S, context=self.context
            )
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT_S)
        with contextlib.closing(connection):
            connection.request(
                method,
                path,
                body,
                {name.replace("_", "-"): value for name, value in headers.items()},
            )
            yield connection.getresponse()

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        with self.open(method, path, body, **headers) as response:
            return Answer(response.status, response.headers, response.read())

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, **headers)

    def patch(self, camera: str, change: object, **headers: str) -> Answer:
        return self.ask(
            "PATCH",
            f"/api/cameras/{camera}/settings",
            json.dumps(change).encode(),
            Content_Type="application/json",
            **headers,
        )

    def camera(self, camera: str) -> dict[str, Any]:
        answer = self.get(f"/api/cameras/{camera}")
        assert answer.status == 200, answer.body
        return answer.json()

    def await_pictures(self) -> None:
        """Waits until each camera has a picture."""
        until(
            "pictures",
            lambda: all(
                camera["last_frame"] for camera in self.get("/api/cameras").json()["cameras"]
            ),
        )

    def finish(self) -> None:
        """Ends it, and asserts that it ran well until then."""
        was_running = self.process.poll() is None
        code = self.end()
        assert was_running, f"it has ended by itself with {code}: {self.text()[-4000:]}"
        assert "panicked" not in self.text(), self.text()[-4000:]


def raw_answer(connection: socket.socket) -> bytes:
    """All bytes until the other side closes."""
    found = b""
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            found += part
    return found


class TestCamera:
    """A network camera that can be killed and started again."""

    __test__ = False

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder, self.port = folder, 0
        self.start()

    def start(self) -> None:
        # The system's Python has the packages that scripts/setup installs.
        script = ROOT / "tests/end_to_end/kit/rtsp_server.py"
        self.running = Process(
            ["/usr/bin/python3", script, self.port],
            self.folder / "camera.log",
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.running.process.stdout
        line = self.running.process.stdout.readline().strip()
        assert line, (
            "the test camera does not start; `scripts/setup test` installs what it needs: "
            f"{self.running.text()}"
        )
        self.port = int(line)

    def kill(self) -> None:
        assert self.running.process.poll() is None, (
            f"it had ended before the kill: {self.running.text()}"
        )
        self.running.end(signal.SIGKILL)

    @property
    def url(self) -> str:
        return f"rtsp://127.0.0.1:{self.port}/camera"


def decode(picture: bytes, layout: str = "rgb24") -> bytes:
    """The pixels of a picture file."""
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-i",
        "pipe:",
        "-f",
        "rawvideo",
        "-pix_fmt",
        layout,
        "pipe:",
    ]
    return subprocess.run(
        command, input=picture, capture_output=True, check=True, timeout=LIMIT_S
    ).stdout


def is_near(pixel: Any, colour: tuple[int, int, int], by: int = 12) -> bool:
    """Whether a pixel has a colour, within the error of JPEG."""
    return all(abs(a - b) <= by for a, b in zip(pixel, colour, strict=False))


def looped(*names: str) -> list[str]:
    """Cameras that repeat the sample, small and slow enough for a busy machine."""
    return [
        *(f"{name}={SAMPLE}" for name in names),
        "--loop",
        "--realtime",
        "--fps",
        "10",
        "--max-width",
        "320",
    ]


@pytest.fixture
def start(tmp_path: pathlib.Path) -> Iterator[Callable[..., Server]]:
    """Starts servers for one test."""
    servers: list[Server] = []

    def one(*arguments: object, context: ssl.SSLContext | None = None) -> Server:
        folder = tmp_path / str(len(servers))
        folder.mkdir()
        servers.append(Server(folder, *arguments, context=context))
        return servers[-1]

    yield one
    with contextlib.ExitStack() as ends:
        for server in servers:
            ends.callback(server.finish)


@pytest.fixture(scope="session")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestCamera]:
    camera = TestCamera(tmp_path_factory.mktemp("camera"))
    yield camera
    camera.kill()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, camera: TestCamera) -> Iterator[Server]:
    """Four cameras, of which `yard` can be killed."""
    server = Server(
        tmp_path_factory.mktemp("page"),
        *looped("door", "hall", "desk"),
        f"yard={camera.url}",
        "--stall-timeout",
        "2s",
    )
    server.await_pictures()
    yield server
    server.finish()


@pytest.fixture
def settings(server: Server) -> Iterator[None]:
    """Restores the settings after a test."""
    yield
    for one in server.get("/api/cameras").json()["cameras"]:
        change = {
            "background": "start",
            "matte": "soft",
            "people": "all",
            "plate": "auto",
            "foreground_cleanup": True,
            "skip_still": False,
        }
        assert server.patch(one["id"], change).status == 200


@pytest.fixture(scope="session")
def browser() -> Iterator[playwright.sync_api.Browser]:
    program = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    assert program, "there is no Chromium here; `scripts/setup test` installs it"
    with playwright.sync_api.sync_playwright() as all_browsers:
        browser = all_browsers.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


class Visit:
    """One viewer of the page. Notes messages of the console and hosts of requests."""

    def __init__(self, page: playwright.sync_api.Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.hosts: set[str] = set()
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self._note(request.url))
        page.on("websocket", lambda one: self._note(one.url))

    def _hear(self, message: playwright.sync_api.ConsoleMessage) -> None:
        # The tests read canvases, which the page never does.
        if message.type in ("error", "warning") and "willReadFrequently" not in message.text:
            self.complaints.append(message.text)

    def _note(self, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("blob", "data"):
            self.hosts.add(parts.netloc)

    def tile(self, camera: str) -> playwright.sync_api.Locator:
        return self.page.locator(f'#grid li[data-camera="{camera}"]')

    def picture(self, canvas: playwright.sync_api.Locator) -> str:
        """The content of a canvas, to compare."""
        return canvas.evaluate("canvas => canvas.toDataURL()")

    def await_live(self, camera: str) -> None:
        playwright.sync_api.expect(self.tile(camera)).to_have_attribute(
            "data-state", "live", timeout=LIMIT_S * 1000
        )


@pytest.fixture
def visits(browser: playwright.sync_api.Browser) -> Iterator[Callable[..., Visit]]:
    """Opens pages in separate browser contexts."""
    contexts: list[playwright.sync_api.BrowserContext] = []

    def one(**how: Any) -> Visit:
        contexts.append(browser.new_context(**how))
        page = contexts[-1].new_page()
        page.set_default_timeout(LIMIT_S * 1000)
        return Visit(page)

    yield one
    for context in contexts:
        context.close()


@pytest.fixture
def visit(visits: Callable[..., Visit], server: Server) -> Iterator[Visit]:
    """The page with four cameras. At the end: no complaint in the console, no request to another
    host."""
    visit = visits()
    visit.page.goto(server.url)
    yield visit
    assert visit.complaints == []
    assert visit.hosts == {server.host}
