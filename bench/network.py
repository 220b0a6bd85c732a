#!/usr/bin/env python3
"""Our executor against LiteRT (XNNPACK, one thread): the confidence of every frame of a clip, and the time, interleaved in one run.

    cargo build --release -p mattebox-core --example network
    pip install ai-edge-litert==2.3.0 numpy opencv-python-headless
    taskset -c 1 python3 bench/network.py [--level best] [--rounds 60] [--model core/model/selfie_segmentation.tflite ...]

The clip's frames are resized to the network's input by cv2.resize, which is not how mattebox resamples; both sides get the same numbers."""
import argparse
import pathlib
import struct
import subprocess
import sys
import time

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter

RESIZE = {"area": cv2.INTER_AREA, "linear": cv2.INTER_LINEAR}
ROOT = pathlib.Path(__file__).resolve().parent.parent


class Ours:
    """`network serve` at the other end of a pipe."""

    def __init__(self, program, model, level, shape):
        self.shape = shape
        self.process = subprocess.Popen([program, "serve", model, level], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, request, size):
        self.process.stdin.write(request)
        self.process.stdin.flush()
        return self.process.stdout.read(size)

    def run(self, frame):
        return np.frombuffer(self.ask(struct.pack("<I", 0) + frame.tobytes(), 4 * self.shape[0] * self.shape[1]), "<f4").reshape(self.shape)

    def times(self, runs):
        return np.frombuffer(self.ask(struct.pack("<I", runs), 8 * runs), "<u8") / 1e6


def frames(clip, shape, resize="area"):
    capture = cv2.VideoCapture(str(clip))
    while (read := capture.read())[0]:
        yield cv2.resize(read[1], (shape[1], shape[0]), interpolation=RESIZE[resize])[:, :, ::-1].astype("f4") / 255


def compare(args, model):
    litert = Interpreter(str(model), num_threads=1)
    litert.allocate_tensors()
    source, target = litert.get_input_details()[0], litert.get_output_details()[0]["index"]
    shape = tuple(source["shape"][1:3])
    ours = Ours(args.program, model, args.level, shape)
    worst, flips, count = 0.0, 0, 0
    for count, frame in enumerate(frames(args.clip, shape, args.resize), 1):
        litert.set_tensor(source["index"], frame[None])
        litert.invoke()
        theirs, mine = litert.get_tensor(target).reshape(shape), ours.run(np.ascontiguousarray(frame))
        worst = max(worst, float(np.abs(theirs - mine).max()))
        flips += int(((theirs > 0.5) != (mine > 0.5)).sum())
    print(f"{pathlib.Path(model).name}, {args.level}: {count} frames ({args.resize}), largest difference {worst:.2e}, {flips} pixels on the other side of 0.5")
    if args.rounds:
        mine, theirs = [], []
        for _ in range(args.rounds):
            mine += list(ours.times(10)[2:])
            for i in range(10):
                start = time.perf_counter()
                litert.invoke()
                if i >= 2:
                    theirs.append((time.perf_counter() - start) * 1e3)
        a, b = np.array(mine), np.array(theirs)
        print(f"  ours {np.median(a):.3f} ms (min {a.min():.3f}), LiteRT {np.median(b):.3f} ms (min {b.min():.3f}), ratio {np.median(b) / np.median(a):.2f} (of minima {b.min() / a.min():.2f})")
    return worst


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=ROOT / "target/release/examples/network")
    parser.add_argument("--model", nargs="+", default=[ROOT / f"core/model/selfie_segmentation{n}.tflite" for n in ("", "_landscape")])
    parser.add_argument("--clip", default=ROOT / "samples/person.mp4")
    parser.add_argument("--level", default="best", help="scalar, sse4.2, avx2, avx512, neon, best or reference")
    parser.add_argument("--resize", choices=RESIZE, default="area")
    parser.add_argument("--rounds", type=int, default=60, help="of 10 runs each; 0 for the comparison alone")
    args = parser.parse_args()
    if max(compare(args, str(model)) for model in args.model) > 1e-4:
        sys.exit("the largest difference is above 1e-4")


if __name__ == "__main__":
    main()
