#!/usr/bin/env python3
"""The cost of the Spark job, with a real broker and a real standalone cluster on this machine.

    make build && scripts/python-module && bench/spark.py [--quick] [--out output/bench/spark.json]

* throughput: a topic that was filled before, 480x480, hard matte: CPU time of the executor (with
  its Python workers) per frame, beside a PySpark job that does the same with MediaPipe
  (spark_peer.py), on the same cluster in the same run;
* at 10 frames per second: CPU time of executor and driver per frame, of both;
* latency at 10 and 30 frames per second: from when a frame is taken until its file is in place,
  with micro-batches and in real time.

scripts/bench-peers installs MediaPipe; without it the peer is left out. Everything that is started
is stopped at the end."""

import argparse
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARY = ROOT / "target/release/mattebox"
CLIP = ROOT / "samples/person.mp4"
PEER = ROOT / ".cache/bench-venv/bin/python"
TICK = os.sysconf("SC_CLK_TCK")


def asked(script, what):
    return subprocess.run(
        [ROOT / "scripts" / script, what], capture_output=True, text=True, check=True
    ).stdout.strip()


def table():
    """Every process: its parent, its command line, its CPU seconds with those of children that have
    ended."""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            try:
                fields = pathlib.Path(f"/proc/{entry}/stat").read_text().rsplit(")", 1)[1].split()
                line = (
                    pathlib.Path(f"/proc/{entry}/cmdline")
                    .read_bytes()
                    .replace(b"\0", b" ")
                    .decode(errors="replace")
                )
            except OSError:
                continue
            found[int(entry)] = (int(fields[1]), line, sum(map(int, fields[11:15])) / TICK)
    return found


def cpu(root):
    """CPU seconds of a process and all below it."""
    found, total, open_ = table(), 0.0, [root]
    while open_:
        process = open_.pop()
        if process in found:
            total += found[process][2]
            open_ += [p for p, (parent, _, _) in found.items() if parent == process]
    return total


class Service:
    def __init__(self, *command):
        self.process = subprocess.Popen(
            [str(c) for c in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.words = self.process.stdout.readline().split()
        if self.words[:1] != ["ready"]:
            sys.exit(f"spark.py: {command[0]} did not start")

    def stop(self):
        self.process.stdin.close()
        self.process.wait(60)


class Bench:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.kafka = Service(ROOT / "scripts/kafka", "run", self.folder / "broker")
        self.spark = Service(ROOT / "scripts/spark", "run", self.folder / "spark", "--cores", "2")
        self.broker, self.master = self.kafka.words[1], self.spark.words[1]
        self.connector = asked("spark", "connector")
        self.python = asked("spark", "python")
        self.clip = self.folder / "480.mp4"
        scale = "scale=480:480:force_original_aspect_ratio=increase,crop=480:480"
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
                scale,
                "-c:v",
                "libx264",
                self.clip,
            ],
            check=True,
        )

    def stop(self):
        self.spark.stop()
        self.kafka.stop()

    def camera(self, topic, *flags):
        command = [
            BINARY,
            "camera",
            self.clip,
            "--kafka",
            self.broker,
            "--topic",
            topic,
            "--progress",
            "none",
            "--json",
            *flags,
        ]
        return json.loads(
            subprocess.run(
                [str(c) for c in command], capture_output=True, text=True, check=True
            ).stdout
        )

    def ours(self, topic, out, *flags):
        env = {
            **os.environ,
            "PYTHONPATH": str(ROOT / "bindings/python/python"),
            "SPARK_DRIVER_MEMORY": "512m",
            "MATTEBOX_SPARK_LOG": "ERROR",
        }
        command = [
            self.python,
            "-m",
            "mattebox.spark",
            "--kafka",
            self.broker,
            "--topic",
            topic,
            "--master",
            self.master,
            "--jars",
            self.connector,
        ]
        return self.start([*command, "--out", self.folder / out, "--from", "earliest", *flags], env)

    def peer(self, topic, out, most):
        jars = ",".join(str(jar) for jar in pathlib.Path(self.connector).glob("*.jar"))
        spark = subprocess.run(
            [self.python, "-c", "import pyspark; print(pyspark.__path__[0])"],
            capture_output=True,
            text=True,
            check=True,
        )
        packages = pathlib.Path(spark.stdout.strip()).parent
        paths = os.pathsep.join(map(str, (ROOT / "bench", packages)))
        env = {
            **os.environ,
            "PYTHONPATH": paths,
            "PYSPARK_PYTHON": str(PEER),
            "SPARK_DRIVER_MEMORY": "512m",
            "OMP_NUM_THREADS": "1",
        }
        arguments = [
            self.master,
            self.broker,
            topic,
            self.folder / out,
            self.folder / f"{out}.checkpoint",
            jars,
            most,
        ]
        return self.start([PEER, ROOT / "bench/spark_peer.py", *arguments], env)

    def start(self, command, env):
        log = open(self.folder / f"{time.monotonic_ns()}.log", "w")
        return subprocess.Popen(
            [str(c) for c in command],
            cwd=self.folder,
            env=env,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

    def executor(self):
        """The executor's process: the only one below this cluster's worker."""
        worker = int(
            next(word for word in self.spark.words if word.startswith("worker=")).split("=")[1]
        )
        below, found = {worker}, table()
        for process, (parent, line, _) in sorted(found.items()):
            if parent in below:
                below.add(process)
                if "CoarseGrainedExecutorBackend" in line:
                    return process
        return None

    def count(self, out):
        return sum(1 for _ in (self.folder / out).glob("[!.]*/frame_*"))

    def until(self, out, frames, job):
        begun = time.monotonic()
        while self.count(out) < frames:
            if job.poll() is not None or time.monotonic() - begun > 400:
                log = max(
                    self.folder.glob("*.log"), key=lambda path: path.stat().st_mtime
                ).read_text()
                sys.exit(
                    f"spark.py: {self.count(out)} of {frames} frames in {out}; the end of the "
                    f"job's log:\n{log[-3000:]}"
                )
            time.sleep(0.1)

    @staticmethod
    def end(job):
        os.killpg(job.pid, signal.SIGTERM)
        try:
            job.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(job.pid, signal.SIGKILL)
            job.wait()


def measured(bench, job, out, first, last):
    """CPU and time per frame between two numbers of files: without the start, and without what the
    JVM compiles at first."""
    bench.until(out, first, job)
    executor = bench.executor()
    before = (cpu(executor), cpu(job.pid), bench.count(out), time.monotonic())
    bench.until(out, last, job)
    after = (cpu(executor), cpu(job.pid), bench.count(out), time.monotonic())
    frames = after[2] - before[2]
    bench.end(job)
    return {
        "frames": frames,
        "executor_cpu_ms": 1000 * (after[0] - before[0]) / frames,
        "driver_cpu_ms": 1000 * (after[1] - before[1]) / frames,
        "frames_per_second": frames / (after[3] - before[3]),
    }


def throughput(bench, quick):
    ours, theirs = (1000, 300) if quick else (4000, 800)
    results = {}
    bench.camera(
        "full",
        "--realtime",
        "false",
        "--frames",
        str(ours),
        "--fps",
        "25",
        "--partitions",
        "1",
        "--wire",
        "json",
    )
    job = bench.ours(
        "full", "full-ours", "--matte", "hard", "--trigger", "micro", "--max-offsets", "500"
    )
    results["mattebox-micro"] = measured(bench, job, "full-ours", ours // 4, ours)
    job = bench.ours("full", "full-realtime", "--matte", "hard", "--trigger", "realtime")
    results["mattebox-realtime"] = measured(bench, job, "full-realtime", ours // 4, ours)
    if PEER.exists():
        job = bench.peer("full", "full-peer", 500)
        results["python"] = measured(bench, job, "full-peer", theirs // 4, theirs)
    return results


def at_ten(bench, quick):
    """Live frames, ten a second."""
    seconds = 15 if quick else 40
    results = {}
    for name in ("mattebox-realtime", "mattebox-micro", "python"):
        if name == "python" and not PEER.exists():
            continue
        topic, out = f"ten-{name}", f"ten-{name}"
        bench.camera(
            topic,
            "--realtime",
            "false",
            "--frames",
            "5",
            "--fps",
            "25",
            "--partitions",
            "1",
            "--wire",
            "json",
        )
        job = (
            bench.peer(topic, out, 500)
            if name == "python"
            else bench.ours(topic, out, "--matte", "hard", "--trigger", name.split("-")[1])
        )
        bench.until(out, 5, job)
        camera = subprocess.Popen(
            [
                str(BINARY),
                "camera",
                str(bench.clip),
                "--kafka",
                bench.broker,
                "--topic",
                topic,
                "--progress",
                "none",
                "--fps",
                "10",
                "--wire",
                "json",
                "--frames",
                str(10 * seconds + 100),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        results[name] = measured(bench, job, out, 60, 60 + 10 * seconds - 40)
        camera.terminate()
        camera.wait()
    return results


LATENCIES = """
import json, sys
from kafka import KafkaConsumer, TopicPartition
consumer = KafkaConsumer(bootstrap_servers=sys.argv[1], enable_auto_commit=False)
partitions = [TopicPartition(sys.argv[2], p) for p in consumer.partitions_for_topic(sys.argv[2])]
consumer.assign(partitions)
consumer.seek_to_beginning(*partitions)
ends = consumer.end_offsets(partitions)
while any(consumer.position(p) < ends[p] for p in partitions):
    for records in consumer.poll(1000).values():
        for record in records:
            row = json.loads(record.value)
            print(row["frame"], row["latency_ms"])
"""


def latency(bench, quick):
    results = {}
    usual = 15 if quick else 45
    cases = [(trigger, fps, usual, ()) for trigger in ("realtime", "micro") for fps in (10, 30)]
    # Long enough for one checkpoint, so that its share is realistic.
    cases.insert(2, ("realtime", 10, 2 * usual if quick else 150, ("--checkpoint-interval", "2m")))
    client = subprocess.run(
        [ROOT / "scripts/python-client"], capture_output=True, text=True, check=True
    ).stdout.strip()
    for trigger, fps, seconds, flags in cases:
        name = "-".join([trigger, str(fps), *flags[1:]])
        topic = f"latency-{name}"
        bench.camera(
            topic, "--realtime", "false", "--frames", "5", "--fps", "25", "--partitions", "1"
        )
        job = bench.ours(topic, topic, "--trigger", trigger, *flags)
        bench.until(topic, 5, job)
        published = bench.camera(topic, "--fps", str(fps), "--frames", str(fps * seconds))[
            "cameras"
        ][0]["written"]
        bench.until(topic, 5 + published, job)
        time.sleep(2)
        bench.end(job)
        lines = subprocess.run(
            [client, "-c", LATENCIES, bench.broker, f"{topic}.results"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        rows = {int(frame): float(ms) for frame, ms in map(str.split, lines.splitlines())}
        # The first seconds are the JVM's.
        ms = sorted(value for frame, value in rows.items() if frame >= 5 + 5 * fps)
        at = lambda share: ms[min(len(ms) - 1, int(share * len(ms)))]  # noqa: E731
        results[name] = {
            "frames": len(ms),
            "p50": at(0.5),
            "p95": at(0.95),
            "p99": at(0.99),
            "max": ms[-1],
        }
        print("latency", topic, json.dumps(results[name]), flush=True)
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer frames")
    parser.add_argument("--only", choices=("throughput", "ten", "latency"))
    parser.add_argument(
        "--out",
        default=ROOT / "output/bench/spark.json",
        type=pathlib.Path,
        help="where the figures go",
    )
    args = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory(prefix="mattebox-bench-") as folder:
        bench = Bench(folder)
        try:
            for name, measure in (
                ("throughput", throughput),
                ("ten", at_ten),
                ("latency", latency),
            ):
                if args.only in (None, name):
                    results[name] = measure(bench, args.quick)
                    print(name, json.dumps(results[name]), flush=True)
        finally:
            bench.stop()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
