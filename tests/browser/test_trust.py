"""Attacks that once worked, and the limits that stop them."""

from __future__ import annotations

import contextlib
import functools
import http.client
import http.server
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator

import h2.connection
import h2.settings
import pytest

from conftest import BINARY, LIMIT_S, SAMPLE, Process, Server, Visit, environment, looped, until
from test_security import TOKEN, certificate, secret, write_token

__all__ = ["certificate", "secret"]
FORM = {"Content_Type": "application/x-www-form-urlencoded"}
BEARER = {"Authorization": f"Bearer {TOKEN}"}


class Crowd:
    """Connections that repeat GET /healthz and never send a token."""

    def __init__(self, server: Server, size: int) -> None:
        self.request = f"GET /healthz HTTP/1.1\r\nHost: {server.host}\r\n\r\n".encode()
        self.open = [server.connect() for _ in range(size)]
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._ask)
        self.thread.start()

    def _ask(self) -> None:
        while not self.stop.wait(1):
            for connection in self.open:
                with contextlib.suppress(OSError):
                    connection.sendall(self.request)

    def end(self) -> int:
        """Ends it, and returns how many connections were open until then."""
        self.stop.set()
        self.thread.join()
        alive = sum(is_open(connection) for connection in self.open)
        for connection in self.open:
            connection.close()
        return alive


def is_open(connection: socket.socket) -> bool:
    """Whether the other side keeps it open."""
    connection.setblocking(False)
    try:
        while connection.recv(65536):
            pass
        return False
    except BlockingIOError:
        return True
    except OSError:
        return False


def test_connections_without_a_token_keep_no_other_out(secret: Server) -> None:
    crowd = Crowd(secret, 400)
    try:
        for _ in range(20):
            assert secret.get("/api/cameras", **BEARER).status == 200
            assert (secret.get("/healthz").status, secret.get("/readyz").status) == (200, 200)
            assert secret.get("/metrics", **BEARER).status == 200
            time.sleep(0.2)
        with secret.open("GET", "/api/cameras/door/stream.mjpg", **BEARER) as stream:
            assert stream.status == 200 and len(stream.read(100_000)) == 100_000
    finally:
        alive = crowd.end()
    assert alive <= 128, f"{alive} connections without a token were open"


def test_connections_that_say_nothing_keep_no_other_out(server: Server) -> None:
    with contextlib.ExitStack() as silent:
        for _ in range(400):
            silent.enter_context(server.connect())
        assert server.get("/api/cameras").status == 200 and server.get("/metrics").status == 200


def test_more_streams_than_places_are_answered_and_health_is_told(
    start: Callable[..., Server],
) -> None:
    """Viewers of streams take every place: the next client is refused at once."""
    server = start(*looped("door"), "--max-viewers", "1")
    server.await_pictures()
    with contextlib.ExitStack() as streams:
        statuses = [
            streams.enter_context(server.open("GET", "/api/events")).status for _ in range(257)
        ]
        assert statuses == [200] * 257
        late = server.get("/api/cameras")
        late.assert_problem(503)
        assert "too many connections" in late.json()["detail"]
        assert server.get("/healthz").status == 200
        metrics = server.get("/metrics")
        assert (
            metrics.status == 200
            and b'mattebox_view_refused_total{reason="connections"} 1' in metrics.body
        )
    until("a place", lambda: server.get("/api/cameras").status == 200)


def test_a_wrong_token_is_said_on_the_page_and_in_the_log(secret: Server) -> None:
    for _ in range(30):
        page = secret.ask("POST", "/login", b"token=wrong-wrong-wrong-wrong", **FORM)
        assert (
            page.status == 401
            and b"That is not the token" in page.body
            and b'role="alert" hidden' not in page.body
        )
    assert b'role="alert" hidden' in secret.get("/").body, "nothing was wrong yet"
    secret.get("/api/cameras", Authorization="Bearer wrong-wrong-wrong-wrong").assert_problem(401)
    lines = [line for line in secret.text().splitlines() if "wrong token" in line]
    assert len(lines) == 1 and "127.0.0.1" in lines[0] and "WARN" in lines[0], lines
    assert "wrong-wrong" not in secret.text()


def test_signing_out_takes_the_cookie_away(secret: Server) -> None:
    out = secret.ask("POST", "/logout")
    assert out.status == 303 and out.headers["Location"] == "/"
    assert (
        out.headers["Set-Cookie"].startswith("mattebox=;")
        and "Max-Age=0" in out.headers["Set-Cookie"]
    )
    secret.ask("POST", "/logout", Origin="http://evil.example").assert_problem(403)
    assert secret.get("/logout").status == 405


def until_ended(stream: http.client.HTTPResponse) -> bool:
    """Whether a stream ends before it sends far more than buffers can hold."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        for _ in range(1000):
            if not stream.read(65536):
                return True
        return False
    return True


def test_another_token_holds_after_a_hangup(secret: Server) -> None:
    token = next(pathlib.Path(secret.log).parent.parent.glob("token"))
    other = "another-token-of-the-tests"
    with secret.open("GET", "/api/cameras/door/stream.mjpg", **BEARER) as stream:
        assert stream.status == 200
        token.write_text("short")
        secret.process.send_signal(signal.SIGHUP)
        until("a word of the short token", lambda: "too short" in secret.text())
        assert secret.get("/api/cameras", **BEARER).status == 200, (
            "a token that cannot be used changes nothing"
        )
        token.write_text(other)
        secret.process.send_signal(signal.SIGHUP)
        until(
            "the new token",
            lambda: secret.get("/api/cameras", Authorization=f"Bearer {other}").status == 200,
        )
        secret.get("/api/cameras", **BEARER).assert_problem(401)
        # Streams of the old token end: only bytes in buffers still arrive.
        ended = until_ended(stream)
    assert ended, "the stream goes on"
    assert (
        secret.process.poll() is None and other not in secret.text() and TOKEN not in secret.text()
    )


def presented(server: Server) -> bytes:
    """The certificate that a server presents now."""
    return ssl.get_server_certificate(("127.0.0.1", server.port), timeout=LIMIT_S).encode()


def test_another_certificate_holds_after_a_hangup(
    start: Callable[..., Server], certificate: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    files = {name: tmp_path / f"{name}.pem" for name in ("cert", "key")}
    for name, path in files.items():
        write_token(path, (certificate / f"{name}.pem").read_text())
    anyone = ssl.create_default_context(cafile=str(files["cert"]))
    server = start(
        *looped("door"), "--tls-cert", files["cert"], "--tls-key", files["key"], context=anyone
    )
    before = presented(server)
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
    ]
    subprocess.run(
        [*command, "-keyout", files["key"], "-out", files["cert"]],
        check=True,
        capture_output=True,
        timeout=LIMIT_S,
    )
    server.process.send_signal(signal.SIGHUP)
    until("the new certificate", lambda: presented(server) != before)
    files["cert"].write_text("no certificate")
    now = presented(server)
    server.process.send_signal(signal.SIGHUP)
    until("a word of the bad certificate", lambda: "there is no certificate in it" in server.text())
    assert presented(server) == now


def test_with_tls_a_browser_speaks_http_2(
    start: Callable[..., Server], certificate: pathlib.Path, visits: Callable[..., Visit]
) -> None:
    trust = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
    server = start(
        *looped("door", "hall"),
        "--tls-cert",
        certificate / "cert.pem",
        "--tls-key",
        certificate / "key.pem",
        context=trust,
    )
    page = visits(ignore_https_errors=True).page
    page.goto(server.url)
    assert page.evaluate("performance.getEntriesByType('navigation')[0].nextHopProtocol") == "h2"
    page.wait_for_selector('#grid li[data-camera="hall"][data-state="live"]')


def test_a_browser_by_http_2_that_takes_nothing_makes_room(
    start: Callable[..., Server], certificate: pathlib.Path
) -> None:
    """A peer that announces a window of zero gets no writes, so no write can time out."""
    trust = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
    files = ["--tls-cert", certificate / "cert.pem", "--tls-key", certificate / "key.pem"]
    server = start(*looped("door"), *files, "--max-viewers", "1", context=trust)
    server.await_pictures()
    alpn = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
    alpn.set_alpn_protocols(["h2"])
    with alpn.wrap_socket(server.connect(), server_hostname="localhost") as connection:
        peer = h2.connection.H2Connection()
        peer.initiate_connection()
        peer.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0})
        path = [
            (":method", "GET"),
            (":path", "/api/cameras/door/stream.mjpg"),
            (":scheme", "https"),
            (":authority", server.host),
        ]
        peer.send_headers(1, path, end_stream=True)
        connection.sendall(peer.data_to_send())
        until("its stream", lambda: server.get("/api/cameras").json()["server"]["viewers"] == 1)
        server.get("/api/wall.mjpg").assert_problem(503)
        # It answers pings, so it counts as alive.
        with contextlib.suppress(OSError):
            while data := connection.recv(65536):
                peer.receive_data(data)
                connection.sendall(peer.data_to_send())
    until("room", lambda: server.get("/api/cameras").json()["server"]["viewers"] == 0)


@contextlib.contextmanager
def running(folder: pathlib.Path, *words: object) -> Iterator[Process]:
    process = Process([BINARY, *words], folder / "log", cwd=folder, env=environment())
    try:
        yield process
    finally:
        process.end()


def served(process: Process, what: str) -> Server:
    """Sends a request to the address in a process's log."""
    found = until(what, lambda: re.search(what + r" at http://([\d.]+):(\d+)/", process.text()))
    server = Server.__new__(Server)
    server.context, server.port, server.host = None, int(found[2]), f"{found[1]}:{found[2]}"
    return server


def test_metrics_are_not_told_under_a_name_that_others_can_point_at_us(
    tmp_path: pathlib.Path,
) -> None:
    with running(
        tmp_path,
        "run",
        *looped("door"),
        "--out",
        "none",
        "--metrics",
        "127.0.0.1:0",
        "--progress",
        "none",
    ) as process:
        metrics = served(process, "metrics")
        for host in [metrics.host, "localhost", "worker:9464", "a.b.svc.cluster.local"]:
            assert metrics.get("/metrics", Host=host).status == 200, host
        assert metrics.get("/healthz", Host="lb.example").status == 200
        for host in ["evil.example", "127.0.0.1.evil.example"]:
            answer = metrics.get("/metrics", Host=host)
            answer.assert_problem(403)
            assert b"door" not in answer.body and host.encode() in answer.body
        crowd = Crowd(metrics, 200)
        try:
            assert all(metrics.get("/metrics").status == 200 for _ in range(5))
        finally:
            assert crowd.end() <= 128


@pytest.mark.parametrize("command", [["view", "matted"], ["worker", "--view=127.0.0.1:0"]])
def test_the_page_is_there_while_the_broker_is_waited_for(
    tmp_path: pathlib.Path, command: list[str]
) -> None:
    view = [] if "--view=127.0.0.1:0" in command else ["--view=127.0.0.1:0"]
    with running(
        tmp_path, *command, *view, "--kafka", "127.0.0.1:9", "--connect-timeout", "60s"
    ) as process:
        page = served(process, "live page")
        assert page.get("/healthz").status == 200 and b"grid" in page.get("/").body
        ready = page.get("/readyz")
        assert ready.status == 503 and b"broker" in ready.body
        assert page.get("/metrics").status == 200
        assert page.get("/api/cameras").json()["cameras"] == []


def refused(folder: pathlib.Path, *words: object) -> str:
    command = [str(word) for word in (BINARY, "run", f"door={SAMPLE}", "--out", "none", *words)]
    done = subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=LIMIT_S
    )
    assert done.returncode in (1, 2), done.stderr
    return done.stderr


def test_a_token_that_every_user_can_read_is_refused(tmp_path: pathlib.Path) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(0o644)
    told = refused(tmp_path, "--view=127.0.0.1:0", "--token-file", token)
    assert "chmod 600" in told and str(token) in told and TOKEN not in told, told


@pytest.mark.parametrize("flag", ["--token-file", "--config", "--tls-cert", "--model"])
def test_a_file_without_end_is_not_read_to_its_end(tmp_path: pathlib.Path, flag: str) -> None:
    view = ["--view=127.0.0.1:0", *(["--tls-key", "/dev/zero"] if flag == "--tls-cert" else [])]
    assert "/dev/zero" in refused(tmp_path, *view, flag, "/dev/zero")


def test_settings_of_cameras_without_end_are_not_read_to_their_end(tmp_path: pathlib.Path) -> None:
    command = [str(BINARY), "worker", "--camera-settings", "/dev/zero", "--kafka", "127.0.0.1:9"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=LIMIT_S
    )
    assert (
        done.returncode in (1, 2)
        and "/dev/zero" in done.stderr
        and "larger than 1 MB" in done.stderr
    ), done.stderr


class Web(http.server.SimpleHTTPRequestHandler):
    """A web server that notes its requests."""

    asked: list[str]

    def log_message(self, *_: object) -> None:
        """Logs nothing."""

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()


@pytest.fixture
def web(tmp_path: pathlib.Path) -> Iterator[tuple[str, pathlib.Path, list[str]]]:
    folder = tmp_path / "web"
    folder.mkdir()
    asked: list[str] = []
    handler = type("Noting", (Web,), {"asked": asked})
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(handler, directory=str(folder))
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", folder, asked
    server.shutdown()
    thread.join()
    server.server_close()


def playlist(path: pathlib.Path, segment: str) -> None:
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n{segment}\n#EXT-X-ENDLIST\n")


def test_a_playlist_of_the_network_opens_no_file_of_this_machine(
    tmp_path: pathlib.Path, web: tuple[str, pathlib.Path, list[str]]
) -> None:
    url, folder, asked = web
    video = tmp_path / "private.ts"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(SAMPLE), str(video)], check=True, timeout=LIMIT_S
    )
    (folder / "own.ts").write_bytes(video.read_bytes())
    playlist(folder / "bad.m3u8", f"file://{video}")
    playlist(folder / "good.m3u8", f"{url}/own.ts")

    def run(name: str) -> int:
        command = [
            BINARY,
            "run",
            f"{url}/{name}.m3u8",
            "--out",
            str(tmp_path / name),
            "--connect-timeout",
            "2s",
            "--progress",
            "none",
        ]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
        )
        assert (done.returncode == 0) == (name == "good"), done.stderr
        return len(list((tmp_path / name).rglob("*.png")))

    assert run("good") > 50 and run("bad") == 0
    assert "/own.ts" in asked


def test_a_stream_that_is_a_playlist_opens_no_file_of_this_machine(tmp_path: pathlib.Path) -> None:
    """FFmpeg lets a tcp:// stream name any file: without our list it reads this one."""
    video = tmp_path / "private.ts"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(SAMPLE), str(video)], check=True, timeout=LIMIT_S
    )
    playlist(tmp_path / "p.m3u8", f"file://{video}")
    text = (tmp_path / "p.m3u8").read_bytes()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    connection.sendall(text)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        url = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        command = [
            BINARY,
            "run",
            url,
            "--out",
            "out",
            "--connect-timeout",
            "3s",
            "--input-option",
            "allowed_extensions=ALL",
            "--progress",
            "none",
        ]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
        )
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
    assert done.returncode != 0 and not list((tmp_path / "out").rglob("*.png")), done.stderr


def test_a_file_opens_nothing_of_the_network(
    tmp_path: pathlib.Path, web: tuple[str, pathlib.Path, list[str]]
) -> None:
    url, _, asked = web
    playlist(tmp_path / "clip.m3u8", f"{url}/own.ts")
    (tmp_path / "list.ffconcat").write_text(f"ffconcat version 1.0\nfile {url}/own.ts\n")
    for name in ["clip.m3u8", "list.ffconcat"]:
        command = [BINARY, "run", name, "--out", "out", "--progress", "none"]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
        )
        assert done.returncode != 0, done.stderr
    assert asked == []


def test_a_name_with_a_line_end_forges_no_line_of_the_log(tmp_path: pathlib.Path) -> None:
    name = "a\n INFO all is well\x1b[2J.mp4"
    (tmp_path / name).write_bytes(b"no video")
    command = [
        BINARY,
        "run",
        f"./{name}",
        "ok=lavfi:testsrc=d=1",
        "--out",
        "out",
        "--progress",
        "none",
        "--log-level",
        "debug",
    ]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=LIMIT_S
    )
    lines = done.stderr.splitlines()
    assert not any(line.lstrip().startswith("INFO all is well") for line in lines), done.stderr
    assert "\x1b" not in done.stderr and any("all is well" in line for line in lines), done.stderr


def test_secrets_are_told_nowhere(start: Callable[..., Server], tmp_path: pathlib.Path) -> None:
    """Each form of a secret in a source or setting, and each output that could show it."""
    write_token(tmp_path / "token", TOKEN)
    hidden = ["hunter22", "tok3nvalue", "qu3ryp4ss", "h3aderpass", TOKEN]
    server = start(
        *looped("door"),
        f"a=rtsp://me:{hidden[0]}@127.0.0.1:9/x",
        f"b=http://127.0.0.1:9/live?token={hidden[1]}&password={hidden[2]}",
        f"c=rtmp://127.0.0.1:9/live?auth={hidden[1]}",
        "--input-option",
        f"headers=Authorization: Basic {hidden[3]}",
        "--token-file",
        tmp_path / "token",
        "--connect-timeout",
        "60s",
    )
    until(
        "reasons",
        lambda: all(
            server.ask("GET", f"/api/cameras/{c}", **BEARER).json()["errors"] for c in "abc"
        ),
    )
    told = [
        server.get(path, **BEARER).body.decode()
        for path in [
            "/api/cameras",
            *(f"/api/cameras/{c}" for c in "abc"),
            "/metrics",
            "/readyz",
            "/",
        ]
    ]
    with server.open("GET", "/api/events", **BEARER) as events:
        told.append(events.read(4000).decode())
    told.append(server.text())
    for text in told:
        for word in hidden:
            assert word not in text, (word, text[max(0, text.find(word) - 200) :][:400])
