#!/usr/bin/env python3
"""The cost of the way through Kafka, with a real broker on this machine.

    make build && bench/kafka.py [--quick] [--out output/bench/kafka.json]

* throughput: a topic that was filled before, one worker with one thread: CPU milliseconds per frame
  beside what `mattebox bench` gives for the same steps without a broker, in the same run;
* wires: the same frames in the binary format and in the seed's JSON: bytes, and CPU per frame of
  camera and worker;
* latency: one camera, 30 frames per second, 640x480, a worker on one core: from when a frame is
  taken to when its file is in place;
* cameras: 60 cameras with 10 frames per second at 320x240 in one process: frames, drops, CPU per
  camera, memory.

Only Python's own library is needed. Nothing but this machine's loopback is used; the broker is
stopped at the end."""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARY = ROOT / "target/release/mattebox"
CLIP = ROOT / "samples/person.mp4"
ONE_CORE = ["taskset", "-c", "1"] if (os.cpu_count() or 1) > 1 else []


class Bench:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.bootstrap = None

    def broker(self):
        command = [ROOT / "scripts/kafka", "run", self.folder / "broker"]
        # Without the launcher's JVM flags, which are for a fast start.
        env = {**os.environ, "KAFKA_OPTS": "-XX:TieredStopAtLevel=4"}
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=env,
        )
        line = process.stdout.readline().split()
        if line[:1] != ["ready"]:
            sys.exit(
                "kafka.py: the broker did not start: run scripts/kafka in a terminal to see why"
            )
        self.bootstrap = line[1]
        return process

    def start(self, *args, prefix=()):
        command = [
            *prefix,
            BINARY,
            *args,
            "--kafka",
            self.bootstrap,
            "--progress",
            "none",
            "--json",
        ]
        return subprocess.Popen(
            [str(c) for c in command],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *args, prefix=()):
        return self.report(self.start(*args, prefix=prefix))

    @staticmethod
    def report(process):
        out, err = process.communicate(timeout=600)
        try:
            return json.loads(out)
        except json.JSONDecodeError:
            sys.exit(f"kafka.py: {' '.join(process.args)} said: {err[-2000:]}")

    def clip(self, name, size):
        path = self.folder / name
        subprocess.run(
            [
                "ffmpeg",
                "-nostdin",
                "-loglevel",
                "error",
                "-y",
                "-i",
                CLIP,
                "-vf",
                f"scale={size}",
                "-c:v",
                "libx264",
                path,
            ],
            check=True,
        )
        return path


def total(report, name):
    return sum(camera[name] for camera in report["cameras"])


def throughput(bench, frames, matte):
    plain = subprocess.run(
        [
            *ONE_CORE,
            BINARY,
            "bench",
            "--size",
            "640x360",
            "--matte",
            matte,
            "--frames",
            "200",
            "--json",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    alone = json.loads(plain.stdout)["measured"][0]["total_ms"]
    worker = bench.run(
        "worker",
        "--topic",
        "binary",
        "--until",
        "end",
        "--threads",
        "1",
        "--matte",
        matte,
        "--group",
        f"t-{matte}",
        "--out",
        f"out-{matte}",
        prefix=ONE_CORE,
    )
    assert total(worker, "written") == frames
    return {
        "matte": matte,
        "bench_ms": alone,
        "worker_ms": worker["cpu_ms_per_frame"],
        "share": alone / worker["cpu_ms_per_frame"],
        "stages_ms": dict(worker["stages_ms_per_frame"]),
        "rss_mb": worker["peak_rss_mb"],
    }


def fill(bench, topic, frames, wire):
    return bench.run(
        "camera",
        CLIP,
        "--topic",
        topic,
        "--realtime",
        "false",
        "--fps",
        "25",
        "--frames",
        str(frames),
        "--wire",
        wire,
        "--partitions",
        "1",
    )


def latency(bench, seconds):
    clip = bench.clip("480.mp4", "640:480")
    worker = bench.start(
        "worker", "--topic", "latency", "--threads", "1", "--out", "out-latency", prefix=ONE_CORE
    )
    time.sleep(1)
    camera = bench.run(
        "camera",
        clip,
        "--topic",
        "latency",
        "--fps",
        "30",
        "--frames",
        str(30 * seconds),
        "--partitions",
        "1",
    )
    time.sleep(1)
    worker.terminate()
    report = bench.report(worker)
    return {
        "frames": total(report, "written"),
        "published": total(camera, "written"),
        "latency_ms": report["latency_ms"],
        "camera_latency_ms": camera["latency_ms"],
        "worker_cpu_ms": report["cpu_ms_per_frame"],
    }


def cameras(bench, seconds):
    clip = bench.clip("240.mp4", "320:240")
    sources = [f"c{n:02}={clip}" for n in range(60)]
    report = bench.run(
        "camera",
        *sources,
        "--topic",
        "sixty",
        "--fps",
        "10",
        "--frames",
        str(10 * seconds),
        "--partitions",
        "6",
    )
    dropped = {
        reason: sum(c["dropped"][reason] for c in report["cameras"])
        for reason in ("buffer", "stopped")
    }
    return {
        "published": total(report, "written"),
        "dropped": dropped,
        "elapsed_s": report["elapsed_s"],
        "cpu_percent_per_camera": report["cpu_percent_per_camera"],
        "cpu_ms_per_frame": report["cpu_ms_per_frame"],
        "rss_mb": report["peak_rss_mb"],
        "latency_ms": report["latency_ms"],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer frames")
    parser.add_argument(
        "--out",
        default=ROOT / "output/bench/kafka.json",
        type=pathlib.Path,
        help="where the figures go",
    )
    args = parser.parse_args()
    frames, seconds = (300, 8) if args.quick else (1500, 30)
    with tempfile.TemporaryDirectory(prefix="mattebox-bench-") as folder:
        bench = Bench(folder)
        broker = bench.broker()
        try:
            results = {"wires": {}}
            for wire, topic in (("binary", "binary"), ("json", "seed")):
                camera = fill(bench, topic, frames, wire)
                worker = bench.run(
                    "worker",
                    "--topic",
                    topic,
                    "--until",
                    "end",
                    "--threads",
                    "1",
                    "--matte",
                    "hard",
                    "--group",
                    "wires",
                    "--out",
                    f"out-{wire}",
                    prefix=ONE_CORE,
                )
                results["wires"][wire] = {
                    "bytes_per_frame": camera["cameras"][0]["bytes_per_frame"],
                    "camera_cpu_ms": camera["cpu_ms_per_frame"],
                    "worker_cpu_ms": worker["cpu_ms_per_frame"],
                }
                print(wire, json.dumps(results["wires"][wire]), flush=True)
            for name, measure in (
                ("hard", lambda: throughput(bench, frames, "hard")),
                ("soft", lambda: throughput(bench, frames, "soft")),
                ("latency", lambda: latency(bench, seconds)),
                ("cameras", lambda: cameras(bench, seconds)),
            ):
                results[name] = measure()
                print(name, json.dumps(results[name]), flush=True)
        finally:
            broker.stdin.close()
            broker.wait(timeout=60)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
