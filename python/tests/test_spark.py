"""The Spark job against a real broker and a real standalone cluster. Each test is named after the promise that it holds."""

from __future__ import annotations

import base64
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import time

import pytest

from conftest import BINARY, ROOT, SAMPLE, Service, Town, environment, submit, until

PYTHON_CLIENT = ROOT / "scripts/python-client"


def consume(town: Town, topic: str) -> list[dict[str, object]]:
    """All records of a topic, read by another client than ours."""
    script = """
import json, sys
from kafka import KafkaConsumer, TopicPartition
consumer = KafkaConsumer(bootstrap_servers=sys.argv[1], enable_auto_commit=False, consumer_timeout_ms=15000)
partitions = [TopicPartition(sys.argv[2], p) for p in sorted(consumer.partitions_for_topic(sys.argv[2]) or [])]
consumer.assign(partitions)
consumer.seek_to_beginning(*partitions)
ends = consumer.end_offsets(partitions)
while any(consumer.position(p) < ends[p] for p in partitions):
    for records in consumer.poll(1000).values():
        for r in records:
            headers = {k: v.decode("utf-8", "replace") for k, v in r.headers if v is not None}
            value = None if r.value is None else r.value.decode("latin-1")
            print(json.dumps({"key": r.key and r.key.decode("latin-1"), "value": value, "headers": headers}))
"""
    python = subprocess.run([PYTHON_CLIENT], capture_output=True, text=True, check=True).stdout.strip()
    done = subprocess.run([python, "-c", script, town.broker, topic], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def produce(town: Town, records: list[tuple[str | None, bytes | None]]) -> None:
    script = """
import base64, json, sys
from kafka import KafkaProducer
producer = KafkaProducer(bootstrap_servers=sys.argv[1], max_request_size=8 << 20)
for line in sys.stdin:
    key, value = json.loads(line)
    producer.send(sys.argv[2], key=key and key.encode(), value=None if value is None else base64.b64decode(value))
producer.flush()
"""
    python = subprocess.run([PYTHON_CLIENT], capture_output=True, text=True, check=True).stdout.strip()
    lines = (json.dumps([key, None if value is None else base64.b64encode(value).decode()]) for key, value in records)
    subprocess.run([python, "-c", script, town.broker, town.topic], input="\n".join(lines), text=True, check=True)


def delete(town: Town, topic: str) -> None:
    """Removes a topic, and waits until it is gone."""
    script = """
import sys, time
from kafka import KafkaAdminClient
admin = KafkaAdminClient(bootstrap_servers=sys.argv[1])
admin.delete_topics([sys.argv[2]])
while sys.argv[2] in admin.list_topics():
    time.sleep(0.1)
"""
    python = subprocess.run([PYTHON_CLIENT], capture_output=True, text=True, check=True).stdout.strip()
    subprocess.run([python, "-c", script, town.broker, topic], check=True, timeout=60)


def executors() -> list[int]:
    """The processes of all executors on this machine that belong to these tests' cluster."""
    found = subprocess.run(["pgrep", "-f", "CoarseGrainedExecutorBackend"], capture_output=True, text=True).stdout.split()
    return [int(process) for process in found]


def test_the_job_gives_the_files_that_worker_gives_and_says_what_became_of_each_frame(town: Town) -> None:
    town.fill(cameras=3, frames=100, partitions=2)
    job = town.job("--from", "earliest", "--until", "end", "--max-offsets", "80")
    assert job.finish() == 0, job.text()[-4000:]
    expected = town.by_worker()
    assert len(expected) == 300
    assert town.files("output") == expected
    results = consume(town, f"{town.topic}.results")
    rows = [json.loads(str(record["value"])) for record in results]
    assert {(row["camera"], row["frame"]) for row in rows} == {(f"cam{c:02}", n) for c in range(3) for n in range(100)}
    assert all(row["status"] == "written" and row["latency_ms"] > 0 and os.path.isfile(row["path"]) for row in rows)
    assert "300 written, 0 kept, 0 dead" in job.text()
    assert "latency p95" in job.text()


def test_spark_submit_runs_the_job_as_the_guide_says(town: Town) -> None:
    town.fill(cameras=1, frames=30, partitions=1)
    job = town.job("--from", "earliest", "--until", "end", by=submit)
    assert job.finish() == 0, job.text()[-4000:]
    assert len(town.files("output")) == 30 and town.files("output") == town.by_worker()


def test_300_frames_give_the_same_files_by_run_by_worker_and_by_spark(town: Town) -> None:
    # Without loss, so that all three see the same pictures.
    loop = ["ffmpeg", "-nostdin", "-loglevel", "error", "-stream_loop", "3", "-i", str(SAMPLE), "-frames:v", "300", "-vf", "scale=240:-2,format=rgb24"]
    subprocess.run([*loop, "-c:v", "png", "clip.mkv"], cwd=town.path, check=True)
    (town.path / "pictures").mkdir()
    subprocess.run(["ffmpeg", "-nostdin", "-loglevel", "error", "-i", "clip.mkv", "pictures/%03d.png"], cwd=town.path, check=True)
    run = [str(BINARY), "run", "clip.mkv", "--camera-id", "cam01", "--out", "run", "--progress", "none"]
    subprocess.run(run, cwd=town.path, env=environment(), check=True, timeout=120)
    records: list[tuple[str | None, bytes | None]] = []
    for number, path in enumerate(sorted((town.path / "pictures").iterdir())):
        data = base64.b64encode(path.read_bytes()).decode()
        frame = {"camera_id": "cam01", "frame_id": number, "ts": 1.7e9 + number / 25, "codec": "png", "width": 240, "height": 136, "data_b64": data}
        records.append(("cam01", json.dumps(frame).encode()))
    town.fill(cameras=1, frames=1, partitions=1)  # makes the topic
    produce(town, records)
    assert town.job("--from", "earliest", "--until", "end", "--max-offsets", "70").finish() == 0
    by_run, by_worker = town.files("run"), town.by_worker()
    assert len(by_run) == 300
    mine = {name: data for name, data in town.files("output").items() if name.startswith("cam01/")}
    assert mine == by_run
    assert {name: data for name, data in by_worker.items() if name.startswith("cam01/")} == by_run


@pytest.mark.parametrize("trigger", ["micro", "realtime"])
def test_kill_9_of_executor_driver_and_broker_loses_nothing_and_changes_no_byte(town: Town, tmp_path: pathlib.Path, trigger: str) -> None:
    # At full size: SPARK_CHAOS_FRAMES=750
    frames = int(os.environ.get("SPARK_CHAOS_FRAMES", "250"))
    kafka = Service([ROOT / "scripts/kafka", "run", tmp_path / "broker"])
    try:
        town.broker = kafka.words[1]
        town.fill(cameras=4, frames=frames, partitions=2)
        flags = ("--from", "earliest", "--trigger", trigger, "--max-offsets", "60", "--checkpoint-interval", "5s")
        job = town.job(*flags)
        until("the first files", lambda: town.count("output") > 50)
        for process in executors():
            os.kill(process, signal.SIGKILL)
        before = town.count("output")
        until("files after the death of the executor", lambda: town.count("output") > before + 100)
        os.kill(int((tmp_path / "broker/broker.pid").read_text()), signal.SIGKILL)
        kafka.process.wait(60)
        kafka = Service([ROOT / "scripts/kafka", "run", tmp_path / "broker"])
        assert kafka.words[1] == town.broker
        before = town.count("output")
        until("files after the death of the broker", lambda: town.count("output") > before + 100)
        job.kill()
        assert town.count("output") < 4 * frames, "it was not killed in the middle"
        again = town.job(*flags)
        until("all files", lambda: town.count("output") >= 4 * frames)
        time.sleep(2)
        assert again.stop() == 130, again.text()[-4000:]
        assert town.files("output") == town.by_worker()
        assert not list((town.path / "output").glob("cam*/.mattebox-*")), "something half-written stayed"
    finally:
        kafka.stop()


def test_hostile_records_are_dead_letters_with_a_reason_and_the_query_goes_on(town: Town) -> None:
    chance = random.Random(7)
    town.fill(cameras=1, frames=250, partitions=1)
    whole = {"camera_id": "evil", "frame_id": 1, "ts": 1.5, "codec": "jpg", "width": 1, "height": 1, "data_b64": "AAAA"}
    kinds: list[bytes | None] = [
        None,
        b"",
        b"{",
        b"\xff\xd8\xff\xe0 half a picture",
        json.dumps({**whole, "camera_id": "../../evil"}).encode(),
        json.dumps({**whole, "frame_id": -1}).encode(),
        json.dumps({**whole, "frame_id": "seven"}).encode(),
        json.dumps({**whole, "data_b64": "!!!!"}).encode(),
        json.dumps(whole).encode(),
        chance.randbytes(700_000),
    ]
    # The client sends no record without both.
    values = [kinds[n % len(kinds)] for n in range(500)]
    produce(town, [(chance.choice(["cam00", "evil"] if value is None else [None, "cam00", "evil"]), value) for value in values])
    town.fill(cameras=1, frames=250, partitions=1)
    job = town.job("--from", "earliest", "--until", "end")
    assert job.finish() == 0, job.text()[-4000:]
    assert len(town.files("output")) == 500
    assert not (town.path / "evil").exists() and not (town.path.parent / "evil").exists()
    letters = consume(town, f"{town.topic}.dead")
    assert len(letters) == 500
    for letter in letters:
        headers = letter["headers"]
        assert isinstance(headers, dict)
        assert headers["mattebox-error-code"] and headers["mattebox-error-message"]
        assert headers["mattebox-error-topic"] == town.topic
    assert "500 written, 0 kept, 500 dead" in job.text()


def test_real_time_gives_the_same_files(town: Town) -> None:
    town.fill(cameras=2, frames=60, partitions=2)
    job = town.job("--from", "earliest", "--trigger", "realtime", "--checkpoint-interval", "5s")
    until("all files", lambda: town.count("output") >= 120)
    town.fill(cameras=2, frames=30, partitions=2)
    until("the second files", lambda: town.count("output") >= 180)
    # What the checkpoint has not when the job ends is made once more.
    until("lines for all batches", lambda: sum(map(int, re.findall(r": (\d+) frames in", job.text()))) >= 180)
    assert job.stop() == 130, job.text()[-4000:]
    assert town.files("output") == town.by_worker()
    # The same checkpoint serves the other trigger.
    town.fill(cameras=2, frames=10, partitions=2)
    assert town.job("--until", "end").finish() == 0
    assert town.count("output") == 200 and town.files("output") == town.by_worker()
    assert "20 written" in town.jobs[-1].text()


def test_real_time_with_too_few_cores_is_refused_with_a_reason(town: Town) -> None:
    town.fill(cameras=1, frames=1, partitions=3)
    job = town.job("--trigger", "realtime")
    assert job.finish() == 1
    assert "needs a core for each of the 3 partitions" in job.text()


def test_a_checkpoint_that_does_not_fit_its_topic_is_named_and_nothing_is_left_out(town: Town) -> None:
    town.fill(cameras=1, frames=40, partitions=1)
    assert town.job("--from", "earliest", "--until", "end").finish() == 0
    # The same checkpoint with another, younger topic of that name.
    offsets = max((town.path / "output/.checkpoint/offsets").glob("[0-9]*"), key=lambda path: int(path.name))
    (offsets.parent / f".{offsets.name}.crc").unlink(missing_ok=True)
    text = offsets.read_text().replace(f'"{town.topic}":{{"0":40}}', f'"{town.topic}":{{"0":4000}}')
    assert "4000" in text
    offsets.write_text(text)
    job = town.job("--from", "earliest", "--until", "end")
    assert job.finish() == 1
    assert "does not fit topic" in job.text() and "partition 0 ends at 40" in job.text() and "--on-stale-checkpoint" in job.text()
    # The oldest record, wherever a job without a checkpoint would begin.
    job = town.job("--from", "latest", "--until", "end", "--on-stale-checkpoint", "restart")
    assert job.finish() == 0, job.text()[-4000:]
    assert "40 written" in job.text()


def test_a_topic_that_was_made_anew_is_named_even_where_the_offsets_would_fit(town: Town) -> None:
    town.fill(cameras=1, frames=20, partitions=1)
    assert town.job("--from", "earliest", "--until", "end").finish() == 0
    delete(town, town.topic)
    town.fill(cameras=1, frames=30, partitions=1)
    job = town.job("--from", "earliest", "--until", "end")
    assert job.finish() == 1
    assert "the topic was made anew" in job.text() and town.count("output") == 20


def test_frames_are_published_too_and_each_row_says_where_they_are_from(town: Town) -> None:
    town.fill(cameras=2, frames=15, partitions=2)
    job = town.job("--from", "earliest", "--until", "end", "--publish-frames", f"{town.topic}.frames", "--format", "jpg")
    assert job.finish() == 0, job.text()[-4000:]
    files = {name: data.decode("latin-1") for name, data in town.files("output").items()}
    published = {}
    for record in consume(town, f"{town.topic}.frames"):
        headers = record["headers"]
        assert isinstance(headers, dict)
        assert headers["ce_type"] == "mattebox.matted.v1" and headers["content-type"] == "image/jpeg"
        published[f"{record['key']}/frame_{int(headers['ce_sequence']):06}.jpg"] = record["value"]
    assert len(files) == 30 and published == files


def test_a_job_waits_for_its_topic_and_stops_cleanly(town: Town) -> None:
    job = town.job("--from", "earliest", "--interval", "1s")
    until("it to wait", lambda: "waiting for topic" in job.text())
    town.fill(cameras=1, frames=20, partitions=1)
    until("the files", lambda: town.count("output") == 20)
    assert job.stop() == 130, job.text()[-4000:]


def test_no_broker_is_exit_3_and_names_it(town: Town) -> None:
    town.broker = "127.0.0.1:1"
    job = town.job("--connect-timeout", "2s")
    assert job.finish() == 3
    assert "no broker answered at 127.0.0.1:1 within 2 s" in job.text()
