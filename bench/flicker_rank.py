#!/usr/bin/env python3
"""Does a flicker measure that needs no true alpha rank mattes as dtSSD does?

    .cache/bench-venv/bin/python bench/flicker_rank.py [--model FILE] [--clip FILE]
        [--alpha FILE] [--threshold 6]

The measure, for one frame and the one before: cut both into blocks of step x step pixels, step =
ceil(longer side / 160). A block's red, green, blue and alpha are the means of four pixels, those at
its quarter points, rounded to a byte; the frame before is kept as no more than these. A block did
not change if none of its three colours moved by more than the threshold. With n such blocks, and d
the change of their alpha:

    flicker = 100 sqrt(sum(d^2) / n) / 255

There is none if fewer than a tenth of the blocks did not change: the camera moves, or the light
changes.

Four pipelines, from a hard mask to the whole recipe (prototypes in numpy, not mattebox itself), on
the sample clip as it is, with noise, from JPEG, at half the size, and on one frame that stands
still under noise. Beside it: the edge's width in pixels and the share that is covered. Ends with
status 1 if the order by flicker is anywhere not the order by dtSSD. One to two minutes."""

import argparse
import pathlib
import sys
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from clip import CLIP
from peers import MODELS, ROOT

Array = NDArray[Any]
Frames = list[Array]

# The longer side has at most so many blocks.
BLOCKS = 160
# Steps of 255.
THRESHOLD = 6
# The share of blocks that must not have changed.
FEWEST = 0.1
PIPELINES = ["hard mask", "soft confidence", "+ guided filter", "full recipe"]
TRUTH = "(exact alpha)"


# Measures


def sketch(picture: Array) -> Array:
    """The block means of a picture or an alpha: all that is kept of a frame."""
    h, w = picture.shape[:2]
    step = -(-max(h, w) // BLOCKS)
    whole = picture[: h // step * step, : w // step * step].astype(np.int32)
    points = (step // 4, step * 3 // 4)
    return np.asarray(sum(whole[y::step, x::step] for y in points for x in points) + 2) >> 2


def flicker(colours: Frames, alphas: Frames, threshold: int) -> tuple[float, float]:
    """The mean of the measure over the pairs of neighbours, from sketches, and the share of blocks
    that did not change."""
    values: list[float] = []
    shares: list[float] = []
    for (c0, c1), (a0, a1) in zip(pairwise(colours), pairwise(alphas), strict=True):
        still = np.abs(c1 - c0).max(axis=2) <= threshold
        shares.append(float(still.mean()))
        if shares[-1] >= FEWEST:
            values.append(float(100 * np.sqrt(((a1 - a0)[still] ** 2).mean()) / 255))
    return float(np.mean(values)) if values else float("nan"), float(np.mean(shares))


def dtssd(alphas: Frames, truths: Frames) -> float:
    errors = [a.astype(np.int32) - t.astype(np.int32) for a, t in zip(alphas, truths, strict=True)]
    return float(
        np.mean([100 * np.sqrt(((e1 - e0) ** 2).mean()) / 255 for e0, e1 in pairwise(errors)])
    )


def edge_width(alpha: Array) -> float:
    """How wide a straight ramp from 0 to 255 would be, in pixels; every fourth row. 0.8 of a ramp
    lies between 25 and 230."""
    here, below = alpha[:-1:4].astype(np.float64), alpha[1::4].astype(np.float64)
    slope = np.hypot(np.diff(here), (below - here)[:, :-1]).sum() / 255
    return float(((here > 25) & (here < 230)).sum() / slope / 0.8) if slope else float("nan")


# Pipelines


def box(x: Array, r: int) -> Array:
    return cv2.blur(x, (2 * r + 1, 2 * r + 1), borderType=cv2.BORDER_REFLECT)


class Network:
    def __init__(self, model: pathlib.Path) -> None:
        self.engine = Interpreter(str(model), num_threads=1)
        self.engine.allocate_tensors()
        self.input, self.output = (
            self.engine.get_input_details()[0],
            self.engine.get_output_details()[0]["index"],
        )

    def __call__(self, rgb: Array) -> Array:
        _, h, w, _ = self.input["shape"]
        shrinks = max(rgb.shape[1] / w, rgb.shape[0] / h) > 1.5
        small = cv2.resize(
            rgb, (w, h), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        )
        self.engine.set_tensor(self.input["index"], (small.astype(np.float32) / 255)[None])
        self.engine.invoke()
        return cv2.resize(
            self.engine.get_tensor(self.output)[0, ..., 0],
            rgb.shape[1::-1],
            interpolation=cv2.INTER_LINEAR,
        )


def person_box(p: Array) -> tuple[int, int, int, int]:
    """Left, top, right, bottom: the confidence's components, the small ones left out, with a
    margin."""
    h, w = p.shape
    small = (cv2.resize(p, (w // 4, h // 4), interpolation=cv2.INTER_AREA) > 0.5).astype(np.uint8)
    _, label, stats, _ = cv2.connectedComponentsWithStats(small, connectivity=4)
    area = stats[1:, cv2.CC_STAT_AREA]
    kept = np.isin(label, 1 + np.flatnonzero(area >= 0.2 * area.max(initial=0)))
    mask = cv2.resize(kept.astype(np.uint8), (w, h), interpolation=cv2.INTER_NEAREST) > 0
    if mask.sum() < 0.002 * h * w:
        return 0, 0, w, h
    ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    mx, my = 0.15 * (xs[-1] + 1 - xs[0]), 0.15 * (ys[-1] + 1 - ys[0])
    return (
        int(max(0, xs[0] - mx)),
        int(max(0, ys[0] - my)),
        int(min(w, round(xs[-1] + 1 + mx))),
        int(min(h, round(ys[-1] + 1 + my))),
    )


def guided(picture: Array, p: Array) -> Array:
    """The fast guided filter with a colour guide (He and Sun, arXiv 1505.00996) at half the size,
    and levels."""
    h, w = p.shape
    r = max(1, round(6 * max(h, w) / 640))
    i, q = (
        cv2.resize(picture, (w // 2, h // 2), interpolation=cv2.INTER_AREA),
        cv2.resize(p, (w // 2, h // 2), interpolation=cv2.INTER_LINEAR),
    )
    mean_i, mean_q = box(i, r), box(q, r)
    products = np.ascontiguousarray((i[..., :, None] * i[..., None, :]).reshape(*q.shape, 9))
    spread = (
        np.dstack([box(products[..., k], r) for k in range(9)]).reshape(*q.shape, 3, 3)
        - mean_i[..., :, None] * mean_i[..., None, :]
    )
    together = box(i * q[..., None], r) - mean_i * mean_q[..., None]
    a = np.linalg.solve(spread + 1e-4 * np.eye(3, dtype=np.float32), together[..., None])[
        ..., 0
    ].astype(np.float32)
    b = mean_q - (a * mean_i).sum(-1)
    a, b = (cv2.resize(box(v, r), (w, h), interpolation=cv2.INTER_LINEAR) for v in (a, b))
    return np.clip((np.clip((a * picture).sum(-1) + b, 0, 1) - 0.15) / 0.7, 0, 1)


def mattes(network: Network, frames: Frames) -> dict[str, Frames]:
    """Every pipeline's alpha, 0 to 255, for BGR frames."""
    out: dict[str, Frames] = {name: [] for name in PIPELINES}
    raw: Array | None = None
    smooth: Array | None = None
    before: Array | None = None
    for frame in frames:
        rgb = np.ascontiguousarray(frame[..., ::-1])
        picture, luma = (
            rgb.astype(np.float32) / 255,
            cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255,
        )
        p = network(rgb)
        x0, y0, x1, y1 = person_box(p if raw is None else raw)
        raw = np.zeros_like(p)
        raw[y0:y1, x0:x1] = network(np.ascontiguousarray(rgb[y0:y1, x0:x1]))
        if smooth is None or before is None:
            smooth = raw
        else:
            motion = np.clip(box(np.abs(luma - before), 3) / 0.08 - 0.25, 0, 1)
            rate = np.maximum(0.3 + 0.7 * motion, np.clip((np.abs(raw - smooth) - 0.4) / 0.6, 0, 1))
            smooth = (rate * raw + (1 - rate) * smooth).astype(np.float32)
        before = luma
        for name, alpha in zip(
            PIPELINES, (p > 0.5, p, guided(picture, p), guided(picture, smooth)), strict=True
        ):
            out[name].append(np.rint(255 * np.clip(alpha, 0, 1)).astype(np.uint8))
    return out


# Comparison


def read(path: pathlib.Path) -> Frames:
    capture = cv2.VideoCapture(str(path))
    frames: Frames = []
    while (frame := capture.read())[0]:
        frames.append(frame[1])
    if not frames:
        raise SystemExit(f"cannot read {path}")
    return frames


def conditions(frames: Frames, truths: Frames) -> dict[str, tuple[Frames, Frames]]:
    random = np.random.default_rng(1)

    def noisy(frame: Array) -> Array:
        return np.clip(np.rint(frame + random.normal(0, 2, frame.shape)), 0, 255).astype(np.uint8)

    def jpeg(frame: Array) -> Array:
        return np.asarray(
            cv2.imdecode(
                cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 80])[1], cv2.IMREAD_COLOR
            )
        )

    def half(picture: Array) -> Array:
        return cv2.resize(
            picture, (picture.shape[1] // 2, picture.shape[0] // 2), interpolation=cv2.INTER_AREA
        )

    def each(change: Callable[[Array], Array]) -> Frames:
        return [change(frame) for frame in frames]

    middle = len(frames) // 2
    return {
        "clean": (frames, truths),
        "noise, sigma 2": (each(noisy), truths),
        "JPEG, quality 80": (each(jpeg), truths),
        "noise, then JPEG": ([jpeg(noisy(frame)) for frame in frames], truths),
        "half size": (each(half), [half(truth) for truth in truths]),
        "still, noise": ([noisy(frames[middle]) for _ in frames], [truths[middle]] * len(frames)),
    }


def order(values: list[float]) -> list[int]:
    return sorted(range(len(values)), key=values.__getitem__)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=pathlib.Path, default=MODELS["256x256"])
    parser.add_argument("--clip", type=pathlib.Path, default=CLIP)
    parser.add_argument(
        "--alpha",
        type=pathlib.Path,
        default=ROOT / "samples/person_alpha.mkv",
        help="the clip's exact alpha",
    )
    parser.add_argument("--threshold", type=int, default=THRESHOLD)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    network, agree = Network(args.model), True
    thresholds = sorted({2, 3, 4, 5, 6, 8, 12, args.threshold})
    by_threshold: dict[str, list[str]] = {}
    print(
        f"{'frames':17} {'pipeline':16} {'dtSSD':>6} {'flicker':>8} {'unchanged':>10} "
        f"{'edge px':>8} {'coverage':>9}"
    )
    for condition, (frames, truths) in conditions(
        read(args.clip), [frame[..., 0] for frame in read(args.alpha)]
    ).items():
        made = mattes(network, frames) | {TRUTH: truths}
        colours = [sketch(frame) for frame in frames]
        alphas = {name: [sketch(alpha) for alpha in matte] for name, matte in made.items()}
        theirs = [dtssd(made[name], truths) for name in PIPELINES]
        for name, error in zip(made, [*theirs, 0.0], strict=True):
            value, share = flicker(colours, alphas[name], args.threshold)
            width, cover = (
                np.nanmean([edge_width(alpha) for alpha in made[name]]),
                np.mean(made[name]) / 255,
            )
            print(
                f"{condition:17} {name:16} {error:6.2f} {value:8.2f} {share:10.2f} {width:8.2f} "
                f"{cover:9.3f}"
            )
        by_threshold[condition] = []
        for threshold in thresholds:
            ours = [flicker(colours, alphas[name], threshold)[0] for name in PIPELINES]
            ranked = [ours[k] for k in order(theirs)]
            margin = min(high / low if low else float("inf") for low, high in pairwise(ranked))
            by_threshold[condition].append(f"{margin:5.2f}{' ' if margin > 1 else '!'}")
            agree &= threshold != args.threshold or margin > 1
    print(
        "\nThe smallest ratio of flicker between two neighbours in the order by dtSSD (above 1: "
        "the same order), by threshold"
    )
    print(f"{'frames':17} " + " ".join(f"{threshold:>6}" for threshold in thresholds))
    for condition, margins in by_threshold.items():
        print(f"{condition:17} " + " ".join(margins))
    print("the same order as dtSSD" if agree else "NOT the same order as dtSSD")
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
