"""The logs that both builds read. Each is filled when a row first needs it."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterator

from records import Record

# When the first frame was taken, in seconds, and the time between two.
BEGIN_S, FRAME_S = 1_700_000_000, 0.04


def kind(picture: bytes) -> tuple[str, str]:
    """The codec and the media type of a picture."""
    return ("png", "image/png") if picture.startswith(b"\x89PNG") else ("jpg", "image/jpeg")


def json_frame(camera: str, number: int, picture: bytes, **other: object) -> bytes:
    """A frame in the JSON format."""
    fields = {
        "camera_id": camera,
        "frame_id": number,
        "ts": round(BEGIN_S + number * FRAME_S, 6),
        "codec": kind(picture)[0],
        "width": 320,
        "height": 180,
        "data_b64": base64.b64encode(picture).decode(),
    }
    return json.dumps({**fields, **other}).encode()


def binary_headers(camera: str, number: int, **other: str | None) -> list[tuple[str, bytes | None]]:
    """The headers of a frame in the binary format; None leaves one out."""
    micros = round(number * FRAME_S * 1e6)
    headers = {
        "ce_specversion": "1.0",
        "ce_id": f"{camera}/compare/{number}",
        "ce_source": f"mattebox/camera/{camera}",
        "ce_type": "mattebox.frame.v1",
        "ce_time": f"2023-11-14T22:13:{20 + micros // 1_000_000:02}.{micros % 1_000_000:06}Z",
        "ce_sequence": str(number),
        "ce_session": "compare",
        "content-type": "image/jpeg",
        **other,
    }
    return [(name, value.encode()) for name, value in headers.items() if value is not None]


def in_json(camera: str, pictures: list[bytes]) -> list[Record]:
    """Frames of one camera in the JSON format."""
    return [
        Record(camera.encode(), json_frame(camera, number, picture))
        for number, picture in enumerate(pictures)
    ]


def in_binary(camera: str, pictures: list[bytes]) -> list[Record]:
    """Frames of one camera in the binary format."""
    return [
        Record(
            camera.encode(),
            picture,
            binary_headers(camera, number, **{"content-type": kind(picture)[1]}),
        )
        for number, picture in enumerate(pictures)
    ]


def hostile(pictures: list[bytes]) -> list[Record]:
    """Good frames of two cameras, one in each format, and between them records that are no
    frames."""
    good = [
        record
        for pair in zip(in_json("good", pictures), in_binary("fine", pictures))
        for record in pair
    ]
    bad = list(_bad(pictures[0]))
    # A few bad ones after each good one.
    share = -(-len(bad) // len(good))
    return [
        record
        for number, frame in enumerate(good)
        for record in (frame, *bad[number * share : (number + 1) * share])
    ]


def _bad(picture: bytes) -> Iterator[Record]:
    """One record of each kind that cannot be a frame."""
    for value in _bad_values(picture):
        yield Record(b"bad", value)
    for headers, value in _bad_binaries(picture):
        yield Record(b"bad", value, headers)
    yield Record(b"another", json_frame("bad", 1, picture))
    yield Record(None, json_frame("no key", 1, picture))
    yield Record(
        b"bad",
        json_frame("bad", 1, picture[: len(picture) // 2]),
        [("other", b"kept"), ("empty", b"")],
    )


def _bad_values(picture: bytes) -> Iterator[bytes | None]:
    """Values that are no frame in JSON."""
    whole = json_frame("bad", 1, picture)
    yield from (
        None,
        b"",
        b"{",
        whole[:2000],
        b"[" * 100_000,
        b"\xff" * 200,
        b"null",
        b'{"camera_id": "bad"}',
    )
    yield random.Random(1).randbytes(3000)
    yield whole[:-1] + b', "frame_id": 2}'
    for field, wrong in (
        ("camera_id", "../../evil"),
        ("camera_id", 7),
        ("frame_id", -1),
        ("frame_id", "7"),
        ("frame_id", 1.5),
        ("ts", None),
        ("ts", -5),
        ("codec", "h265"),
        ("width", "wide"),
        ("height", 0),
        ("data_b64", "!!!!"),
        ("data_b64", ""),
        ("data_b64", base64.b64encode(b"no picture").decode()),
        ("data_b64", base64.b64encode(_claims_too_much(picture)).decode()),
    ):
        yield json_frame("bad", 1, picture, **{field: wrong})


def _bad_binaries(picture: bytes) -> Iterator[tuple[list[tuple[str, bytes | None]], bytes]]:
    """Headers and values that are no frame in the binary format."""
    for name in ("ce_specversion", "ce_source", "ce_type", "ce_time", "ce_sequence"):
        yield binary_headers("bad", 1, **{name: None}), picture
    for name, wrong in (
        ("ce_specversion", "2.0"),
        ("ce_source", "elsewhere"),
        ("ce_type", "mattebox.matted.v1"),
        ("ce_time", "yesterday"),
        ("ce_sequence", "-1"),
        ("ce_session", "a/b"),
        ("content-type", "video/mp4"),
    ):
        yield binary_headers("bad", 1, **{name: wrong}), picture
    for value in (b"", b"no picture", picture[: len(picture) // 2], _claims_too_much(picture)):
        yield binary_headers("bad", 1), value


def _claims_too_much(picture: bytes) -> bytes:
    """A JPEG whose header claims 65535 x 65535 pixels."""
    at = picture.index(b"\xff\xc0") + 5
    return picture[:at] + b"\xff" * 4 + picture[at + 4 :]
