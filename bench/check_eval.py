#!/usr/bin/env python3
# /// script
# dependencies = ["numpy", "scipy"]
# ///
"""Checks `mattebox eval` against an independent implementation of its formulas (docs/ref/eval.md)
in numpy and scipy.

Usage: bench/check_eval.py [MATTEBOX]      (default: target/release/mattebox)
It needs numpy and scipy; `uv run` installs them.

Compares every figure of every frame on made-up sequences that provoke the corner cases (noise,
islands, alphas at the thresholds, thin pictures) and on the sample clip's true alpha against a
disturbed one. Prints the largest relative difference of each metric; ends with status 1 if one is
above 1e-5 (Grad is summed from f32 gradients, the others are exact)."""

import json
import math
import pathlib
import struct
import subprocess
import sys
import tempfile
import zlib

import numpy as np
from scipy import ndimage

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOLERANCE = 1e-5


def gauss_kernel(sigma=1.4, epsilon=1e-2):
    """The derivative-of-Gaussian kernel in two dimensions, L2 norm 1."""
    half = math.ceil(sigma * math.sqrt(-2 * math.log(math.sqrt(2 * math.pi) * sigma * epsilon)))
    y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(float)
    kernel = x * np.exp(-(x * x + y * y) / (2 * sigma * sigma))
    return kernel / np.linalg.norm(kernel)


KERNEL = gauss_kernel()


def gradient(alpha):
    x, y = (ndimage.correlate(alpha, k, mode="nearest") for k in (KERNEL, KERNEL.T))
    return np.hypot(x, y)


def connected(p, t):
    """For each pixel the highest threshold, in tenths, at which it belongs to the largest common
    region."""
    reached, open_ = np.zeros(p.shape, int), np.ones(p.shape, bool)
    for step in range(1, 11):
        label, n = ndimage.label((10 * p >= 255 * step) & (10 * t >= 255 * step))
        if n == 0:
            break
        size = ndimage.sum_labels(np.ones(p.shape), label, range(1, n + 1))
        # Of equal sizes, the region that begins first in scan order.
        largest = min(
            1 + np.flatnonzero(size == size.max()), key=lambda i: np.flatnonzero(label == i)[0]
        )
        open_ &= label == largest
        reached[open_] = step
    return reached


def phi(alpha, reached):
    above = 10 * alpha - 255 * reached  # in 1/2550
    return 1 - np.where(above >= 0.15 * 2550, above / 2550, 0)


def expected(predicted, truth):
    rows = []
    for i, (p8, t8) in enumerate(zip(predicted, truth)):
        p8, t8 = p8.astype(int), t8.astype(int)
        p, t = p8 / 255, t8 / 255
        union = ((p > 0.5) | (t > 0.5)).sum()
        levels = connected(p8, t8)
        row = {
            "iou": ((p > 0.5) & (t > 0.5)).sum() / union if union else 1.0,
            "mad": 1e3 * np.abs(p - t).mean(),
            "mse": 1e3 * ((p - t) ** 2).mean(),
            "grad": ((gradient(p) - gradient(t)) ** 2).sum() / 1e3,
            "conn": np.abs(phi(p8, levels) - phi(t8, levels)).sum() / 1e3,
            "dtssd": None,
            "static": None,
        }
        if i:
            change = (p - predicted[i - 1] / 255) - (t - truth[i - 1] / 255)
            row["dtssd"] = 100 * math.sqrt((change**2).mean())
            still = np.abs(t8 - truth[i - 1].astype(int)) <= 1
            if still.any():
                row["static"] = 100 * math.sqrt(((p - predicted[i - 1] / 255)[still] ** 2).mean())
        rows.append(row)
    return rows


def write_png(path, gray):
    height, width = gray.shape

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    lines = b"".join(b"\0" + row.tobytes() for row in gray)
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(lines))
        + chunk(b"IEND", b"")
    )


def measured(mattebox, predicted, truth):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for name, frames in (("predicted", predicted), ("truth", truth)):
            (folder / name).mkdir()
            for i, frame in enumerate(frames):
                write_png(folder / name / f"frame_{i:06d}.png", frame)
        rows = folder / "rows.json"
        command = [
            mattebox,
            "eval",
            folder / "predicted",
            folder / "truth",
            "--static",
            "--per-frame",
            rows,
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return json.loads(rows.read_text())


def blobs(random, frames, height, width):
    """Smooth random mattes with islands, holes and soft edges."""
    noise = random.standard_normal((frames, height, width))
    smooth = ndimage.gaussian_filter(noise, (1, 4, 4))
    return np.clip(127 + 255 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def sample_alpha():
    command = [
        "ffmpeg",
        "-loglevel",
        "error",
        "-i",
        ROOT / "samples/person_alpha.mkv",
        "-vf",
        "format=gray",
        "-f",
        "rawvideo",
        "-",
    ]
    return np.frombuffer(
        subprocess.run(command, check=True, capture_output=True).stdout, np.uint8
    ).reshape(-1, 360, 640)


def cases():
    random = np.random.default_rng(1)

    def integers(*shape):
        return random.integers(0, 256, shape, dtype=np.uint8)

    yield "noise", integers(4, 37, 53), integers(4, 37, 53)
    yield "blobs", blobs(random, 6, 90, 120), blobs(random, 6, 90, 120)
    # Alphas at, just below and just above each threshold.
    edges = np.array(
        [
            v
            for s in range(11)
            for v in (math.ceil(25.5 * s) - 1, math.ceil(25.5 * s), math.ceil(25.5 * s) + 1)
        ]
    )
    edges = np.clip(edges, 0, 255).astype(np.uint8)
    yield "thresholds", random.choice(edges, (4, 41, 29)), random.choice(edges, (4, 41, 29))
    black_white = np.array([0, 255], np.uint8)
    yield (
        "black and white",
        random.choice(black_white, (4, 40, 40)),
        random.choice(black_white, (4, 40, 40)),
    )
    yield "1x1", integers(5, 1, 1), integers(5, 1, 1)
    yield "one row", integers(3, 1, 70), integers(3, 1, 70)
    yield "one column", integers(3, 70, 1), integers(3, 70, 1)
    yield (
        "all against nothing",
        np.full((2, 30, 30), 255, np.uint8),
        np.zeros((2, 30, 30), np.uint8),
    )
    truth = sample_alpha()[::5]
    shaken = ndimage.gaussian_filter(
        np.roll(truth, 2, axis=2).astype(float), (0, 1.5, 1.5)
    ) + random.normal(0, 6, truth.shape)
    yield "the sample, shaken", np.clip(np.rint(shaken), 0, 255).astype(np.uint8), truth


def main():
    mattebox = sys.argv[1] if len(sys.argv) > 1 else ROOT / "target/release/mattebox"
    worst = {}
    for name, predicted, truth in cases():
        want, got = expected(predicted, truth), measured(mattebox, predicted, truth)
        assert len(want) == len(got), f"{name}: {len(got)} frames instead of {len(want)}"
        for i, (w, g) in enumerate(zip(want, got)):
            for metric, value in w.items():
                if (value is None) != (g[metric] is None):
                    sys.exit(f"{name}, frame {i}: {metric} is {g[metric]} instead of {value}")
                if value is not None:
                    difference = abs(value - g[metric]) / max(abs(value), 1e-3)
                    worst[metric] = max(
                        worst.get(metric, (0, "")), (difference, f"{name}, frame {i}")
                    )
    for metric, (difference, where) in worst.items():
        print(f"{metric:6} {difference:.1e}  {where}")
    if any(difference > TOLERANCE for difference, _ in worst.values()):
        sys.exit(f"a difference is above {TOLERANCE}")


if __name__ == "__main__":
    main()
