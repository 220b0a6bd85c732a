#!/usr/bin/env python3
"""How `mattebox run` scales on this machine: throughput, latency, memory, start, page faults. Needs
Python, FFmpeg and the binary, nothing else.

    bench/scaling.py                         everything, under four minutes
    bench/scaling.py --quick                 one round of everything
    bench/scaling.py --only memory,start     parts of it
    bench/scaling.py --docs                  and write docs/benchmarks/scaling.md

Prints tables and writes output/bench/scaling.json. Below each table stands what it means. Linux:
memory and page faults are read from /proc/PID."""

import argparse
import contextlib
import dataclasses
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PARTS = ["throughput", "cores", "dozens", "latency", "memory", "start"]
MATTES = ["soft", "hard"]
POLL_S = 0.01
# After so many frames everything is allocated, and page faults count.
STEADY = 100


@dataclasses.dataclass
class Measured:
    """One run. CPU times in ms per frame, memory in MB (1e6 bytes)."""

    fps: float
    cpu_ms: float
    ffmpeg_cpu_ms: float
    peak_mb: float
    faults: float | None
    latency_ms: dict


class Watch(threading.Thread):
    """Reads a process's memory and page faults until it ends."""

    def __init__(self, process, folder):
        super().__init__(daemon=True)
        self.process, self.folder = process, folder
        self.frame, self.peak_kib, self.steady, self.last = 0, 0, None, None
        self.start()

    def run(self):
        with contextlib.suppress(OSError, IndexError, ValueError):
            while self.process.poll() is None:
                self.look()
                time.sleep(POLL_S)

    def look(self):
        status = dict(
            line.split(":", 1) for line in self.read("status").splitlines() if ":" in line
        )
        # A zombie has no memory.
        self.peak_kib = max(self.peak_kib, int(status.get("VmHWM", "0 kB").split()[0]))
        minor_faults = int(self.read("stat").rpartition(")")[2].split()[7])
        while (self.folder / f"frame_{self.frame:06d}.png").exists():
            self.frame += 1
        if "VmHWM" in status:
            self.last = (self.frame, minor_faults)
            if self.frame >= STEADY:
                self.steady = self.steady or self.last

    def read(self, name):
        return pathlib.Path(f"/proc/{self.process.pid}/{name}").read_text()

    def faults_per_frame(self):
        """`None` if there are too few frames, or if page faults cannot be counted."""
        if not self.steady or self.last[0] < 2 * self.steady[0]:
            return None
        return (self.last[1] - self.steady[1]) / (self.last[0] - self.steady[0])


def run(args, source, frames, *flags, cameras=1, threads=None, matte="soft", cores=None):
    """One `mattebox run` into a new folder, with its children on the first `cores` cores."""
    allowed = set(sorted(os.sched_getaffinity(0))[:cores])
    with tempfile.TemporaryDirectory(prefix="mattebox-scaling-") as out:
        sources = [f"cam{n + 1:02}={source}" for n in range(cameras)]
        command = [
            args.mattebox,
            "run",
            *sources,
            "--out",
            out,
            "--matte",
            matte,
            "--frames",
            frames,
            "--progress",
            "none",
            "--json",
            *flags,
        ]
        command += ["--threads", threads] if threads else []
        process = subprocess.Popen(
            [str(word) for word in command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=out,
            preexec_fn=lambda: os.sched_setaffinity(0, allowed),
        )
        watch = Watch(process, pathlib.Path(out) / "cam01")
        said, errors = process.communicate()
        watch.join()
        if process.returncode:
            sys.exit(f"scaling.py: {' '.join(map(str, command))} failed:\n{errors}")
    report = json.loads(said)
    ffmpeg = next(
        stage["cpu_ms_per_frame"] for stage in report["stages"] if stage["stage"] == "ffmpeg"
    )
    return Measured(
        report["fps"],
        report["cpu_ms_per_frame"] - ffmpeg,
        ffmpeg,
        watch.peak_kib * 1024 / 1e6,
        watch.faults_per_frame(),
        report["latency_ms"],
    )


def middle(runs):
    """The median of each figure over several runs of the same."""
    return {
        field.name: statistics.median(values)
        if (values := [getattr(m, field.name) for m in runs if getattr(m, field.name) is not None])
        else None
        for field in dataclasses.fields(Measured)
        if field.name != "latency_ms"
    }


def in_turn(cases, rounds, measure, say):
    """Runs every case once a round, so that a busy machine affects all alike."""
    runs = [[] for _ in cases]
    for number in range(rounds):
        for case, of_case in zip(cases, runs):
            say(
                f"round {number + 1} of {rounds}: "
                f"{', '.join(f'{value} {name}' for name, value in case.items())}"
            )
            of_case.append(measure(case))
    return zip(cases, runs)


def throughput(args, clips):
    cases = [
        {"matte": matte, "cameras": cameras, "threads": threads}
        for matte in MATTES
        for cameras in (1, 8)
        for threads in (1, 2)
    ]
    frames = {1: 480, 8: 60}

    def measure(case):
        return run(args, clips["640x360"], frames[case["cameras"]], "--loop", **case)

    rows = [case | middle(runs) for case, runs in in_turn(cases, args.rounds, measure, args.say)]
    for size in ("640x360", "1280x720"):
        # Long enough to separate the cost of frames from that of the start.
        args.say(f"page faults at {size}")
        measured = run(args, clips[size], 600 if size == "640x360" else 400, "--loop", threads=2)
        rows.append(
            {"matte": "soft", "cameras": 1, "threads": 2, "size": size} | middle([measured])
        )
    return rows


def cores(args, clips):
    cases = [{"cameras": cameras, "cores": count} for cameras in (1, 8) for count in (1, 2)]
    frames = {1: 900, 8: 150}

    def measure(case):
        return run(args, clips["640x360"], frames[case["cameras"]], "--loop", **case)

    return [case | middle(runs) for case, runs in in_turn(cases, args.rounds, measure, args.say)]


# Frames of each camera in a short and a long run: their difference is the steady state, the rest of
# the short one is the start.
SHORT, LONG = 30, 100


def dozens(args, clips):
    cases = [
        {"cameras": cameras, "frames": frames} for cameras in (1, 60) for frames in (SHORT, LONG)
    ]

    def measure(case):
        return run(args, clips["640x360"], case["frames"], "--loop", cameras=case["cameras"])

    return [case | middle(runs) for case, runs in in_turn(cases, args.rounds, measure, args.say)]


def dozens_rows(rows):
    """For each number of cameras: CPU ms of a frame in the steady state, and of the start of a
    camera."""
    for short, long in zip(rows[::2], rows[1::2]):
        all_ms = [(row["cpu_ms"] + row["ffmpeg_cpu_ms"]) * row["frames"] for row in (short, long)]
        steady = (all_ms[1] - all_ms[0]) / (LONG - SHORT)
        yield [
            str(short["cameras"]),
            number(steady, 2),
            number(all_ms[0] - SHORT * steady, 0),
            number(long["peak_mb"]),
        ]


def latency(args, clips):
    cases = [{"size": size, "matte": matte} for size in ("640x360", "1280x720") for matte in MATTES]

    def measure(case):
        return run(args, clips[case["size"]], 240, "--loop", "--realtime", matte=case["matte"])

    rows = []
    for case, runs in in_turn(cases, 1, measure, args.say):
        rows.append(case | {"fps": runs[0].fps, "cpu_ms": runs[0].cpu_ms} | runs[0].latency_ms)
    return rows


def memory(args, clips):
    cases = [{"size": "1280x720", "cameras": 1}] + [
        {"size": "640x360", "cameras": cameras} for cameras in (1, 2, 4, 8)
    ]

    def measure(case):
        return run(args, clips[case["size"]], 60, "--loop", cameras=case["cameras"], threads=2)

    return [
        case | {"peak_mb": max(m.peak_mb for m in runs)}
        for case, runs in in_turn(cases, args.rounds, measure, args.say)
    ]


# The log's lines that end a step of the start, in their order.
STEPS = {
    "the networks are loaded": "program and network loaded",
    "the source is open": "source open (of a video: FFmpeg started, file probed)",
    "the first picture is read": "first picture read",
    "the first frame is written": "matted and written",
}


def start(args, clips):
    with tempfile.TemporaryDirectory(prefix="mattebox-scaling-") as folder:
        pictures = pathlib.Path(folder) / "pictures"
        pictures.mkdir()
        ffmpeg("-i", clips["640x360"], "-frames:v", "10", "-q:v", "2", pictures / "%d.jpg")
        sources = {"folder of JPEG files": pictures, "MP4 file": ROOT / "samples/person.mp4"}
        runs = {name: [] for name in sources}
        for number in range(20 if args.rounds > 1 else 8):
            for name, source in sources.items():
                args.say(f"start {number + 1}: {name}")
                runs[name].append(
                    start_once(args, source, pathlib.Path(folder) / f"{name} {number}")
                )
    return [{"source": name} | start_row(times) for name, times in runs.items()]


def start_row(times):
    totals = [total for total, _ in times]
    steps = {text: statistics.median(steps[text] for _, steps in times) for text in STEPS.values()}
    return {"median_ms": statistics.median(totals), "fastest_ms": min(totals), "steps_ms": steps}


def start_once(args, source, out):
    """Milliseconds from before the program is executed until the first file has its name, and of
    each step."""
    command = [
        args.mattebox,
        "run",
        source,
        "--out",
        out,
        "--frames",
        "5",
        "--progress",
        "none",
        "--log-format",
        "json",
        "--log-level",
        "mattebox=debug",
    ]
    first = out / "cam01/frame_000000.png"
    begun, on_calendar = time.perf_counter(), time.time()
    process = subprocess.Popen(
        [str(word) for word in command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not first.exists():
        if process.poll() is not None and not first.exists():
            sys.exit(f"scaling.py: no first frame:\n{process.communicate()[1]}")
        time.sleep(0.0005)
    total = (time.perf_counter() - begun) * 1e3
    _, log = process.communicate()
    said = {}
    for line in log.splitlines():
        if line.startswith("{"):
            event = json.loads(line)
            said.setdefault(
                event["message"],
                datetime.datetime.fromisoformat(
                    event["timestamp"].replace("Z", "+00:00")
                ).timestamp(),
            )
    steps, before = {}, on_calendar
    for message, text in STEPS.items():
        steps[text] = (said[message] - before) * 1e3
        before = said[message]
    return total, steps


def ffmpeg(*words):
    subprocess.run(["ffmpeg", "-nostdin", "-y", "-loglevel", "error", *map(str, words)], check=True)


def make_clips(folder):
    """The sample at 30 frames per second, in both sizes, in a format that every FFmpeg writes and
    that decodes without delay."""
    clips = {}
    for size in ("640x360", "1280x720"):
        clips[size] = folder / f"{size}.mp4"
        ffmpeg(
            "-r",
            "30",
            "-i",
            ROOT / "samples/person.mp4",
            "-vf",
            f"scale={size.replace('x', ':')}",
            "-c:v",
            "mpeg4",
            "-q:v",
            "3",
            "-pix_fmt",
            "yuv420p",
            clips[size],
        )
    return clips


def machine(args):
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]

    def said(*command):
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout

    return {
        "date": datetime.date.today().isoformat(),
        "cpu": names[0] if names else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "mattebox": said("git", "describe", "--always", "--dirty").strip()
        or said(args.mattebox, "--version").strip(),
        "ffmpeg": said("ffmpeg", "-version").split()[2],
        "load_before": round(os.getloadavg()[0], 1),
    }


def extra_mb(rows):
    """The memory of each camera after the first."""
    peak = {row["cameras"]: row["peak_mb"] for row in rows if row["size"] == "640x360"}
    return (peak[8] - peak[1]) / 7


def goals(data):
    """`[what, measured, goal, unit]`: measured should be below the goal."""
    if rows := data.get("memory"):
        yield "memory of a 1280x720 camera", rows[0]["peak_mb"], 150, "MB"
        yield "memory of each further camera", extra_mb(rows), 8, "MB"
    for row in data.get("start", []):
        yield f"start to first file, {row['source']}", row["median_ms"], 150, "ms"


def number(value, digits=1):
    return "" if value is None else f"{value:.{digits}f}"


def tables(data):
    """`(title, head, rows, note)` for each part that was measured."""
    if rows := [row for row in data.get("throughput", []) if "size" not in row]:
        head = [
            "matte",
            "cameras",
            "threads",
            "frames per second",
            "CPU ms per frame",
            "FFmpeg's",
            "peak MB",
        ]
        cells = [
            [
                r["matte"],
                str(r["cameras"]),
                str(r["threads"]),
                number(r["fps"]),
                number(r["cpu_ms"], 2),
                number(r["ffmpeg_cpu_ms"], 2),
                number(r["peak_mb"]),
            ]
            for r in rows
        ]
        yield (
            "Throughput, 640x360",
            head,
            cells,
            "Video in, PNG files out, as fast as it goes. *CPU ms* is mattebox alone, *FFmpeg's* "
            "the decoding beside it, which runs on the same cores.",
        )
    if rows := [row for row in data.get("throughput", []) if "size" in row]:
        cells = [[r["size"], number(r["faults"]), number(r["cpu_ms"], 2)] for r in rows]
        yield (
            "Page faults, soft, 2 threads",
            ["size", "minor faults per frame", "CPU ms per frame"],
            cells,
            f"Counted from frame {STEADY} on.",
        )
    if rows := data.get("cores"):
        head = ["cameras", "cores", "frames per second", "CPU ms per frame", "times one core"]
        alone = {row["cameras"]: row["fps"] for row in rows if row["cores"] == 1}
        cells = [
            [
                str(r["cameras"]),
                str(r["cores"]),
                number(r["fps"]),
                number(r["cpu_ms"] + r["ffmpeg_cpu_ms"], 2),
                number(r["fps"] / alone[r["cameras"]], 2),
            ]
            for r in rows
        ]
        yield (
            "One core and two, soft, 640x360",
            head,
            cells,
            "mattebox and FFmpeg together on so many cores, as fast as they go. Frames of one "
            "camera are segmented one after the other; of eight, no frame waits for another.",
        )
    if rows := data.get("dozens"):
        head = ["cameras", "CPU ms per frame, steady", "CPU ms, start of a camera", "peak MB"]
        yield (
            "Cameras by the dozen, soft, 640x360",
            head,
            list(dozens_rows(rows)),
            f"All cameras as fast as they go, FFmpeg included: the difference between {LONG} and "
            f"{SHORT} frames of each, and what is left for the start (mostly FFmpeg's).",
        )
    if rows := data.get("latency"):
        head = [
            "size",
            "matte",
            "p50 ms",
            "p95 ms",
            "p99 ms",
            "longest ms",
            "frames per second",
            "CPU ms per frame",
        ]
        cells = [
            [
                r["size"],
                r["matte"],
                *(number(r[key]) for key in ("p50", "p95", "p99", "max", "fps")),
                number(r["cpu_ms"], 2),
            ]
            for r in rows
        ]
        yield (
            "Latency of one camera at 30 frames per second",
            head,
            cells,
            "From the moment a picture is out of FFmpeg's pipe to the moment its PNG file has its "
            "name (`latency_ms` of `mattebox run --json`).",
        )
    if rows := data.get("memory"):
        cells = [[r["size"], str(r["cameras"]), number(r["peak_mb"])] for r in rows]
        yield (
            "Memory, soft, 2 threads",
            ["size", "cameras", "peak MB"],
            cells,
            "The largest resident set of the mattebox process, without FFmpeg. Each further "
            f"camera takes {extra_mb(rows):.1f} MB (from 1 to 8).",
        )
    if rows := data.get("start"):
        head = ["source", "median ms", "fastest ms", *STEPS.values()]
        cells = [
            [
                r["source"],
                number(r["median_ms"]),
                number(r["fastest_ms"]),
                *(number(r["steps_ms"][text]) for text in STEPS.values()),
            ]
            for r in rows
        ]
        yield (
            "Start to first file",
            head,
            cells,
            "From before the program is executed until the first PNG file has its name; then the "
            "medians of its steps, one after the other.",
        )


def padded(head, rows):
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    for row in [head, *rows]:
        yield "  ".join(
            [
                row[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:])),
            ]
        ).rstrip()


def text(data):
    m = data["machine"]
    lines = [
        f"{m['cpu']}, {m['cores']} cores, {m['date']}, mattebox {m['mattebox']}, FFmpeg "
        f"{m['ffmpeg']}, load {m['load_before']} before"
    ]
    for title, head, rows, note in tables(data):
        lines += ["", title, *padded(head, rows), "  " + note.replace("*", "")]
    if reached := list(goals(data)):
        lines += ["", "Goals"]
        lines += [
            f"  {what:45} {value:6.1f} {unit}  goal < {goal} {unit}  "
            f"{'reached' if value < goal else 'missed'}"
            for what, value, goal, unit in reached
        ]
    return "\n".join(lines)


DOCS = """# Scaling

<!-- Written by `bench/scaling.py --docs`; change that script instead. -->

How fast `mattebox run` is with more threads and cameras, how long each frame takes, how much memory
it uses, and how soon the first frame is there: the real binary on the sample clip, PNG files out.
Repeat it with

    bench/scaling.py

{machine}

FFmpeg decodes on the same cores. Throughput is the median of {rounds} rounds in which every case
was run once, memory the largest of them; latency is of one run of eight seconds each, the start of
twenty.
"""


def markdown(head, rows):
    def line(cells):
        return "| " + " | ".join(cells) + " |"

    rule = "|" + "|".join("---:" if i else "---" for i in range(len(head))) + "|"
    return "\n".join([line(head), rule, *map(line, rows)])


def docs(data, path):
    m = data["machine"]
    facts = [
        ["machine", f"{m['cpu']}, {m['cores']} cores"],
        ["system", m["system"]],
        ["mattebox", m["mattebox"]],
        ["FFmpeg", m["ffmpeg"]],
        ["load before", str(m["load_before"])],
        ["date", m["date"]],
    ]
    blocks = [
        DOCS.format(machine=markdown(["", ""], facts).replace("---:", "---"), rounds=data["rounds"])
    ]
    for title, head, rows, note in tables(data):
        blocks += [f"## {title}", markdown(head, rows), note]
    reached = [
        [what, "yes" if value < goal else "not yet", f"{value:.1f} {unit}", f"< {goal} {unit}"]
        for what, value, goal, unit in goals(data)
    ]
    if reached:
        blocks += ["## Goals", markdown(["", "reached", "measured", "goal"], reached)]
    path.write_text("\n\n".join(block.strip() for block in blocks) + "\n")


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--mattebox",
        type=lambda path: pathlib.Path(path).resolve(),
        default=ROOT / "target/release/mattebox",
        metavar="PATH",
        help="the binary",
    )
    parser.add_argument(
        "--rounds", type=int, default=3, help="of throughput and memory [default: 3]"
    )
    parser.add_argument("--quick", action="store_true", help="one round")
    parser.add_argument(
        "--only",
        type=lambda text: text.split(","),
        default=PARTS,
        metavar="PART,...",
        help=", ".join(PARTS),
    )
    parser.add_argument(
        "--out",
        type=pathlib.Path,
        default=ROOT / "output/bench",
        metavar="FOLDER",
        help="of scaling.json",
    )
    parser.add_argument("--docs", action="store_true", help="also write docs/benchmarks/scaling.md")
    parser.add_argument(
        "--again",
        type=pathlib.Path,
        metavar="SCALING.JSON",
        help="measure nothing: make the output of this file once more",
    )
    args = parser.parse_args()
    if unknown := set(args.only) - set(PARTS):
        parser.error(f"no part is called {', '.join(unknown)}: use {', '.join(PARTS)}")
    if not args.again and not args.mattebox.exists():
        parser.error(
            f"there is no {args.mattebox}: run 'make build' first, or name a binary with --mattebox"
        )
    args.rounds = 1 if args.quick else args.rounds
    args.say = (
        (lambda text: print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True))
        if sys.stderr.isatty()
        else (lambda text: None)
    )
    return args


def measured(args):
    data = {"machine": machine(args), "rounds": args.rounds}
    with tempfile.TemporaryDirectory(prefix="mattebox-scaling-") as folder:
        clips = make_clips(pathlib.Path(folder))
        for part in PARTS:
            if part in args.only:
                data[part] = globals()[part](args, clips)
    args.say("")
    return data


def main():
    args = arguments()
    data = json.loads(args.again.read_text()) if args.again else measured(args)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "scaling.json").write_text(json.dumps(data, indent=1) + "\n")
    print(text(data))
    if args.docs:
        docs(data, ROOT / "docs/benchmarks/scaling.md")


if __name__ == "__main__":
    main()
