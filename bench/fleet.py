#!/usr/bin/env python3
"""A fleet in small: many synthetic cameras of 160x120 into one worker, with a real broker on this
machine.

    make build && bench/fleet.py [--cameras 1000] [--fps 0.3] [--seconds 60] [--ids 10000]

* first: the first frame of each camera, for which its block of names is reserved;
* steady: so many cameras for so long: frames per second, latency, CPU, memory, threads, size and
  time of /metrics;
* rebalance: a second worker joins: how long until both have partitions and the first frame of each
  is done;
* backlog: everything once more by a group that begins at the oldest record: frames per second at
  full speed;
* ids: one frame from each of so many camera ids: memory and the size of /metrics.

Producer, broker and workers share the cores of this machine: the table says what all of it takes.
Nothing but this machine's loopback is used; the broker is stopped at the end."""

import argparse
import datetime
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARY = ROOT / "target/release/mattebox"
TOPIC = "fleet"
PARTITIONS = 12


class Broker:
    def __init__(self, folder):
        command = [ROOT / "scripts/kafka", "run", folder / "broker"]
        env = {**os.environ, "KAFKA_OPTS": "-XX:TieredStopAtLevel=4"}
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=env,
        )
        line = self.process.stdout.readline().split()
        if line[:1] != ["ready"]:
            sys.exit(
                "fleet.py: the broker did not start: run scripts/kafka in a terminal to see why"
            )
        self.bootstrap = line[1]

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


class Worker:
    """A worker, measured from outside."""

    def __init__(self, broker, folder, group, *more):
        self.log = open(folder / f"{group}-{time.time()}.log", "w+")
        command = [
            BINARY,
            "worker",
            "--kafka",
            broker.bootstrap,
            "--topic",
            TOPIC,
            "--group",
            group,
            "--out",
            folder / group,
            "--progress",
            "none",
            "--metrics",
            "127.0.0.1:0",
            "--json",
            *more,
        ]
        self.process = subprocess.Popen(
            [str(c) for c in command], stdout=subprocess.PIPE, stderr=self.log, text=True
        )
        self.address = self.wait(
            lambda: re.search(r"metrics at (http://\S+)/metrics", self.said())
        )[1]
        self.wait(lambda: self.get("/readyz")[0] == 200)

    def wait(self, what):
        begun = time.monotonic()
        while time.monotonic() - begun < 120:
            if answer := what():
                return answer
            time.sleep(0.05)
        sys.exit(f"fleet.py: a worker does not get on: {self.said()[-2000:]}")

    def said(self):
        return pathlib.Path(self.log.name).read_text()

    def get(self, path):
        try:
            with urllib.request.urlopen(self.address + path, timeout=30) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def metrics(self):
        begun = time.monotonic()
        text = self.get("/metrics")[1]
        return text.decode(), {
            "metrics_kb": round(len(text) / 1e3),
            "metrics_ms": round((time.monotonic() - begun) * 1e3, 1),
        }

    def total(self, name):
        return sum(
            float(value)
            for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", self.metrics()[0], re.M)
        )

    def done(self):
        counts = re.findall(
            r'^mattebox_frames_total{camera=".*",outcome="written"} (\S+)$', self.metrics()[0], re.M
        )
        return sum(map(float, counts))

    def seen(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()

        def number(name):
            return int(re.search(rf"{name}:\s+(\d+)", status)[1])

        stat = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        cpu = (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")
        return {
            "rss_mb": round(number("VmRSS") / 1024),
            "threads": number("Threads"),
            "cpu_s": round(cpu, 1),
        }

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        out, _ = self.process.communicate(timeout=120)
        return json.loads(out)


def picture(folder):
    path = folder / "frame.jpg"
    subprocess.run(
        [
            "ffmpeg",
            "-nostdin",
            "-loglevel",
            "error",
            "-y",
            "-i",
            ROOT / "samples/person.mp4",
            "-vf",
            "scale=160:120",
            "-frames:v",
            "1",
            "-q:v",
            "5",
            path,
        ],
        check=True,
    )
    return path.read_bytes()


def publish(producer, camera, number, jpeg):
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    headers = {
        "ce_specversion": "1.0",
        "ce_id": f"{camera}/s/{number}",
        "ce_source": f"mattebox/camera/{camera}",
        "ce_type": "mattebox.frame.v1",
        "ce_time": now,
        "content-type": "image/jpeg",
        "ce_sequence": str(number),
        "ce_session": "s",
    }
    producer.send(
        TOPIC,
        key=camera.encode(),
        value=jpeg,
        headers=[(name, value.encode()) for name, value in headers.items()],
    )


def first(worker, producer, jpeg, cameras):
    begun, before = time.monotonic(), worker.seen()
    for index in range(cameras):
        publish(producer, f"c{index:05}", 0, jpeg)
    producer.flush()
    worker.wait(lambda: worker.done() >= cameras)
    elapsed, after = time.monotonic() - begun, worker.seen()
    return {
        "cameras": cameras,
        "done_per_s": round(cameras / elapsed),
        "cpu_ms_per_camera": round((after["cpu_s"] - before["cpu_s"]) / cameras * 1e3, 2),
    }


def steady(worker, producer, jpeg, cameras, fps, seconds):
    begun, before, sent = time.monotonic(), worker.seen(), 0
    for number in range(1, 1 + max(1, round(seconds * fps))):
        for index in range(cameras):
            publish(producer, f"c{index:05}", number, jpeg)
            sent += 1
            ahead = begun + sent / (cameras * fps) - time.monotonic()
            if ahead > 0.005:
                time.sleep(ahead)
    producer.flush()
    published = time.monotonic() - begun
    worker.wait(lambda: worker.done() >= sent + cameras)
    elapsed, after = time.monotonic() - begun, worker.seen()
    _, size = worker.metrics()
    return {
        "cameras": cameras,
        "frames": sent,
        "published_per_s": round(sent / published),
        "done_per_s": round(sent / elapsed),
        "cpu_ms_per_frame": round((after["cpu_s"] - before["cpu_s"]) / sent * 1e3, 2),
        "rss_mb": after["rss_mb"],
        "threads": after["threads"],
        "commits": round(worker.total("mattebox_worker_commits_total")),
        **size,
    }


def rebalance(broker, folder, first):
    begun = time.monotonic()
    second = Worker(broker, folder, "fleet")
    second.wait(
        lambda: (
            second.total("mattebox_worker_partition_lag") >= 0
            and re.search("mattebox_worker_partition_lag{", second.metrics()[0])
        )
    )
    joined = time.monotonic() - begun
    seen = second.seen()
    begun = time.monotonic()
    second.stop()
    first.wait(
        lambda: (
            len(re.findall(r"^mattebox_worker_partition_lag{", first.metrics()[0], re.M))
            == PARTITIONS
        )
    )
    return {
        "joined_after_s": round(joined, 1),
        "second_rss_mb": seen["rss_mb"],
        "taken_back_after_s": round(time.monotonic() - begun, 1),
    }


def backlog(broker, folder, records):
    begun = time.monotonic()
    worker = Worker(broker, folder, "again")
    worker.wait(lambda: worker.done() >= records)
    elapsed, seen = time.monotonic() - begun, worker.seen()
    worker.stop()
    return {
        "frames": records,
        "done_per_s": round(records / elapsed),
        "cpu_ms_per_frame": round(seen["cpu_s"] / records * 1e3, 2),
        "rss_mb": seen["rss_mb"],
    }


def ids(broker, folder, producer, jpeg, count):
    worker = Worker(broker, folder, "ids", "--from", "latest")
    before = worker.seen()
    for index in range(count):
        publish(producer, f"id{index:05}", 0, jpeg)
    producer.flush()
    worker.wait(lambda: worker.done() >= count)
    _, size = worker.metrics()
    after = worker.seen()
    worker.stop()
    return {"ids": count, "rss_mb_before": before["rss_mb"], "rss_mb": after["rss_mb"], **size}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cameras", type=int, default=1000)
    parser.add_argument("--fps", type=float, default=0.3, help="of each camera")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--ids", type=int, default=10_000)
    parser.add_argument("--out", type=pathlib.Path, help="write the numbers here, as JSON")
    args = parser.parse_args()
    try:
        from kafka.admin import KafkaAdminClient, NewTopic

        from kafka import KafkaProducer
    except ImportError:
        python = subprocess.run(
            [ROOT / "scripts/python-client"], capture_output=True, text=True, check=True
        ).stdout.strip()
        os.execv(python, [python, *sys.argv])
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        broker = Broker(folder)
        try:
            KafkaAdminClient(bootstrap_servers=broker.bootstrap).create_topics(
                [NewTopic(TOPIC, PARTITIONS, 1)]
            )
            time.sleep(1)
            jpeg = picture(folder)
            producer = KafkaProducer(bootstrap_servers=broker.bootstrap, linger_ms=5)
            worker = Worker(broker, folder, "fleet")
            report = {"cores": os.cpu_count(), "load": os.getloadavg()[0]}
            report["first"] = first(worker, producer, jpeg, args.cameras)
            report["steady"] = steady(worker, producer, jpeg, args.cameras, args.fps, args.seconds)
            report["rebalance"] = rebalance(broker, folder, worker)
            worker.stop()
            report["backlog"] = backlog(broker, folder, report["steady"]["frames"] + args.cameras)
            report["ids"] = ids(broker, folder, producer, jpeg, args.ids)
        finally:
            broker.stop()
    text = json.dumps(report, indent=1)
    print(text)
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
