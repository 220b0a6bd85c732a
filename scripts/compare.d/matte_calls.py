"""Calls mattebox.Matte and writes its results into the working folder, one file for each.

    matte_calls.py SETTINGS RAW PICTURES

SETTINGS are the arguments of Matte as JSON, RAW is a file of RGB frames of 320x180, PICTURES a
folder of encoded ones."""

from __future__ import annotations

import json
import pathlib
import sys

from inputs import HEIGHT, WIDTH
from mattebox import Matte

FRAME_US = 40_000


def raw_frames(path: str) -> list[memoryview]:
    """The frames of a raw file."""
    data, size = pathlib.Path(path).read_bytes(), WIDTH * HEIGHT * 3
    return [
        memoryview(data[at : at + size]).cast("B", (HEIGHT, WIDTH, 3))
        for at in range(0, len(data), size)
    ]


def save(name: str, result: object) -> None:
    """Writes one result; an array's dimensions stand before its bytes."""
    view = memoryview(result)  # type: ignore[arg-type]
    pathlib.Path(name).write_bytes(
        f"{view.shape}\n".encode() + view.tobytes() if view.ndim > 1 else view.tobytes()
    )


def processed(settings: dict[str, object], frames: list[memoryview]) -> None:
    """Frames one after the other."""
    matte = Matte(**settings)
    for number, frame in enumerate(frames):
        save(f"process-{number:02}", matte.process(frame))
    save("state", matte.state)


def alphas(settings: dict[str, object], frames: list[memoryview]) -> None:
    """Their mattes."""
    matte = Matte(**settings)
    for number, frame in enumerate(frames):
        save(f"alpha-{number:02}", matte.alpha(frame))


def encoded(settings: dict[str, object], pictures: str) -> None:
    """Picture files in and out."""
    matte = Matte(**settings)
    for path in sorted(pathlib.Path(pictures).iterdir()):
        save(f"encoded-{path.stem}", matte.process_jpeg(path.read_bytes()))


def continued(settings: dict[str, object], frames: list[memoryview]) -> None:
    """A second object continues from the state of the first one."""
    first, second, half = Matte(**settings), Matte(**settings), len(frames) // 2
    for number, frame in enumerate(frames[:half]):
        first.process(frame, time_us=FRAME_US * (number + 1))
    second.state = first.state
    for number, frame in enumerate(frames[half:], start=half):
        save(f"continued-{number:02}", second.process(frame, time_us=FRAME_US * (number + 1)))


def main() -> None:
    settings, raw, pictures = json.loads(sys.argv[1]), sys.argv[2], sys.argv[3]
    frames = raw_frames(raw)
    processed(settings, frames)
    alphas(settings, frames)
    encoded(settings, pictures)
    continued(settings, frames)


if __name__ == "__main__":
    main()
