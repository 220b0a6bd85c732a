"""The sample clip's frames, in the forms that the comparisons use."""

import cv2
import numpy as np

from peers import ROOT

CLIP = ROOT / "samples/person.mp4"


def frames():
    capture = cv2.VideoCapture(str(CLIP))
    read = []
    while (frame := capture.read())[0]:
        read.append(frame[1])
    if not read:
        raise SystemExit(f"cannot read {CLIP}")
    return read


def inputs(frames, width, height):
    """For a network: f32 RGB 0..1. Not how mattebox resamples; all engines get the same numbers."""
    small = (cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in frames)
    return [np.ascontiguousarray(frame[:, :, ::-1], "<f4") / np.float32(255) for frame in small]


def jpegs(frames, width, height):
    """JPEG files (quality 80) of the largest middle part with the wanted shape, forwards and
    backwards, so that the end joins the beginning."""
    files = []
    for frame in frames:
        h, w = frame.shape[:2]
        part = min(w, round(h * width / height)), min(h, round(w * height / width))
        x, y = (w - part[0]) // 2, (h - part[1]) // 2
        scaled = cv2.resize(
            frame[y : y + part[1], x : x + part[0]], (width, height), interpolation=cv2.INTER_CUBIC
        )
        files.append(cv2.imencode(".jpg", scaled, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes())
    return files + files[::-1]
