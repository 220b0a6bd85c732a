"""The class that users see."""

from __future__ import annotations

import json
import operator
import os
import sys
from typing import TYPE_CHECKING, Any

from ._native import Stream

if TYPE_CHECKING:
    from collections.abc import Buffer  # Python 3.12
    from typing import Literal

__all__ = ["Matte"]

# Between two frames whose times are not given.
_FRAME_US = 40_000
# The times of frames, in microseconds: 146,000 years to either side of 1970.
_TIMES_US = range(-(1 << 62), (1 << 62) + 1)


class Matte:
    """Frames of one camera, in their order.

    :param model: a ``.tflite`` file of the selfie segmentation family, or a ``.onnx`` file;
        ``"landscape"`` for the built-in 144x256 network.
    :param background: ``gray``, a CSS colour, ``#RRGGBB``, ``blur[:SIGMA]``, ``transparent`` or
        ``image:PATH``.
    :param matte: ``soft`` (steady edges), ``hard`` (MediaPipe's category mask), ``fine`` (finer
        edges, drawn in key frames) or ``fine:always`` (in every frame; both need MODNet and ONNX
        Runtime).
    :param format: of :meth:`process_jpeg`'s result: ``png``, ``jpg`` or ``webp``.
    :param foreground_cleanup: remove colour spill of the old room from edges.
    :param people: ``all``, ``nearest`` (the largest in the picture) or a number: the others become
        background.
    :param plate: ``auto`` (learn the room behind the people where the camera stands still) or
        ``off``.
    :param skip_still: reuse the last matte while nothing moves.
    :param simd: vector instructions, to compare: ``scalar``, ``sse4.2``, ``avx2``, ``avx512`` or
        ``neon``.

    Pictures are height x width x 3 bytes, RGB, in anything with the buffer protocol: a NumPy array,
    a ``memoryview``, a Pillow image through NumPy. Results are NumPy arrays where NumPy is
    installed, and ``memoryview`` otherwise.

    Python's lock is released while a frame is worked on. After ``fork`` the child has a copy, which
    continues from the same frame.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        *,
        background: str = "gray",
        matte: Literal["soft", "hard", "fine", "fine:always"] = "soft",
        format: Literal["png", "jpg", "webp"] = "png",
        jpeg_quality: int = 80,
        people: str | int = "all",
        plate: Literal["auto", "off"] = "auto",
        foreground_cleanup: bool = True,
        skip_still: bool = False,
        simd: str | None = None,
    ) -> None:
        options = {
            "model": None if model is None else os.fspath(model),
            "background": background,
            "matte": matte,
            "people": str(people),
            "plate": plate,
            "format": format,
            "jpeg_quality": operator.index(jpeg_quality),
            "foreground_cleanup": foreground_cleanup,
            "skip_still": skip_still,
            "simd": simd,
        }
        self._stream = Stream(json.dumps(options))
        self._time_us = 0

    def process(self, rgb: Buffer, *, time_us: int | None = None) -> Any:
        """The frame with its new background: height x width x 3, or x 4 with a transparent one.

        :param time_us: when it was taken, in microseconds; default: 40 ms after the last frame.
        :raises ValueError: it is no picture of 8-bit RGB, it is too large, or the time is out of
            range.
        """
        time = self._time(time_us)
        data, width, height = self._picture(rgb)
        samples, width, height, channels = self._stream.process(data, width, height, time)
        self._time_us = time
        return _array(samples, (height, width, channels))

    def alpha(self, rgb: Buffer, *, time_us: int | None = None) -> Any:
        """The frame's matte: height x width, 255 where a person is. It counts as a frame, as
        :meth:`process` does."""
        time = self._time(time_us)
        data, width, height = self._picture(rgb)
        samples = self._stream.alpha(data, width, height, time)
        self._time_us = time
        return _array(samples, (height, width))

    def process_jpeg(self, encoded: bytes, *, time_us: int | None = None) -> bytes:
        """A picture file (JPEG, PNG or WebP) in, a picture file in ``format`` out.

        :raises ValueError: it is no such file, it is too large, or the time is out of range.
        """
        time = self._time(time_us)
        if not isinstance(encoded, bytes):
            encoded = bytes(memoryview(encoded))
        made = self._stream.process_encoded(encoded, time)
        self._time_us = time
        return made

    @property
    def state(self) -> bytes:
        """The memory of earlier frames. It is private: it holds a tiny gray copy of the room."""
        return self._stream.state()

    @state.setter
    def state(self, state: bytes) -> None:
        self._stream.set_state(state)

    def reset(self) -> None:
        """Forgets all frames so far, as for a new scene."""
        self._stream.reset()

    def _time(self, time_us: int | None) -> int:
        """The time of the next frame. It becomes the stream's only when the frame is processed."""
        time = self._time_us + _FRAME_US if time_us is None else operator.index(time_us)
        if time not in _TIMES_US:
            raise ValueError(
                f"time_us is out of range: {time} (microseconds, {_TIMES_US[0]} to {_TIMES_US[-1]})"
            )
        return time

    def _picture(self, rgb: Any) -> tuple[bytes, int, int]:
        """The samples, width and height of a picture. One that is too large is not copied."""
        try:
            view = memoryview(rgb)
        except TypeError:
            raise TypeError(
                "a picture must have the buffer protocol, as a NumPy array has: this is "
                f"{type(rgb).__name__}"
            ) from None
        if view.format != "B":
            raise ValueError(
                f"a picture's samples must be uint8: these have format {view.format!r} "
                "(astype('uint8')?)"
            )
        if view.ndim != 3 or view.shape is None or view.shape[2] != 3:
            shape = "x".join(map(str, view.shape or ()))
            raise ValueError(f"a picture must be height x width x 3, RGB: this is {shape}")
        height, width, _ = view.shape
        if not height or not width:
            raise ValueError(f"the picture is empty: {height}x{width}")
        self._stream.check_size(width, height)
        return view.tobytes(), width, height


def _array(samples: bytearray, shape: tuple[int, ...]) -> Any:
    numpy = sys.modules.get("numpy")
    if numpy is None:
        try:
            import numpy
        except ImportError:
            return memoryview(samples).cast("B", shape)
    return numpy.frombuffer(samples, dtype=numpy.uint8).reshape(shape)
