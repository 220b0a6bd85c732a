"""The API follows its description, and its streams follow docs/ref/api.md."""

from __future__ import annotations

import json
import pathlib
import subprocess
import zlib
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from conftest import LIMIT_S, SAMPLE, Answer, Server, decode, looped, until

ENDLESS = r"\.mjpg$|/events$|/live$"
EXAMPLES = hypothesis.settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two cameras whose settings are changed all the time."""
    server = Server(tmp_path_factory.mktemp("api"), *looped("door", "hall"))
    server.await_pictures()
    yield server
    server.finish()


@pytest.fixture(scope="module")
def description(api: Server) -> Any:
    return schemathesis.openapi.from_url(f"{api.url}/api/openapi.json")


described = schemathesis.pytest.from_fixture("description").exclude(path_regex=ENDLESS)


@described.parametrize()
@EXAMPLES
def test_whatever_is_asked_the_answer_is_as_described(case: schemathesis.Case) -> None:
    case.call_and_validate(timeout=LIMIT_S)


@described.include(path_regex="{id}").parametrize()
@EXAMPLES
def test_a_camera_that_is_there_answers_as_described(case: schemathesis.Case) -> None:
    case.path_parameters["id"] = "door"
    # A mutated name may be valid after all, and the description cannot say which bytes are a
    # picture or which words are colours.
    case.call_and_validate(
        timeout=LIMIT_S, excluded_checks=[negative_data_rejection, positive_data_acceptance]
    )


def parts(server: Server, path: str, count: int) -> list[tuple[dict[str, str], bytes]]:
    """The first parts of a multipart stream."""
    found = []
    with server.open("GET", path) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "multipart/x-mixed-replace; boundary=frame"
        while len(found) < count:
            assert response.readline() == b"--frame\r\n"
            headers = {}
            while line := response.readline().strip():
                name, value = line.decode().split(": ", 1)
                headers[name] = value
            found.append((headers, response.read(int(headers["Content-Length"]))))
            assert response.readline() == b"\r\n"
    return found


def test_a_stream_is_one_new_picture_after_the_other(server: Server) -> None:
    found = parts(server, "/api/cameras/door/stream.mjpg", 5)
    numbers = [int(headers["X-Frame"]) for headers, _ in found]
    assert numbers == sorted(set(numbers)), "each frame once, in order"
    info = server.camera("door")
    for headers, picture in found:
        assert headers["Content-Type"] == "image/jpeg"
        assert len(decode(picture)) == info["width"] * info["height"] * 3
    assert len({picture for _, picture in found}) > 1


def test_a_wall_has_every_camera_and_tells_them_apart(server: Server) -> None:
    found: dict[str, int] = {}
    for headers, picture in parts(server, "/api/wall.mjpg", 60):
        assert picture.startswith(b"\xff\xd8")
        assert int(headers["X-Frame"]) > found.get(headers["X-Camera"], -1)
        found[headers["X-Camera"]] = int(headers["X-Frame"])
    assert set(found) == {"door", "hall", "desk", "yard"}
    some = {
        headers["X-Camera"] for headers, _ in parts(server, "/api/wall.mjpg?cameras=desk,hall", 20)
    }
    assert some == {"desk", "hall"}


@pytest.mark.parametrize(
    "query", ["?view=room", "?fps=0", "?fps=-1", "?fps=x", "?view", "?other=1"]
)
def test_a_stream_that_cannot_be_is_a_problem(server: Server, query: str) -> None:
    server.get(f"/api/cameras/door/stream.mjpg{query}").assert_problem(400)


def test_ffmpeg_reads_the_stream(server: Server) -> None:
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-i",
        f"{server.url}/api/cameras/door/stream.mjpg",
        "-frames:v",
        "5",
        "-f",
        "framemd5",
        "-",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)
    lines = [line for line in done.stdout.splitlines() if not line.startswith("#")]
    assert done.returncode == 0 and len(lines) == 5, done.stderr


def test_the_matte_is_grey_and_has_a_person_and_no_person(server: Server) -> None:
    _, picture = parts(server, "/api/cameras/door/stream.mjpg?view=matte", 1)[0]
    pixels = decode(picture)
    assert all(
        max(pixels[i : i + 3]) - min(pixels[i : i + 3]) <= 6 for i in range(0, len(pixels), 3)
    )
    assert min(pixels) < 10 and max(pixels) > 245


def test_events_tell_what_the_api_tells(server: Server) -> None:
    events = []
    with server.open("GET", "/api/events") as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        event = {}
        while len(events) < 3:
            line = response.readline().decode().rstrip("\r\n")
            if line:
                name, _, value = line.partition(":")
                event[name] = value.strip()
            elif event:
                events.append(event)
                event = {}
    now = server.get("/api/cameras").json()
    for one in events:
        assert one["event"] == "cameras"
        told = json.loads(one["data"])
        assert [camera["id"] for camera in told["cameras"]] == [
            camera["id"] for camera in now["cameras"]
        ]
        assert set(told["cameras"][0]) == set(now["cameras"][0])


def test_a_camera_is_told_of_in_full(server: Server) -> None:
    overview = server.get("/api/cameras").json()
    assert (
        overview["server"]["command"] == "run"
        and overview["server"]["settable"]
        and not overview["server"]["show_raw"]
    )
    camera = until(
        "numbers",
        lambda: (
            (c := server.camera("door"))["latency_ms"]
            and c["fps_written"] > 0
            and len(c["history"]["seconds"]) > 1
            and c
        ),
    )
    assert camera["state"] == "live" and camera["frames"]["written"] > 0
    assert camera["latency_ms"]["p50"] <= camera["latency_ms"]["p95"] <= camera["latency_ms"]["p99"]
    lengths = {len(values) for values in camera["history"].values()}
    assert len(lengths) == 1 and max(lengths) <= 300
    assert camera["history"]["seconds"] == sorted(set(camera["history"]["seconds"]))
    assert server.get(camera["streams"]["frame"]).headers["Content-Type"] == "image/png"


def test_quality_is_told(server: Server) -> None:
    quality = until("numbers of the matte", lambda: server.camera("door").get("quality"))
    assert (
        0.02 < quality["coverage"] < 0.9
        and 0 <= quality["flicker"] < 0.5
        and quality["edge_width_px"] > 0
    )
    assert quality["no_person_s"] is None


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"background": "teal"}, 200),
        (
            {
                "background": "blur:3",
                "matte": "hard",
                "people": "nearest",
                "plate": "off",
                "foreground_cleanup": False,
                "skip_still": True,
            },
            200,
        ),
        ({}, 200),
        ({"background": "no such colour"}, 422),
        ({"background": "image:/etc/passwd"}, 422),
        ({"background": f"video:{SAMPLE}"}, 422),
        ({"background": "blur:1e9"}, 422),
        ({"background": "picture"}, 409),
        ({"background": 7}, 422),
        ({"matte": "softer"}, 422),
        ({"people": "0"}, 422),
        ({"plate": "on"}, 422),
        ({"size": 3}, 422),
        ([], 422),
    ],
    ids=str,
)
def test_a_change_is_made_whole_or_not_at_all(
    server: Server, settings: None, change: object, status: int
) -> None:
    before = server.camera("yard")["settings"]
    answer = server.patch("yard", change)
    if status == 200:
        assert answer.status == 200
        assert answer.json() == server.camera("yard")["settings"]
    else:
        answer.assert_problem(status)
        assert server.camera("yard")["settings"] == before


def picture(size: str, name: str, folder: pathlib.Path) -> bytes:
    path = folder / name
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-f",
        "lavfi",
        "-i",
        f"color=c=0x204060:s={size}",
        "-frames:v",
        "1",
        path,
    ]
    subprocess.run([str(word) for word in command], check=True, timeout=LIMIT_S)
    return path.read_bytes()


def upload(server: Server, body: bytes, kind: str = "image/jpeg") -> Answer:
    return server.ask("POST", "/api/cameras/yard/background", body, Content_Type=kind)


@pytest.mark.parametrize("kind", ["jpg", "png", "webp"])
def test_a_picture_becomes_the_background(
    server: Server, settings: None, kind: str, tmp_path: pathlib.Path
) -> None:
    answer = upload(server, picture("64x48", f"a.{kind}", tmp_path), f"image/{kind}")
    assert answer.status == 200 and answer.json()["background"].startswith("picture:")


def test_what_is_no_picture_is_refused_and_changes_nothing(
    server: Server, settings: None, tmp_path: pathlib.Path
) -> None:
    before = server.camera("yard")["settings"]
    good = picture("640x480", "a.png", tmp_path)
    # A PNG that says it is 60,000 pixels wide and high, which would be ten gigabytes.
    head = good[12:16] + (60000).to_bytes(4, "big") * 2 + good[24:29]
    bomb = good[:12] + head + zlib.crc32(head).to_bytes(4, "big") + good[33:]
    for body in [
        b"",
        b"GIF89a",
        b"\xff\xd8\xff",
        good[:100],
        bomb,
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"\0" * 100_000,
    ]:
        upload(server, body).assert_problem(422)
    assert "more than 12 megapixels" in upload(server, bomb).json()["detail"]
    assert server.camera("yard")["settings"] == before


def test_what_is_not_there_is_a_problem(server: Server) -> None:
    for path in [
        "/api/cameras/unknown",
        "/api/cameras/unknown/frame.jpg",
        "/api/cameras/unknown/stream.mjpg",
        "/api/",
        "/nothing",
    ]:
        server.get(path).assert_problem(404)
    server.ask("DELETE", "/api/cameras").assert_problem(405)
