"""Requests that the server must refuse."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import pathlib
import socket
import ssl
import subprocess
import time
from collections.abc import Callable

import pytest

from conftest import (
    BINARY,
    LIMIT_S,
    SAMPLE,
    Answer,
    Server,
    decode,
    environment,
    is_near,
    looped,
    raw_answer,
    until,
)

TOKEN = "0123456789-of-the-tests"
GIGABYTE = 1 << 30


def talk(server: Server, request: bytes) -> Answer:
    """Sends raw bytes, and returns the answer; status 0 if there is none."""
    with server.connect() as connection:
        # After an early refusal the other side may have closed already.
        with contextlib.suppress(OSError):
            connection.sendall(request)
        return parse(raw_answer(connection))


def parse(answer: bytes) -> Answer:
    head, _, body = answer.partition(b"\r\n\r\n")
    line, _, rest = head.partition(b"\r\n")
    headers = http.client.HTTPMessage()
    for one in rest.decode("latin-1").split("\r\n"):
        name, _, value = one.partition(": ")
        headers[name] = value
    return Answer(int(line.split()[1]) if line.startswith(b"HTTP/") else 0, headers, body)


def write_token(path: pathlib.Path, token: str) -> None:
    path.touch(0o600)
    path.write_text(token)


@pytest.fixture
def secret(start: Callable[..., Server], tmp_path: pathlib.Path) -> Server:
    """A server with a token."""
    write_token(tmp_path / "token", TOKEN)
    server = start(*looped("door"), "--token-file", tmp_path / "token")
    until(
        "a picture",
        lambda: (
            server.get("/api/cameras/door/frame.jpg", Authorization=f"Bearer {TOKEN}").status == 200
        ),
    )
    return server


def test_without_the_token_nothing_is_shown_or_changed(secret: Server) -> None:
    basic = base64.b64encode(b"me:wrong").decode()
    wrong = [
        {},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Basic {basic}"},
        {"Cookie": f"mattebox={TOKEN}"},
    ]
    paths = [
        "/api/cameras",
        "/api/cameras/door",
        "/api/cameras/door/frame.png",
        "/api/cameras/door/stream.mjpg",
        "/api/wall.mjpg",
        "/api/events",
        "/api/live",
    ]
    for headers in wrong:
        for path in [*paths, "/api/openapi.json", "/metrics"]:
            secret.get(path, **headers).assert_problem(401)
        secret.patch("door", {"background": "red"}, **headers).assert_problem(401)
        secret.ask("POST", "/api/cameras/door/background", b"x", **headers).assert_problem(401)
    for path in ["/metrics?token=" + TOKEN, "/api/cameras?token=" + TOKEN]:
        secret.get(path).assert_problem(401)
    for path in ["/", "/overlay/door"]:
        page = secret.get(path)
        assert page.status == 401 and b'type="password"' in page.body and b"door" not in page.body
    assert TOKEN not in secret.text()


def test_the_token_is_taken_as_bearer_as_basic_and_as_a_cookie(secret: Server) -> None:
    basic = base64.b64encode(f"anybody:{TOKEN}".encode()).decode()
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    assert secret.ask("POST", "/login", b"token=wrong", **form).status == 401
    login = secret.ask("POST", "/login", f"token={TOKEN}".encode(), **form)
    cookie = login.headers["Set-Cookie"]
    assert login.status == 303 and login.headers["Location"] == "/"
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and TOKEN not in cookie
    for headers in [
        {"Authorization": f"Bearer {TOKEN}"},
        {"Authorization": f"Basic {basic}"},
        {"Cookie": cookie.split(";")[0]},
    ]:
        assert secret.get("/api/cameras", **headers).status == 200
        assert b"grid" in secret.get("/", **headers).body


def test_players_that_are_asked_for_a_password_get_in_and_browsers_are_not_asked(
    secret: Server,
) -> None:
    url = f"http://x:{TOKEN}@{secret.host}/api/cameras/door/stream.mjpg"
    command = [
        "ffmpeg",
        "-nostdin",
        "-loglevel",
        "error",
        "-f",
        "mpjpeg",
        "-i",
        url,
        "-frames:v",
        "2",
        "-f",
        "null",
        "-",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    refused = secret.ask("GET", "/api/cameras", User_Agent="Mozilla/5.0")
    assert refused.status == 401 and "basic" not in str(refused.headers).lower()


def test_health_is_told_without_a_token_and_tells_nothing_else(secret: Server) -> None:
    assert (secret.get("/healthz").status, secret.get("/readyz").status) == (200, 200)
    assert b"door" not in secret.get("/healthz").body + secret.get("/readyz").body


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example:80",
        "",
        "127.0.0.1 evil",
        "[::1",
        "127.0.0.1,evil.example",
    ],
)
def test_a_name_that_others_can_point_at_us_is_refused(server: Server, host: str) -> None:
    for path in ["/", "/api/cameras", "/metrics", "/assets/main.js"]:
        answer = talk(
            server, f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
        )
        assert answer.status in (400, 403), answer.status
        assert b"door" not in answer.body


def test_requests_without_a_host_or_with_two_are_refused(server: Server) -> None:
    for hosts in ["", f"Host: {server.host}\r\nHost: evil.example\r\n"]:
        answer = talk(
            server, f"GET /api/cameras HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n".encode()
        )
        assert answer.status in (400, 403) and b"door" not in answer.body


def test_a_name_that_was_allowed_is_ours(start: Callable[..., Server]) -> None:
    server = start(*looped("door"), "--view-host", "cams.example")
    assert server.get("/api/cameras", Host="cams.example").status == 200
    server.get("/api/cameras", Host="other.example").assert_problem(403)


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "http://127.0.0.1:1",
        "https://127.0.0.1.evil.example",
        "file://",
    ],
)
def test_a_page_of_another_site_changes_nothing(server: Server, origin: str) -> None:
    before = server.camera("door")["settings"]
    server.patch("door", {"background": "red"}, Origin=origin).assert_problem(403)
    server.ask("POST", "/api/cameras/door/background", b"x", Origin=origin).assert_problem(403)
    server.ask(
        "POST",
        "/login",
        b"token=x",
        Origin=origin,
        Content_Type="application/x-www-form-urlencoded",
    ).assert_problem(403)
    server.get("/api/cameras", Origin=origin).assert_problem(403)
    assert server.camera("door")["settings"] == before
    assert server.get("/api/cameras").headers["Access-Control-Allow-Origin"] is None


def test_a_page_of_another_site_shows_no_picture_of_ours(server: Server) -> None:
    for site in ["cross-site", "same-site"]:
        server.get(
            "/api/cameras/door/frame.jpg", Sec_Fetch_Site=site, Sec_Fetch_Mode="no-cors"
        ).assert_problem(403)
        server.get("/api/wall.mjpg", Sec_Fetch_Site=site, Sec_Fetch_Mode="no-cors").assert_problem(
            403
        )


def test_a_form_cannot_change_settings(server: Server) -> None:
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
    ]:
        server.ask(
            "PATCH", "/api/cameras/door/settings", b'{"background":"red"}', Content_Type=kind
        ).assert_problem(415)


def test_a_gigabyte_is_refused_before_it_is_sent(server: Server) -> None:
    for path, method in [
        ("/api/cameras/door/background", "POST"),
        ("/api/cameras/door/settings", "PATCH"),
    ]:
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {server.host}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {GIGABYTE}\r\n\r\n"
        )
        with server.connect() as connection:
            connection.sendall(head.encode())
            assert connection.recv(4096).split()[1] == b"413", path
            assert sent_until_closed(connection, b"\0" * 65536) < GIGABYTE // 16, path


def test_a_login_that_never_ends_is_cut_off(secret: Server) -> None:
    kind = "Content-Type: application/x-www-form-urlencoded"
    head = f"POST /login HTTP/1.1\r\nHost: {secret.host}\r\n{kind}\r\n"
    with secret.connect() as connection:
        connection.sendall(f"{head}Content-Length: {GIGABYTE}\r\n\r\ntoken=".encode())
        try:
            assert parse(connection.recv(4096)).status in (0, 401, 408, 413)
        except TimeoutError:
            raise AssertionError(f"after {LIMIT_S} s it waits still") from None


def test_an_upload_without_end_is_cut_off(server: Server) -> None:
    head = (
        f"POST /api/cameras/door/background HTTP/1.1\r\nHost: {server.host}\r\n"
        "Transfer-Encoding: chunked\r\n\r\n"
    )
    with server.connect() as connection:
        connection.sendall(head.encode())
        assert sent_until_closed(connection, b"10000\r\n" + b"\0" * 65536 + b"\r\n") < GIGABYTE // 8
    assert server.camera("door")["state"] == "live"


def sent_until_closed(connection: socket.socket, part: bytes) -> int:
    """The number of bytes that the other side reads before it closes, with or without an answer."""
    sent = 0
    with contextlib.suppress(ConnectionResetError, BrokenPipeError, TimeoutError):
        connection.settimeout(LIMIT_S)
        while sent < GIGABYTE:
            connection.sendall(part)
            sent += len(part)
    return sent


def test_whoever_sends_a_byte_a_second_is_cut_off(server: Server) -> None:
    """Four clients never end the head of a request; other clients are served."""
    begun = time.monotonic()
    beginnings = [
        b"",
        b"GET / HTTP/1.1\r\n",
        f"GET / HTTP/1.1\r\nHost: {server.host}\r\nX: ".encode(),
        b"G",
    ]
    open_ones = {}
    for beginning in beginnings:
        connection = server.connect()
        connection.sendall(beginning)
        connection.setblocking(False)
        open_ones[beginning] = connection
    try:
        while open_ones:
            assert time.monotonic() - begun < LIMIT_S, f"still open: {list(open_ones)}"
            assert server.get("/healthz").status == 200
            for beginning, connection in list(open_ones.items()):
                if has_ended(connection, b"a" if beginning else b""):
                    print(f"{beginning!r} was cut off after {time.monotonic() - begun:.0f} s")
                    connection.close()
                    del open_ones[beginning]
            time.sleep(1)
    finally:
        for connection in open_ones.values():
            connection.close()


def has_ended(connection: socket.socket, byte: bytes) -> bool:
    try:
        if connection.recv(4096) == b"":
            return True
    except BlockingIOError:
        pass
    except ConnectionResetError:
        return True
    try:
        connection.sendall(byte)
    except (ConnectionResetError, BrokenPipeError):
        return True
    return False


@pytest.mark.parametrize(
    "path",
    [
        "/assets/../../etc/passwd",
        "/assets/../Cargo.toml",
        "/assets/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/assets/..%2f..%2f..%2fetc%2fpasswd",
        "/assets/%2fetc%2fpasswd",
        "//etc/passwd",
        "/assets//etc/passwd",
        "/assets/..\\..\\etc\\passwd",
        "/assets/%5c..%5cetc%5cpasswd",
        "/assets/main.js%00.css",
        "/assets/%00",
        "/assets/%c0%ae%c0%ae/etc/passwd",
        "/assets/%ff",
        "/assets/login.html",
        "/assets/",
        "/api/cameras/../../etc/passwd",
        "/api/cameras/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/api/cameras/door%00",
        "/api/cameras/%2fetc%2fpasswd/frame.jpg",
        "/api/cameras/door/../hall",
        "/%2e%2e/etc/passwd",
    ],
)
def test_paths_lead_nowhere_else(server: Server, path: str) -> None:
    answer = talk(
        server, f"GET {path} HTTP/1.1\r\nHost: {server.host}\r\nConnection: close\r\n\r\n".encode()
    )
    assert 400 <= answer.status < 500, (answer.status, answer.body[:200])
    assert b"root:" not in answer.body and b"[package]" not in answer.body


def test_what_is_no_request_is_refused(server: Server) -> None:
    for request in [
        b"\x16\x03\x01\x02\x00" + b"\0" * 100,
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\0" * 1000,
        b"GET / HTTP/1.1\r\nHost: x\r\n\0: y\r\n\r\n",
    ]:
        assert talk(server, request).status in (0, 400, 403, 505)
    big = f"GET / HTTP/1.1\r\nHost: {server.host}\r\nX: {'a' * (1 << 20)}\r\n\r\n".encode()
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        assert talk(server, big).status in (0, 400, 431)
    assert server.get("/healthz").status == 200


def test_the_room_is_not_shown(server: Server) -> None:
    server.get("/api/cameras/door/stream.mjpg?view=raw").assert_problem(403)
    for view in ["RAW", "raw%00", "raw,", "%72aw"]:
        assert server.get(f"/api/cameras/door/stream.mjpg?view={view}").status in (400, 403)


def test_the_room_is_shown_to_those_who_start_it_so(start: Callable[..., Server]) -> None:
    server = start(*looped("door"), "--show-raw")
    server.await_pictures()
    with server.open("GET", "/api/cameras/door/stream.mjpg?view=raw") as response:
        assert response.status == 200


def test_no_room_is_hidden_under_what_is_transparent(server: Server, settings: None) -> None:
    assert server.patch("door", {"background": "transparent"}).status == 200

    def clear() -> bytes | None:
        pixels = decode(server.get("/api/cameras/door/frame.png").body, "rgba")
        return pixels if pixels[3] == 0 else None

    pixels = until("a transparent picture", clear)
    hidden = {pixels[i : i + 3] for i in range(0, len(pixels), 4) if pixels[i + 3] == 0}
    assert hidden == {b"\0\0\0"}, f"{len(hidden)} colours under alpha 0"
    # The first pixel belongs to a checkerboard.
    assert is_near(decode(server.get("/api/cameras/door/frame.jpg").body), (204, 204, 204))


def test_every_answer_forbids_scripts_frames_and_sniffing(server: Server) -> None:
    for path in [
        "/",
        "/assets/main.js",
        "/api/cameras",
        "/nothing",
        "/metrics",
        "/api/cameras/door/frame.jpg",
    ]:
        headers = server.get(path).headers
        policy = headers["Content-Security-Policy"]
        assert (
            "default-src 'none'" in policy
            and "unsafe" not in policy
            and "frame-ancestors 'none'" in policy
        )
        assert headers["X-Content-Type-Options"] == "nosniff" and headers["Referrer-Policy"] in (
            "no-referrer",
            "same-origin",
        )
        assert headers["Server"] is None


def test_more_viewers_than_allowed_are_refused_and_whoever_leaves_makes_room(
    start: Callable[..., Server],
) -> None:
    server = start(*looped("door"), "--max-viewers", "2")
    server.await_pictures()
    with contextlib.ExitStack() as watching:
        for path in ["/api/wall.mjpg", "/api/cameras/door/stream.mjpg"]:
            assert watching.enter_context(server.open("GET", path)).status == 200
        server.get("/api/wall.mjpg").assert_problem(503)
        assert server.get("/api/cameras").json()["server"]["viewers"] == 2
    until("room", lambda: server.get("/api/cameras").json()["server"]["viewers"] == 0)
    with server.open("GET", "/api/wall.mjpg") as response:
        assert response.status == 200


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.0.2.1:9480"])
def test_an_open_address_needs_a_token(tmp_path: pathlib.Path, address: str) -> None:
    command = [BINARY, "run", f"door={SAMPLE}", "--out", "none", f"--view={address}"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=LIMIT_S
    )
    assert done.returncode == 2 and "--token" in done.stderr, done.stderr


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder with a self-signed certificate."""
    folder = tmp_path_factory.mktemp("tls")
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    files = ["-keyout", folder / "key.pem", "-out", folder / "cert.pem"]
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        *name,
        *files,
    ]
    subprocess.run(
        [str(word) for word in command], check=True, capture_output=True, timeout=LIMIT_S
    )
    return folder


def test_with_a_certificate_the_page_is_served_by_tls_only(
    start: Callable[..., Server], certificate: pathlib.Path
) -> None:
    trust = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
    files = ["--tls-cert", certificate / "cert.pem", "--tls-key", certificate / "key.pem"]
    server = start(*looped("door"), *files, "--token", TOKEN, context=trust)
    assert server.scheme == "https"
    assert server.get("/api/cameras", Authorization=f"Bearer {TOKEN}").status == 200
    login = server.ask(
        "POST",
        "/login",
        f"token={TOKEN}".encode(),
        Content_Type="application/x-www-form-urlencoded",
    )
    cookie = login.headers["Set-Cookie"]
    assert (
        cookie.startswith("__Host-mattebox=")
        and "Secure" in cookie
        and "Path=/" in cookie
        and "Domain" not in cookie
    )
    assert server.get("/api/cameras", Cookie=cookie.split(";")[0]).status == 200
    assert (
        server.get("/api/cameras", Cookie=cookie.split(";")[0].removeprefix("__Host-")).status
        == 401
    )
    server.patch(
        "door",
        {"background": "red"},
        Origin="https://evil.example",
        Authorization=f"Bearer {TOKEN}",
    ).assert_problem(403)
    plain = talk(server, f"GET /healthz HTTP/1.1\r\nHost: {server.host}\r\n\r\n".encode())
    assert plain.status == 0, "it answers without TLS"


def test_a_certificate_that_cannot_be_used_is_not_left_out(
    tmp_path: pathlib.Path, certificate: pathlib.Path
) -> None:
    cert, key = certificate / "cert.pem", certificate / "key.pem"
    for files in [
        ["--tls-cert", cert],
        ["--tls-key", key],
        ["--tls-cert", key, "--tls-key", key],
        ["--tls-cert", cert, "--tls-key", cert],
    ]:
        command = [BINARY, "run", f"door={SAMPLE}", "--out", "none", "--view=127.0.0.1:0", *files]
        done = subprocess.run(
            [str(word) for word in command],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
        )
        assert done.returncode in (1, 2) and ("--tls-" in done.stderr or ".pem" in done.stderr), (
            done.stderr
        )


def test_a_password_of_a_source_is_masked(start: Callable[..., Server]) -> None:
    server = start(
        *looped("door"), "yard=rtsp://me:hunter22@127.0.0.1:9/x", "--connect-timeout", "60s"
    )
    everything = json.dumps(server.get("/api/cameras").json()) + json.dumps(server.camera("yard"))
    assert "hunter22" not in everything and "rtsp://" in everything
