"""The stream that a window of the page reads: numbers and pictures; and the overlay's stream."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator

import pytest

from conftest import Server, decode, until

Part = tuple[dict[str, str], bytes]


@contextlib.contextmanager
def live(server: Server, query: str) -> Iterator[Iterator[Part]]:
    """The parts of the stream, one after the other."""
    with server.open("GET", f"/api/live?{query}") as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "multipart/x-mixed-replace; boundary=frame"

        def parts() -> Iterator[Part]:
            while True:
                assert response.readline() == b"--frame\r\n"
                headers = {}
                while line := response.readline().strip():
                    name, value = line.decode().split(": ", 1)
                    headers[name] = value
                yield headers, response.read(int(headers["Content-Length"]))
                assert response.readline() == b"\r\n"

        yield parts()


def some(server: Server, query: str, count: int) -> list[Part]:
    with live(server, query) as parts:
        return [next(parts) for _ in range(count)]


def test_numbers_and_pictures_come_in_one_stream(server: Server) -> None:
    with live(server, "camera=door&view=matte") as parts:
        numbers, views = [], set()
        while len(numbers) < 3 or len(views) < 5:
            headers, body = next(parts)
            if headers["Content-Type"] == "application/json":
                assert headers["X-Event"] == "cameras"
                numbers.append(json.loads(body))
                continue
            assert headers["Content-Type"] == "image/jpeg" and body.startswith(b"\xff\xd8")
            views.add((headers["X-Camera"], headers["X-View"]))
            assert int(headers["X-Frame"]) >= 0
            assert abs(int(headers["X-Sent"]) / 1000 - time.time()) < 60
            if "X-Captured" in headers:
                assert int(headers["X-Captured"]) <= int(headers["X-Sent"])
    assert views == {
        ("door", "matte"),
        *((camera, "tile") for camera in ("door", "hall", "desk", "yard")),
    }
    now = server.get("/api/cameras").json()
    assert [camera["id"] for camera in numbers[0]["cameras"]] == [
        camera["id"] for camera in now["cameras"]
    ]
    assert set(numbers[0]["server"]) == set(now["server"]) and set(numbers[0]["cameras"][0]) == set(
        now["cameras"][0]
    )


def test_only_what_is_shown_is_sent(server: Server) -> None:
    def seen(query: str) -> set[tuple[str | None, str | None]]:
        return {
            (headers.get("X-Camera"), headers.get("X-View"))
            for headers, _ in some(server, query, 25)
        }

    assert seen("cameras=desk,hall") == {(None, None), ("desk", "tile"), ("hall", "tile")}
    assert seen("tiles=false&camera=hall") == {(None, None), ("hall", "picture")}
    with live(server, "tiles=false") as parts:
        assert all(next(parts)[0]["X-Event"] == "cameras" for _ in range(2))


def test_a_window_is_one_viewer(server: Server) -> None:
    def viewers() -> int:
        return server.get("/api/cameras").json()["server"]["viewers"]

    until("no viewer", lambda: viewers() == 0)
    with live(server, "camera=door&view=picture") as parts:
        next(parts)
        assert viewers() == 1
    until("no viewer", lambda: viewers() == 0)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("camera=unknown", 404),
        ("camera=door&view=room", 400),
        ("camera=door&view=tile", 400),
        ("view=matte", 400),
        ("tiles=perhaps", 400),
        ("other=1", 400),
        ("camera=door&view=raw", 403),
    ],
)
def test_what_cannot_be_shown_is_a_problem(server: Server, query: str, status: int) -> None:
    server.get(f"/api/live?{query}").assert_problem(status)


def test_a_camera_says_what_can_be_seen_of_it(server: Server) -> None:
    camera = server.camera("door")
    assert camera["views"] == ["picture", "matte", "checkerboard", "overlay"]
    for view in camera["views"]:
        with server.open("GET", f"/api/cameras/door/stream.mjpg?view={view}") as response:
            assert response.status == 200


def test_the_server_tells_what_it_uses(server: Server) -> None:
    before = server.get("/api/cameras").json()["server"]
    assert before["memory_bytes"] > 1_000_000 and before["simd"] in (
        "scalar",
        "sse4.2",
        "avx2",
        "avx512",
        "neon",
    )
    assert before["token"] is False
    until(
        "work",
        lambda: server.get("/api/cameras").json()["server"]["cpu_seconds"] > before["cpu_seconds"],
    )


def test_the_overlay_has_people_and_nothing_of_the_room(server: Server) -> None:
    with live(server, "tiles=false&camera=door&view=overlay") as parts:
        picture = next(body for headers, body in parts if headers.get("X-View") == "overlay")
    camera = server.camera("door")
    width, height = camera["width"], camera["height"]
    matte_from = -(-height // 16) * 16
    pixels = decode(picture)
    assert len(pixels) == width * (matte_from + height) * 3
    outside = inside = 0
    for y in range(height):
        for x in range(width):
            colour = (y * width + x) * 3
            alpha = pixels[((matte_from + y) * width + x) * 3]
            if alpha < 3:
                outside += 1
                # JPEG spreads an edge over its block; other blocks are exact.
                assert max(pixels[colour : colour + 3]) < 60, "the room shows"
            elif alpha > 250:
                inside += 1
    assert outside > width * height * 0.3 and inside > width * height * 0.1
    far = [(y * width + x) * 3 for y in range(8) for x in range(8)]
    assert all(max(pixels[at : at + 3]) < 4 for at in far), "the corner is the room"
