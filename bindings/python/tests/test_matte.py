"""The Python API, against the command."""

from __future__ import annotations

import os
import pathlib
import resource
import subprocess
import threading

import numpy as np
import pytest

mattebox = pytest.importorskip(
    "mattebox._native", reason="the module is not built: scripts/wheel"
) and pytest.importorskip("mattebox")

ROOT = pathlib.Path(__file__).resolve().parents[3]
BINARY = ROOT / "target/release/mattebox"
SAMPLE = ROOT / "samples/person.mp4"
SIZE = (180, 320)


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    """The first frames of the sample, small."""
    height, width = SIZE
    command = [
        "ffmpeg",
        "-nostdin",
        "-loglevel",
        "error",
        "-i",
        str(SAMPLE),
        "-frames:v",
        "12",
        "-vf",
        f"scale={width}:{height}",
    ]
    raw = subprocess.run(
        [*command, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], capture_output=True, check=True
    ).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3)


def test_a_person_is_kept_and_the_room_is_gray(frames: np.ndarray) -> None:
    picture = mattebox.Matte().process(frames[0])
    assert picture.shape == frames[0].shape and picture.dtype == np.uint8
    assert (picture[0, 0] == 0xC0).all(), "a corner is background"
    same = (picture == frames[0]).all(axis=2)
    assert 0.05 < same.mean() < 0.9, "the person is unchanged"
    picture[0, 0] = 1  # a result is the caller's own


def test_alpha_and_picture_belong_together(frames: np.ndarray) -> None:
    alpha = mattebox.Matte().alpha(frames[0])
    assert alpha.shape == SIZE
    picture = mattebox.Matte().process(frames[0])
    assert (picture[alpha == 0] == 0xC0).all()
    assert (picture[alpha == 255] == frames[0][alpha == 255]).all()


def test_files_are_those_of_the_command(tmp_path: pathlib.Path, frames: np.ndarray) -> None:
    pictures = tmp_path / "in"
    pictures.mkdir()
    height, width = SIZE
    command = [
        "ffmpeg",
        "-nostdin",
        "-loglevel",
        "error",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-s",
        f"{width}x{height}",
        "-i",
        "-",
    ]
    subprocess.run([*command, str(pictures / "%03d.png")], input=frames.tobytes(), check=True)
    for matte in ("soft", "hard"):
        out = tmp_path / matte
        subprocess.run(
            [
                BINARY,
                "run",
                str(pictures),
                "--camera-id",
                "c",
                "--out",
                str(out),
                "--matte",
                matte,
                "--progress",
                "none",
            ],
            check=True,
        )
        ours = [
            mattebox.Matte(matte=matte).process_jpeg(path.read_bytes())
            for path in sorted(pictures.iterdir())
        ]
        theirs = [path.read_bytes() for path in sorted((out / "c").iterdir())]
        assert ours == theirs, matte


def test_state_is_where_a_stream_can_go_on(frames: np.ndarray) -> None:
    whole = mattebox.Matte()
    expected = [whole.process(frame).tobytes() for frame in frames]
    first = mattebox.Matte()
    for n, frame in enumerate(frames[:6]):
        first.process(frame, time_us=40_000 * (n + 1))
    second = mattebox.Matte()
    second.state = first.state
    for n, frame in enumerate(frames[6:], start=6):
        assert second.process(frame, time_us=40_000 * (n + 1)).tobytes() == expected[n]
    second.reset()
    assert second.process(frames[0], time_us=40_000).tobytes() == expected[0]


def test_transparent_results_have_four_channels(frames: np.ndarray) -> None:
    assert mattebox.Matte(background="transparent").process(frames[0]).shape == (*SIZE, 4)


def test_any_buffer_is_taken_and_a_view_is_read_as_it_lies(frames: np.ndarray) -> None:
    mirrored = frames[0][:, ::-1]
    assert not mirrored.flags.c_contiguous
    expected = mattebox.Matte().process(np.ascontiguousarray(mirrored)).tobytes()
    assert mattebox.Matte().process(mirrored).tobytes() == expected
    height, width = SIZE
    plain = memoryview(np.ascontiguousarray(mirrored).tobytes()).cast("B", (height, width, 3))
    assert mattebox.Matte().process(plain).tobytes() == expected


@pytest.mark.parametrize(
    ("picture", "error", "words"),
    [
        ("text", TypeError, "buffer protocol"),
        (np.zeros((4, 4, 3), np.float32), ValueError, "uint8"),
        (np.zeros((4, 4), np.uint8), ValueError, "height x width x 3"),
        (np.zeros((4, 4, 4), np.uint8), ValueError, "4x4x4"),
        (np.zeros((0, 4, 3), np.uint8), ValueError, "empty"),
    ],
)
def test_what_is_no_picture_is_said(picture: object, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        mattebox.Matte().process(picture)


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"background": "grayish"}, ValueError, "image:PATH"),
        ({"background": "video:a.mp4"}, ValueError, "mattebox run"),
        ({"matte": "none"}, ValueError, "hard, fine or fine:always"),
        ({"people": 0}, ValueError, "nearest or a number"),
        ({"plate": "on"}, ValueError, "auto or off"),
        ({"model": "/nowhere.tflite"}, OSError, "/nowhere.tflite"),
        ({"jpeg_quality": 0}, ValueError, "jpeg_quality"),
    ],
)
def test_settings_that_cannot_be_are_said(
    settings: dict[str, object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        mattebox.Matte(**settings)


def test_bytes_that_are_no_picture_are_said_and_the_next_frame_is_made(frames: np.ndarray) -> None:
    matte = mattebox.Matte()
    for hostile in (b"", b"\xff\xd8\xff\xe0 half", os.urandom(1000)):
        with pytest.raises(ValueError):
            matte.process_jpeg(hostile)
    assert matte.process(frames[0]).tobytes() == mattebox.Matte().process(frames[0]).tobytes()


def test_a_time_that_cannot_be_leaves_the_stream_as_it_was(frames: np.ndarray) -> None:
    expected = mattebox.Matte()
    matte = mattebox.Matte()
    for frame in frames[:2]:
        for time in (1 << 63, -(1 << 63), 10**30):
            with pytest.raises(ValueError, match="time_us"):
                matte.process(frame, time_us=time)
        with pytest.raises(TypeError):
            matte.process(frame, time_us=0.5)
        assert matte.process(frame).tobytes() == expected.process(frame).tobytes()
    matte.process(frames[2], time_us=1 << 62)
    with pytest.raises(ValueError, match="time_us"):
        matte.process(frames[3])
    assert matte.process(frames[3], time_us=160_000).shape == frames[3].shape


def test_a_picture_that_is_too_large_is_refused_before_it_is_copied(frames: np.ndarray) -> None:
    matte = mattebox.Matte()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for shape in ((70_000, 70_000, 3), (1 << 40, 1, 3), (9000, 9000, 3)):
        with pytest.raises(ValueError, match="too large"):
            matte.process(np.broadcast_to(np.uint8(1), shape))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
    assert matte.process(frames[0]).tobytes() == mattebox.Matte().process(frames[0]).tobytes()


def test_python_runs_on_while_a_frame_is_made(frames: np.ndarray) -> None:
    matte, done, turns = mattebox.Matte(simd="scalar"), threading.Event(), 0
    large = np.repeat(np.repeat(frames[0], 4, axis=0), 4, axis=1)
    worker = threading.Thread(target=lambda: (matte.process(large), done.set()))
    worker.start()
    while not done.is_set():
        turns += 1
    worker.join()
    assert turns > 100, "Python's lock was held"


def test_a_forked_child_goes_on_with_the_same_frame(frames: np.ndarray) -> None:
    matte = mattebox.Matte()
    for frame in frames[:5]:
        matte.process(frame)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        with os.fdopen(write, "wb") as out:
            out.write(matte.process(frames[5]).tobytes())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        theirs = pipe.read()
    os.waitpid(child, 0)
    assert theirs == matte.process(frames[5]).tobytes()
