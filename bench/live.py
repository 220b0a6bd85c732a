#!/usr/bin/env python3
"""The cost of viewers: one run, in turn without any and with many at ten frames per second, some
slow, some dying.

    bench/live.py [--viewers 50] [--slow 10] [--dying 10] [--seconds 20] [--rounds 6]
        [--binary PATH]

Prints frames per second, the CPU time that the pipeline's own threads had for a frame, what the
page's threads took, memory and the machine's load. The pipeline is as busy as it can be: the clip
is read as fast as it goes, and every frame is composed and written, to nowhere (with `--out none`
frames without a viewer are only decoded). Each round with viewers is compared with the rounds
before and after it, since a machine's speed changes; CPU time per frame counts, not frames per
second, since other programs run. One of these programs is the viewers themselves, on the same
processor: a third kind of round has the same viewers at another mattebox, which shows what that
alone does to the pipeline.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import pathlib
import re
import statistics
import subprocess
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGE_THREADS = ("http", "live")
TICKS = os.sysconf("SC_CLK_TCK")


class Run:
    """mattebox run with a live page, as fast as it goes."""

    def __init__(self, binary: pathlib.Path, *options: str) -> None:
        clip = str(ROOT / "samples/person.mp4")
        command = [
            str(binary),
            "run",
            clip,
            "--loop",
            "--view=127.0.0.1:0",
            "--progress",
            "none",
            *options,
        ]
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stderr
        for line in self.process.stderr:
            if found := re.search(r"live page at http://([\d.]+):(\d+)/", line):
                self.host, self.port = found[1], int(found[2])
                return
        raise SystemExit("it did not start")

    def frames(self) -> int:
        with urllib.request.urlopen(f"http://{self.host}:{self.port}/api/cameras") as answer:
            frames = json.load(answer)["cameras"][0]["frames"]
            return frames["written"] + frames["skipped"]

    def cpu(self) -> tuple[float, float]:
        """CPU seconds of the pipeline's threads and of the page's."""
        pipeline = page = 0.0
        for task in pathlib.Path(f"/proc/{self.process.pid}/task").iterdir():
            try:
                name, _, rest = (task / "stat").read_text().partition("(")[2].rpartition(")")
            except OSError:
                continue
            fields = rest.split()
            spent = (int(fields[11]) + int(fields[12])) / TICKS
            if name in PAGE_THREADS:
                page += spent
            else:
                pipeline += spent
        return pipeline, page

    def resident_mb(self) -> float:
        return (
            int(pathlib.Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
            * os.sysconf("SC_PAGE_SIZE")
            / 1e6
        )

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)


async def viewer(run: Run, kind: str, until: float, seen: list[int]) -> None:
    """Reads at full speed, slowly, or disconnects in the middle and connects again."""
    while time.monotonic() < until:
        reader, writer = await asyncio.open_connection(run.host, run.port, limit=1 << 16)
        head = (
            "GET /api/cameras/cam01/stream.mjpg?fps=10 HTTP/1.1\r\n"
            f"Host: {run.host}:{run.port}\r\n\r\n"
        )
        writer.write(head.encode())
        end = min(until, time.monotonic() + 2) if kind == "dying" else until
        while (left := end - time.monotonic()) > 0:
            try:
                data = await asyncio.wait_for(
                    reader.read(1000 if kind == "slow" else 1 << 16), left
                )
            except TimeoutError:
                break
            if not data:
                break
            seen[0] += data.count(b"--frame")
            if kind == "slow":
                await asyncio.sleep(0.1)
        if kind == "dying":
            writer.transport.abort()
        else:
            writer.close()


async def watch(run: Run, count: int, slow: int, dying: int, seconds: float) -> float:
    until, seen = time.monotonic() + seconds, [0]
    kinds = ["slow"] * slow + ["dying"] * dying + ["quick"] * (count - slow - dying)
    await asyncio.gather(*(viewer(run, kind, until, seen) for kind in kinds))
    return seen[0] / seconds


def measure(run: Run, watched: Run | None, args: argparse.Namespace) -> dict[str, float]:
    """One round of `run`, while `watched` has viewers."""
    time.sleep(2)
    frames, cpu, begun = run.frames(), run.cpu(), time.monotonic()
    most = run.resident_mb()
    seen = 0.0
    if watched:
        seen = asyncio.run(watch(watched, args.viewers, args.slow, args.dying, args.seconds))
    else:
        time.sleep(args.seconds)
    elapsed, now = time.monotonic() - begun, run.cpu()
    done = run.frames() - frames
    return {
        "fps": done / elapsed,
        "ms": (now[0] - cpu[0]) / done * 1e3,
        "page_cores": (now[1] - cpu[1]) / elapsed,
        "sent": seen,
        "mb": max(most, run.resident_mb()),
        "load": os.getloadavg()[0],
    }


def show(name: str, rows: list[dict[str, float]]) -> None:
    def span(key: str) -> str:
        return f"{min(row[key] for row in rows):.1f} to {max(row[key] for row in rows):.1f}"

    middle = {key: statistics.median(row[key] for row in rows) for key in rows[0]}
    words = "| {} | {fps:.1f} | {ms:.2f} | {} | {page_cores:.3f} | {sent:.0f} | {mb:.0f} | {} |"
    print(
        words.format(
            name,
            f"{min(row['ms'] for row in rows):.2f} to {max(row['ms'] for row in rows):.2f}",
            span("load"),
            **middle,
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--viewers", type=int, default=50)
    parser.add_argument("--slow", type=int, default=10)
    parser.add_argument("--dying", type=int, default=10)
    parser.add_argument(
        "--seconds", type=float, default=20, help="of each round (default: %(default)s)"
    )
    parser.add_argument(
        "--rounds", type=int, default=6, help="rounds of each kind (default: %(default)s)"
    )
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "target/release/mattebox")
    args = parser.parse_args()
    run = Run(args.binary, "--out", "-", "--format", "raw")
    other = Run(args.binary, "--out", "none", "--realtime", "--fps", "10")
    names = ("no viewer", f"{args.viewers} viewers", f"{args.viewers} viewers of another mattebox")
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    more: dict[str, list[float]] = {name: [] for name in names[1:]}
    try:
        before = measure(run, None, args)
        rows[names[0]].append(before)
        for _ in range(args.rounds):
            for name, watched in zip(names[1:], (run, other), strict=True):
                with_viewers = measure(run, watched, args)
                after = measure(run, None, args)
                rows[name].append(with_viewers)
                rows[names[0]].append(after)
                more[name].append(
                    (with_viewers["ms"] / ((before["ms"] + after["ms"]) / 2) - 1) * 100
                )
                before = after
    finally:
        run.stop()
        other.stop()
    print(
        "| medians of the rounds | frames/s | CPU ms of the pipeline per frame | from, to | cores "
        "of the page | pictures/s sent | MB | load |\n"
        "|---|---:|---:|---:|---:|---:|---:|---:|"
    )
    for name in names:
        show(name, rows[name])
    print()
    for name, values in more.items():
        each = ", ".join(f"{one:+.1f}" for one in values)
        print(
            f"{name}: {statistics.median(values):+.1f} % CPU time of the pipeline per frame "
            f"(rounds: {each})"
        )


if __name__ == "__main__":
    main()
