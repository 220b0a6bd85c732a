#!/usr/bin/env python3
"""What viewers cost: the same run without any, and with many at ten frames per second, some slow, some dying.

    bench/live.py [--viewers 50] [--slow 10] [--dying 10] [--seconds 60]

Prints frames per second, frames per second of CPU that the pipeline's own threads had, what the page's threads took, and memory. The pipeline is as busy as it can be: the
clip is read as fast as it goes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import pathlib
import re
import subprocess
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[1]
BINARY = ROOT / "target/release/mattebox"
PAGE_THREADS = ("http", "live")
TICKS = os.sysconf("SC_CLK_TCK")


class Run:
    """mattebox run with a live page, as fast as it goes."""

    def __init__(self) -> None:
        clip = str(ROOT / "samples/person.mp4")
        command = [str(BINARY), "run", clip, "--loop", "--out", "none", "--view=127.0.0.1:0", "--progress", "none"]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr
        for line in self.process.stderr:
            if found := re.search(r"live page at http://([\d.]+):(\d+)/", line):
                self.host, self.port = found[1], int(found[2])
                return
        raise SystemExit("it did not start")

    def frames(self) -> int:
        with urllib.request.urlopen(f"http://{self.host}:{self.port}/api/cameras") as answer:
            return json.load(answer)["cameras"][0]["frames"]["out"]

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
        return int(pathlib.Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)


async def viewer(run: Run, kind: str, until: float, seen: list[int]) -> None:
    """Reads as fast as it comes, a little at a time, or hangs up in the middle and comes again."""
    while time.monotonic() < until:
        reader, writer = await asyncio.open_connection(run.host, run.port, limit=1 << 16)
        writer.write(f"GET /api/cameras/cam01/stream.mjpg?fps=10 HTTP/1.1\r\nHost: {run.host}:{run.port}\r\n\r\n".encode())
        end = min(until, time.monotonic() + 2) if kind == "dying" else until
        while (left := end - time.monotonic()) > 0:
            try:
                data = await asyncio.wait_for(reader.read(1000 if kind == "slow" else 1 << 16), left)
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


def measure(run: Run, seconds: float, count: int, slow: int, dying: int) -> dict[str, float]:
    time.sleep(2)
    frames, cpu, begun = run.frames(), run.cpu(), time.monotonic()
    most = run.resident_mb()
    seen = 0.0
    if count:
        seen = asyncio.run(watch(run, count, slow, dying, seconds))
    else:
        time.sleep(seconds)
    elapsed, now = time.monotonic() - begun, run.cpu()
    done = run.frames() - frames
    return {
        "fps": done / elapsed,
        "frames_per_cpu_s": done / (now[0] - cpu[0]),
        "page_cores": (now[1] - cpu[1]) / elapsed,
        "pictures_per_s": seen,
        "mb": max(most, run.resident_mb()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--viewers", type=int, default=50)
    parser.add_argument("--slow", type=int, default=10)
    parser.add_argument("--dying", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=60)
    args = parser.parse_args()
    run = Run()
    try:
        rows = {
            "nobody": measure(run, args.seconds, 0, 0, 0),
            f"{args.viewers} viewers": measure(run, args.seconds, args.viewers, args.slow, args.dying),
            "nobody again": measure(run, args.seconds, 0, 0, 0),
        }
    finally:
        run.stop()
    print("| | frames/s | frames per CPU second of the pipeline | cores of the page | pictures/s sent | MB |\n|---|---:|---:|---:|---:|---:|")
    for name, row in rows.items():
        print("| {} | {fps:.1f} | {frames_per_cpu_s:.1f} | {page_cores:.3f} | {pictures_per_s:.0f} | {mb:.0f} |".format(name, **row))


if __name__ == "__main__":
    main()
