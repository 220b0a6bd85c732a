#!/usr/bin/env python3
"""Where LiteRT (XNNPACK) and mattebox spend their time, part by part.

    make bench ARGS=--quick    # once: installs what this needs
    cargo build --release --locked --workspace --examples
    .cache/bench-venv/bin/python bench/operators.py [--core 1] [--rounds 60] [--level best]

LiteRT does not say what each operator takes, so the file is cut off behind each part and the CPU
times of neighbouring cuts are subtracted. All cuts are run in turn, one thread on one core, then
ours (`network profile`) on the same core. LiteRT enlarges before it does the 1x1 convolution
behind; ours does it the other way round, so 2.4 and .8 million multiply-adds of the decoders are in
the heads of ours."""

import argparse
import os
import pathlib
import statistics
import subprocess
import time

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.tools import flatbuffer_utils

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODEL = ROOT / "crates/net/model/selfie_segmentation.tflite"
# The operator that each part begins with: the projection that ends the block before, or the
# enlargement.
PARTS = {
    "E0": 0,
    "E1": 24,
    "E2": 35,
    "E3": 46,
    "E4": 68,
    "E5": 89,
    "E6": 111,
    "E7": 133,
    "head": 155,
    "D0": 167,
    "D1": 192,
    "D2": 217,
}


def cut(data, operator):
    """The file up to the input of `operator`; all of it if there is no such operator."""
    model = flatbuffer_utils.read_model_from_bytearray(data)
    graph = model.subgraphs[0]
    if operator is not None:
        graph.outputs = [graph.operators[operator].inputs[0]]
        graph.operators = graph.operators[:operator]
        model.signatureDefs = []
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def interpreter(data):
    made = Interpreter(model_content=data, num_threads=1)
    made.allocate_tensors()
    shape = made.get_input_details()[0]["shape"]
    made.set_tensor(
        made.get_input_details()[0]["index"],
        np.random.default_rng(1).random(shape, dtype=np.float32),
    )
    return made


def litert(rounds):
    """Median microseconds of each part."""
    data = MODEL.read_bytes()
    ends = [*list(PARTS.values())[1:], None]
    cuts = [interpreter(cut(data, end)) for end in ends]
    times = [[] for _ in cuts]
    for _ in range(rounds):
        for one, mine in zip(cuts, times):
            for i in range(6):
                start = time.process_time()
                one.invoke()
                if i >= 2:
                    mine.append((time.process_time() - start) * 1e6)
    medians = [statistics.median(t) for t in times]
    return [b - a for a, b in zip([0, *medians], medians)]


def ours(level):
    """The output of `network profile`, and the median microseconds of each part."""
    program = ROOT / "target/release/examples/network"
    text = subprocess.run(
        [program, "profile", MODEL, level, "500"], check=True, capture_output=True, text=True
    ).stdout
    parts = dict.fromkeys(PARTS, 0.0)
    for line in text.splitlines():
        fields = line.split()
        if fields and fields[0] in parts:
            parts[fields[0]] += float(fields[3])
    return text, list(parts.values())


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--level", default="best")
    args = parser.parse_args()
    os.sched_setaffinity(0, {args.core})
    theirs = litert(args.rounds)
    text, mine = ours(args.level)
    print(text)
    print(f"{'part':5} {'LiteRT us':>10} {'ours us':>9} {'ratio':>6}")
    for part, a, b in [*zip(PARTS, theirs, mine), ("sum", sum(theirs), sum(mine))]:
        print(f"{part:5} {a:10.1f} {b:9.1f} {a / b:6.2f}")


if __name__ == "__main__":
    main()
