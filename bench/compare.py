#!/usr/bin/env python3
"""Compares mattebox with other programs on this machine, in one run, in turn, on one core, with one
thread each.

    make bench                                     everything, about six minutes
    make bench ARGS='--quick --only network/ours,network/litert'

The network alone: the confidence of one picture, every engine's checked against LiteRT's. Whole
frames: JPEG bytes in, PNG file out. Each round takes every peer once, in a new order: two runs to
warm up, then those that count. Prints tables and writes output/bench/bench.json and SVG plots; ends
with status 1 if a result was wrong."""

import argparse
import contextlib
import json
import os
import pathlib
import random
import struct
import sys
import tempfile

import clip
import machine
import peers
import report
from check import check_files, check_network
from peer import Failed, Peer

WARM_UP = 2


class Progress:
    """One line of progress that overwrites itself, on a terminal."""

    def __init__(self):
        self.terminal = sys.stderr.isatty()

    def say(self, text, lasting=False):
        if self.terminal:
            print(f"\r\033[K{text}", end="\n" if lasting else "", file=sys.stderr, flush=True)
        elif lasting:
            print(text, file=sys.stderr, flush=True)


def measure(name, rows, start, check, after_round, rounds, runs, core, progress):
    """Fills the rows' times. `start(row, peer)` sends the work, `check(rows, peers)` compares
    results."""
    alive = {}
    with contextlib.ExitStack() as stack:
        for row in rows:
            if row.error:
                continue
            progress.say(f"{name}: starting {row.label}, {row.level}")
            try:
                peer = Peer(row.command, core, row.environment)
                stack.callback(peer.close)
                start(row, peer)
                alive[id(row)] = peer
            except (Failed, OSError) as e:
                row.error = str(e)
        progress.say(f"{name}: comparing results")
        check([row for row in rows if id(row) in alive], alive)
        order = [row for row in rows if id(row) in alive]
        for number in range(rounds):
            random.Random(number).shuffle(order)
            for row in [row for row in order if not row.error]:
                progress.say(f"{name}: round {number + 1} of {rounds}, {row.label}, {row.level}")
                try:
                    alive[id(row)].times(WARM_UP)
                    wall, cpu = alive[id(row)].times(runs)
                except Failed as e:
                    row.error = str(e)
                    continue
                row.wall += wall
                row.cpu.append(cpu)
            after_round()
    progress.say(f"{name}: {rounds} rounds of {len(alive)} peers", lasting=True)


def network(case, rows, frames, args, progress):
    width, height = map(int, case.split("x"))
    inputs = clip.inputs(frames, width, height)

    def start(_, peer):
        peer.ask(struct.pack("<I", 0) + inputs[0].tobytes(), 4 * width * height)

    def check(rows, alive):
        return check_network(rows, alive, inputs)

    measure(
        f"network {case}", rows, start, check, lambda: None, args.rounds, 10, args.core, progress
    )


def frame(case, rows, frames, args, progress):
    width, height = map(int, case.split("x"))
    files = clip.jpegs(frames, width, height)
    message = struct.pack("<II", 0, len(files)) + b"".join(
        struct.pack("<I", len(file)) + file for file in files
    )
    with tempfile.TemporaryDirectory(prefix="mattebox-bench-") as folder:
        folder = pathlib.Path(folder)
        out = {id(row): folder / f"{number}" for number, row in enumerate(rows)}
        for row in rows:
            row.command = [*row.command, out[id(row)]]

        def start(_, peer):
            peer.ask(message, 4)
            peer.times(3)

        def clear():
            for path in folder.glob("*/camera/*.png"):
                path.unlink()

        def check(rows, _):
            return check_files(
                rows, {id(row): out[id(row)] / "camera" for row in rows}, (width, height)
            )

        measure(f"frame {case}", rows, start, check, clear, args.rounds, 6, args.core, progress)


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rounds", type=int, help="of 10 pictures or 6 frames for each peer [default: 50]"
    )
    parser.add_argument(
        "--quick", action="store_true", help="5 rounds, and no frames larger than 1280x720"
    )
    parser.add_argument(
        "--only",
        type=lambda text: text.split(","),
        default=[""],
        metavar="TEXT,...",
        help="rows whose network/NAME or frame/NAME has one of these in it",
    )
    parser.add_argument(
        "--size",
        type=lambda text: text.split(","),
        metavar="WxH,...",
        help="of whole frames [default: 480x480,1280x720,1920x1080]",
    )
    parser.add_argument(
        "--levels",
        type=lambda text: text.split(","),
        metavar="LEVEL,...",
        help="ours at these vector instructions [default: the best, and avx2]",
    )
    parser.add_argument(
        "--core",
        type=int,
        default=max(os.sched_getaffinity(0)),
        help="run on this core [default: the last]",
    )
    parser.add_argument(
        "--out", type=pathlib.Path, default=peers.ROOT / "output/bench", metavar="FOLDER"
    )
    parser.add_argument(
        "--docs", action="store_true", help="also write docs/benchmarks/speed.md and its plots"
    )
    parser.add_argument(
        "--again",
        type=pathlib.Path,
        metavar="BENCH.JSON",
        help="measure nothing: make the output of this file once more",
    )
    args = parser.parse_args()
    args.rounds = args.rounds or (5 if args.quick else 50)
    args.size = args.size or ["480x480", "1280x720"] + ["1920x1080"] * (not args.quick)
    return args


def measured(args, progress):
    """The content of bench.json."""
    others = os.sched_getaffinity(0) - {args.core}
    if others:
        os.sched_setaffinity(
            0, others
        )  # what this process does between requests is not to disturb the measured core
    available = peers.levels()
    wanted = list(
        dict.fromkeys(
            args.levels or [level for level in ("avx2", available[-1]) if level in available]
        )
    )
    hidden = peers.hide_avx512() if available[-1] == "avx512" else None
    frames, results = clip.frames(), []
    for section, cases, make, run in (
        (
            "network",
            peers.MODELS,
            lambda case: peers.network_rows(case, available, wanted, hidden),
            network,
        ),
        ("frame", args.size, lambda _: peers.frame_rows(available, wanted, hidden), frame),
    ):
        for case in cases:
            rows = [
                row
                for row in make(case)
                if any(text in f"{section}/{row.key}" for text in args.only)
            ]
            if rows:
                run(case, rows, frames, args, progress)
                results.append(report.case(section, case, rows))
    return {
        "machine": machine.describe(available),
        "rounds": args.rounds,
        "core": args.core,
        "cases": results,
    }


def main():
    args = arguments()
    everything = json.loads(args.again.read_text()) if args.again else measured(args, Progress())
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "bench.json").write_text(json.dumps(everything, indent=1) + "\n")
    print(report.text(everything))
    report.plots(everything, args.out)
    if args.docs:
        report.docs(everything, peers.ROOT / "docs")
    print(f"\nwritten to {os.path.relpath(args.out)}/", file=sys.stderr)
    wrong = [
        f"{data['case']}: {row['label'].strip()}"
        for data in everything["cases"]
        for row in data["rows"]
        if row.get("wrong")
    ]
    if wrong:
        sys.exit(f"wrong results: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
