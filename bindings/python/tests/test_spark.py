"""The Spark job against a real broker and a real standalone cluster. Each test is named after the
promise that it holds."""

from __future__ import annotations

import base64
import json
import os
import pathlib
import random
import re
import signal
import socket
import struct
import subprocess
import urllib.request
import zlib

import pytest
from pyspark.sql import SparkSession

from conftest import BINARY, ROOT, SAMPLE, Service, SparkPipeline, environment, submit, until
from mattebox.spark import checkpoint, failures, query, session, settings, settings_json
from mattebox.spark.broker import Largest

PYTHON_CLIENT = ROOT / "scripts/python-client"


def consume(pipeline: SparkPipeline, topic: str) -> list[dict[str, object]]:
    """All records of a topic, read by another Kafka client."""
    script = """
import json, sys
from kafka import KafkaConsumer, TopicPartition
broker, topic = sys.argv[1:]
consumer = KafkaConsumer(
    bootstrap_servers=broker, enable_auto_commit=False, consumer_timeout_ms=15000
)
partitions = [TopicPartition(topic, p) for p in sorted(consumer.partitions_for_topic(topic) or [])]
consumer.assign(partitions)
consumer.seek_to_beginning(*partitions)
ends = consumer.end_offsets(partitions)
while any(consumer.position(p) < ends[p] for p in partitions):
    for records in consumer.poll(1000).values():
        for r in records:
            headers = {k: v.decode("utf-8", "replace") for k, v in r.headers if v is not None}
            value = None if r.value is None else r.value.decode("latin-1")
            pairs = [(k, None if v is None else v.decode("latin-1")) for k, v in r.headers]
            record = {"key": r.key and r.key.decode("latin-1"), "value": value}
            record |= {"headers": headers, "pairs": pairs, "partition": r.partition}
            print(json.dumps(record))
"""
    python = subprocess.run(
        [PYTHON_CLIENT], capture_output=True, text=True, check=True
    ).stdout.strip()
    done = subprocess.run(
        [python, "-c", script, pipeline.broker, topic], capture_output=True, text=True, check=True
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def produce(pipeline: SparkPipeline, records: list[tuple[str | None, bytes | None]]) -> None:
    script = """
import base64, json, sys
from kafka import KafkaProducer
producer = KafkaProducer(bootstrap_servers=sys.argv[1], max_request_size=8 << 20)
for line in sys.stdin:
    key, value = json.loads(line)
    value = None if value is None else base64.b64decode(value)
    producer.send(sys.argv[2], key=key and key.encode(), value=value)
producer.flush()
"""
    python = subprocess.run(
        [PYTHON_CLIENT], capture_output=True, text=True, check=True
    ).stdout.strip()
    lines = (
        json.dumps([key, None if value is None else base64.b64encode(value).decode()])
        for key, value in records
    )
    subprocess.run(
        [python, "-c", script, pipeline.broker, pipeline.topic],
        input="\n".join(lines),
        text=True,
        check=True,
    )


def delete(pipeline: SparkPipeline, topic: str) -> None:
    """Removes a topic, and waits until it is gone."""
    script = """
import sys, time
from kafka import KafkaAdminClient
admin = KafkaAdminClient(bootstrap_servers=sys.argv[1])
admin.delete_topics([sys.argv[2]])
while sys.argv[2] in admin.list_topics():
    time.sleep(0.1)
"""
    python = subprocess.run(
        [PYTHON_CLIENT], capture_output=True, text=True, check=True
    ).stdout.strip()
    subprocess.run([python, "-c", script, pipeline.broker, topic], check=True, timeout=60)


def executors(spark_worker: int) -> list[int]:
    """The processes of the executors of these tests' cluster."""
    found = subprocess.run(
        ["pgrep", "-P", str(spark_worker), "-f", "CoarseGrainedExecutorBackend"],
        capture_output=True,
        text=True,
    ).stdout.split()
    return [int(process) for process in found]


def test_the_job_gives_the_files_that_worker_gives_and_says_what_became_of_each_frame(
    pipeline: SparkPipeline,
) -> None:
    pipeline.fill(cameras=3, frames=100, partitions=2)
    job = pipeline.job("--from", "earliest", "--until", "end", "--max-offsets", "80")
    assert job.finish() == 0, job.text()[-4000:]
    expected = pipeline.by_worker()
    assert len(expected) == 300
    assert pipeline.files("output") == expected
    results = consume(pipeline, f"{pipeline.topic}.results")
    rows = [json.loads(str(record["value"])) for record in results]
    assert {(row["camera"], row["frame"]) for row in rows} == {
        (f"cam{c:02}", n) for c in range(3) for n in range(100)
    }
    assert all(
        row["status"] == "written" and row["latency_ms"] > 0 and os.path.isfile(row["path"])
        for row in rows
    )
    assert "300 written, 0 skipped, 0 dead" in job.text()
    assert "latency p95" in job.text()
    # The states of cameras are beside the checkpoint, at least for each partition's end.
    states = pipeline.path / f"output/.checkpoint/mattebox-state/{pipeline.topic}"
    ends = json.loads(
        max(
            (pipeline.path / "output/.checkpoint/offsets").glob("[0-9]*"),
            key=lambda path: int(path.name),
        )
        .read_text()
        .splitlines()[2]
    )
    for partition, end in (
        (partition, end) for partition, end in ends[pipeline.topic].items() if end > 0
    ):
        assert list((states / partition).glob(f"{end:020}-*")), (
            f"partition {partition} has no object for its end {end}"
        )
    assert not (pipeline.path / "output/.state").exists()


def test_spark_submit_runs_the_job_as_the_guide_says(pipeline: SparkPipeline) -> None:
    pipeline.fill(cameras=1, frames=30, partitions=1)
    job = pipeline.job("--from", "earliest", "--until", "end", by=submit)
    assert job.finish() == 0, job.text()[-4000:]
    assert len(pipeline.files("output")) == 30 and pipeline.files("output") == pipeline.by_worker()


@pytest.mark.parametrize(("name", "value"), [("--people", "nearest"), ("--matte", "fine")])
def test_300_frames_of_two_people_give_the_same_files_by_run_by_worker_and_by_spark(
    pipeline: SparkPipeline, name: str, value: str
) -> None:
    # Without loss, so that all three see the same pictures.
    pair = (
        "scale=240:-2,split[near][copy];[copy]scale=96:-2,hflip[far];"
        "[near][far]overlay=W-w:H-h,format=rgb24"
    )
    loop = [
        "ffmpeg",
        "-nostdin",
        "-loglevel",
        "error",
        "-stream_loop",
        "3",
        "-i",
        str(SAMPLE),
        "-frames:v",
        "300",
        "-vf",
        pair,
    ]
    subprocess.run([*loop, "-c:v", "png", "clip.mkv"], cwd=pipeline.path, check=True)
    (pipeline.path / "pictures").mkdir()
    subprocess.run(
        ["ffmpeg", "-nostdin", "-loglevel", "error", "-i", "clip.mkv", "pictures/%03d.png"],
        cwd=pipeline.path,
        check=True,
    )

    def run(out: str, *more: str) -> dict[str, bytes]:
        command = [
            str(BINARY),
            "run",
            "clip.mkv",
            "--camera-id",
            "cam01",
            "--out",
            out,
            "--progress",
            "none",
            *more,
        ]
        subprocess.run(command, cwd=pipeline.path, env=environment(), check=True, timeout=120)
        return pipeline.files(out)

    records: list[tuple[str | None, bytes | None]] = []
    for number, path in enumerate(sorted((pipeline.path / "pictures").iterdir())):
        data = base64.b64encode(path.read_bytes()).decode()
        frame = {
            "camera_id": "cam01",
            "frame_id": number,
            "ts": 1.7e9 + number / 25,
            "codec": "png",
            "width": 240,
            "height": 136,
            "data_b64": data,
        }
        records.append(("cam01", json.dumps(frame).encode()))
    pipeline.fill(cameras=1, frames=1, partitions=1)  # makes the topic
    produce(pipeline, records)
    assert (
        pipeline.job(
            "--from", "earliest", "--until", "end", "--max-offsets", "70", name, value
        ).finish()
        == 0
    )
    by_run, by_worker = run("run", name, value), pipeline.by_worker(name, value)
    assert len(by_run) == 300
    assert sum(by_run[file] != data for file, data in run("soft").items()) > 200, (
        f"{name} {value} changes nothing"
    )
    by_spark = pipeline.files("output")
    for files in (by_spark, by_worker):
        assert {file: data for file, data in files.items() if file.startswith("cam01/")} == by_run


@pytest.mark.parametrize("trigger", ["micro", "realtime"])
def test_kill_9_of_executor_driver_and_broker_loses_nothing_and_changes_no_byte(
    pipeline: SparkPipeline, tmp_path: pathlib.Path, spark_worker: int, trigger: str
) -> None:
    # At full size: SPARK_CHAOS_FRAMES=750
    frames = int(os.environ.get("SPARK_CHAOS_FRAMES", "250"))
    kafka = Service([ROOT / "scripts/kafka", "run", tmp_path / "broker"])
    try:
        pipeline.broker = kafka.words[1]
        pipeline.fill(cameras=4, frames=frames, partitions=2)
        flags = (
            "--from",
            "earliest",
            "--trigger",
            trigger,
            "--max-offsets",
            "60",
            "--checkpoint-interval",
            "5s",
        )
        job = pipeline.job(*flags)
        until("the first files", lambda: pipeline.count("output") > 50)
        killed = executors(spark_worker)
        assert killed, "no executor runs"
        for process in killed:
            os.kill(process, signal.SIGKILL)
        before = pipeline.count("output")
        until(
            "files after the death of the executor", lambda: pipeline.count("output") > before + 100
        )
        os.kill(int((tmp_path / "broker/broker.pid").read_text()), signal.SIGKILL)
        kafka.process.wait(60)
        kafka = Service([ROOT / "scripts/kafka", "run", tmp_path / "broker"])
        assert kafka.words[1] == pipeline.broker
        before = pipeline.count("output")
        until(
            "files after the death of the broker", lambda: pipeline.count("output") > before + 100
        )
        job.kill()
        assert pipeline.count("output") < 4 * frames, "it was not killed in the middle"
        again = pipeline.job(*flags)
        until("all files", lambda: pipeline.count("output") >= 4 * frames)
        until("a finished batch", lambda: " frames in " in again.text(), job=again)
        assert again.stop() == 130, again.text()[-4000:]
        assert pipeline.files("output") == pipeline.by_worker()
        assert not list((pipeline.path / "output").glob("cam*/.mattebox-*")), (
            "something half-written stayed"
        )
    finally:
        kafka.stop()


def test_hostile_records_are_dead_letters_with_a_reason_and_the_query_goes_on(
    pipeline: SparkPipeline,
) -> None:
    chance = random.Random(7)
    pipeline.fill(cameras=1, frames=250, partitions=1)
    whole = {
        "camera_id": "evil",
        "frame_id": 1,
        "ts": 1.5,
        "codec": "jpg",
        "width": 1,
        "height": 1,
        "data_b64": "AAAA",
    }
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
    produce(
        pipeline,
        [
            (chance.choice(["cam00", "evil"] if value is None else [None, "cam00", "evil"]), value)
            for value in values
        ],
    )
    pipeline.fill(cameras=1, frames=250, partitions=1)
    job = pipeline.job("--from", "earliest", "--until", "end")
    assert job.finish() == 0, job.text()[-4000:]
    assert len(pipeline.files("output")) == 500
    assert not (pipeline.path / "evil").exists() and not (pipeline.path.parent / "evil").exists()
    letters = consume(pipeline, f"{pipeline.topic}.dead")
    assert len(letters) == 500
    for letter in letters:
        headers = letter["headers"]
        assert isinstance(headers, dict)
        assert headers["mattebox-error-code"] and headers["mattebox-error-message"]
        assert headers["mattebox-error-topic"] == pipeline.topic
    assert "500 written, 0 skipped, 500 dead" in job.text()


def test_real_time_gives_the_same_files(pipeline: SparkPipeline) -> None:
    pipeline.fill(cameras=2, frames=60, partitions=2)
    job = pipeline.job("--from", "earliest", "--trigger", "realtime", "--checkpoint-interval", "5s")
    until("all files", lambda: pipeline.count("output") >= 120)
    pipeline.fill(cameras=2, frames=30, partitions=2)
    until("the second files", lambda: pipeline.count("output") >= 180)
    # Frames that are not in the checkpoint when the job ends are processed again.
    until(
        "lines for all batches",
        lambda: sum(map(int, re.findall(r": (\d+) frames in", job.text()))) >= 180,
    )
    assert job.stop() == 130, job.text()[-4000:]
    assert pipeline.files("output") == pipeline.by_worker()
    # The other trigger continues from the same checkpoint.
    pipeline.fill(cameras=2, frames=10, partitions=2)
    assert pipeline.job("--until", "end").finish() == 0
    assert pipeline.count("output") == 200 and pipeline.files("output") == pipeline.by_worker()
    assert "20 written" in pipeline.jobs[-1].text()


def first_pixel(path: pathlib.Path) -> bytes:
    """Red, green and blue of a PNG file's first pixel, which no filter changes."""
    data, at, packed = path.read_bytes(), 8, b""
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        if kind == b"IDAT":
            packed += data[at + 8 : at + 8 + size]
        at += size + 12
    return zlib.decompress(packed)[1:4]


def test_cameras_have_their_own_settings_and_a_running_task_follows_their_file(
    pipeline: SparkPipeline,
) -> None:
    file = pipeline.path / "cameras.toml"

    def set_backgrounds(first: str, second: str) -> None:
        new = pipeline.path / "new.toml"
        new.write_text(f"[cam00]\nbackground = {first!r}\n[cam01]\nbackground = {second!r}\n")
        new.replace(file)

    own = ("--camera-settings", file.name)
    set_backgrounds("red", "lime")
    pipeline.fill(cameras=2, frames=10, partitions=1)
    # One task from the beginning to the end.
    trigger = ("--trigger", "realtime", "--checkpoint-interval", "1h")
    job = pipeline.job("--from", "earliest", *trigger, *own)
    until("the first files", lambda: pipeline.count("output") == 20, job=job)
    first = pipeline.files("output")
    assert first == pipeline.by_worker(*own)
    assert first_pixel(pipeline.path / "output/cam00/frame_000000.png") == b"\xff\0\0"
    assert first_pixel(pipeline.path / "output/cam01/frame_000000.png") == b"\0\xff\0"

    def more(frames: int) -> int:
        """The number of the first new frame of each camera."""
        there = pipeline.count("output")
        pipeline.fill(cameras=2, frames=frames, partitions=1)
        until("the files", lambda: pipeline.count("output") == there + 2 * frames, job=job)
        return there // 2

    def is_followed() -> bool:
        newest = pipeline.path / f"output/cam01/frame_{more(1):06}.png"
        return first_pixel(newest) == b"\0\0\xff"

    set_backgrounds("red", "blue")
    until("the new background", is_followed, job=job)
    begun = more(5)
    assert job.stop() == 130, job.text()[-4000:]
    made = pipeline.files("output")
    assert {name: made[name] for name in first} == first
    expected = pipeline.by_worker(*own, out="again")
    later = [
        f"{camera}/frame_{begun + n:06}.png" for camera in ("cam00", "cam01") for n in range(5)
    ]
    assert [made[name] for name in later] == [expected[name] for name in later]


def test_real_time_with_too_few_cores_is_refused_with_a_reason(pipeline: SparkPipeline) -> None:
    pipeline.fill(cameras=1, frames=1, partitions=3)
    job = pipeline.job("--trigger", "realtime")
    assert job.finish() == 1
    assert "needs a core for each of the 3 partitions" in job.text()


def test_a_checkpoint_that_does_not_fit_its_topic_is_named_and_nothing_is_left_out(
    pipeline: SparkPipeline,
) -> None:
    pipeline.fill(cameras=1, frames=40, partitions=1)
    assert pipeline.job("--from", "earliest", "--until", "end").finish() == 0
    # The same checkpoint with another, younger topic of that name.
    offsets = max(
        (pipeline.path / "output/.checkpoint/offsets").glob("[0-9]*"),
        key=lambda path: int(path.name),
    )
    (offsets.parent / f".{offsets.name}.crc").unlink(missing_ok=True)
    text = offsets.read_text().replace(
        f'"{pipeline.topic}":{{"0":40}}', f'"{pipeline.topic}":{{"0":4000}}'
    )
    assert "4000" in text
    offsets.write_text(text)
    job = pipeline.job("--from", "earliest", "--until", "end")
    assert job.finish() == 1
    assert (
        "does not fit topic" in job.text()
        and "partition 0 ends at 40" in job.text()
        and "--on-stale-checkpoint" in job.text()
    )
    # It begins with the oldest record, whatever --from says.
    job = pipeline.job("--from", "latest", "--until", "end", "--on-stale-checkpoint", "restart")
    assert job.finish() == 0, job.text()[-4000:]
    assert "0 written, 40 skipped" in job.text()


def test_a_topic_that_was_made_anew_is_named_even_where_the_offsets_would_fit(
    pipeline: SparkPipeline,
) -> None:
    pipeline.fill(cameras=1, frames=20, partitions=1)
    assert pipeline.job("--from", "earliest", "--until", "end").finish() == 0
    delete(pipeline, pipeline.topic)
    pipeline.fill(cameras=1, frames=30, partitions=1)
    job = pipeline.job("--from", "earliest", "--until", "end")
    assert job.finish() == 1
    assert "the topic was created again" in job.text() and pipeline.count("output") == 20
    before = pipeline.files("output")
    job = pipeline.job("--from", "earliest", "--until", "end", "--on-stale-checkpoint", "restart")
    assert job.finish() == 0, job.text()[-4000:]
    after = pipeline.files("output")
    assert len(after) == 50 and {name: after[name] for name in before} == before


def test_frames_are_published_with_the_bytes_and_headers_of_a_worker_and_can_be_viewed(
    pipeline: SparkPipeline,
) -> None:
    pipeline.fill(cameras=2, frames=15, partitions=2)
    produce(pipeline, [("cam00", b"{")])  # a dead letter is none
    mine, theirs = f"{pipeline.topic}.mine", f"{pipeline.topic}.theirs"
    job = pipeline.job("--from", "earliest", "--publish-frames", mine, "--format", "jpg")
    until("the files", lambda: pipeline.count("output") >= 30)
    page = pipeline.page(mine)

    def look(path: str) -> bytes:
        with urllib.request.urlopen(f"{page}{path}") as answer:
            return bytes(answer.read())

    def is_shown() -> bool:
        pipeline.fill(cameras=2, frames=5, partitions=2)
        return {camera["id"] for camera in json.loads(look("/api/cameras"))["cameras"]} == {
            "cam00",
            "cam01",
        }

    # It shows new records only, and there is no other sign that it has begun.
    until("both cameras", is_shown)
    assert look("/api/cameras/cam01/frame.png").startswith(b"\x89PNG")
    headers = consume(pipeline, pipeline.topic)[-1]["headers"]
    frames = 2 * json.loads(headers["ce_sequence"]) + 2  # type: ignore[index, call-overload]
    until("all files", lambda: pipeline.count("output") >= frames)
    assert job.stop() == 130, job.text()[-4000:]
    pipeline.mattebox(
        "worker",
        "--until",
        "end",
        "--group",
        "compare",
        "--out",
        f"topic:{theirs}",
        "--format",
        "jpg",
    )

    def records(topic: str) -> list[tuple[object, ...]]:
        found = consume(pipeline, topic)
        return sorted(
            (r["key"], int(r["headers"]["ce_sequence"]), r["partition"], r["value"], r["pairs"])
            for r in found
        )  # type: ignore[index, call-overload]

    published = records(mine)
    assert len(published) == frames
    assert published == records(theirs)
    files = {f"{key}/frame_{number:06}.jpg": value for key, number, _, value, _ in published}
    assert files == {
        name: data.decode("latin-1") for name, data in pipeline.files("output").items()
    }


def test_a_job_waits_for_its_topic_and_stops_cleanly(pipeline: SparkPipeline) -> None:
    job = pipeline.job("--from", "earliest", "--interval", "1s")
    until("it to wait", lambda: "waiting for topic" in job.text())
    pipeline.fill(cameras=1, frames=20, partitions=1)
    until("the files", lambda: pipeline.count("output") == 20)
    assert job.stop() == 130, job.text()[-4000:]


@pytest.mark.parametrize(
    "broker_at", ["127.0.0.1:1", "nowhere.invalid:9092"], ids=["refused", "unknown"]
)
def test_no_broker_is_exit_3_and_names_it(pipeline: SparkPipeline, broker_at: str) -> None:
    pipeline.broker = broker_at
    job = pipeline.job("--connect-timeout", "2s")
    assert job.finish() == 3
    assert (
        f"no broker answered at {broker_at} within 2 s" in job.text()
        and "Traceback" not in job.text()
    )


def test_a_job_that_starts_before_its_broker_waits_for_it_and_ctrl_c_ends_it(
    pipeline: SparkPipeline, tmp_path: pathlib.Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    pipeline.broker = f"127.0.0.1:{port}"
    job = pipeline.job("--from", "earliest")
    until("it to wait", lambda: "waiting for the broker" in job.text())
    kafka = Service([ROOT / "scripts/kafka", "run", tmp_path / "broker", "--port", port])
    try:
        until("it to wait for the topic", lambda: "waiting for topic" in job.text())
        pipeline.fill(cameras=1, frames=10, partitions=1)
        until("the files", lambda: pipeline.count("output") == 10)
        assert job.stop(signal.SIGINT) == 130
        assert "Traceback" not in job.text()
    finally:
        kafka.stop()


def test_a_network_that_cannot_be_used_ends_the_job_before_it_reads(
    pipeline: SparkPipeline,
) -> None:
    (pipeline.path / "model.tflite").write_text("no network")
    job = pipeline.job(by=submit, SEG_MODEL_PATH="model.tflite")
    assert job.finish() == 2, job.text()[-4000:]
    assert f"setting model: {pipeline.path}/model.tflite: " in job.text()
    assert (
        "waiting" not in job.text()
        and "Traceback" not in job.text()
        and not (pipeline.path / "output").exists()
    )


def test_settings_of_cameras_that_cannot_be_used_end_the_job_before_it_reads(
    pipeline: SparkPipeline,
) -> None:
    file = pipeline.path / "cameras.toml"
    file.write_text('[cam00]\nmatte = "fuzzy\n')
    job = pipeline.job(MATTEBOX_CAMERA_SETTINGS=file.name)
    assert job.finish() == 2, job.text()[-4000:]
    said = [line for line in job.text().splitlines() if " ERROR " in line]
    begin = f"ERROR setting camera_settings: the settings of cameras in {file}: TOML parse error at"
    assert len(said) == 1 and begin in said[0], job.text()[-4000:]
    assert "waiting" not in job.text() and "Traceback" not in job.text()
    assert not (pipeline.path / "output").exists()


def test_a_network_that_only_the_executors_lack_ends_the_job(pipeline: SparkPipeline) -> None:
    model = pipeline.path / "model.tflite"
    model.write_bytes((ROOT / "crates/net/model/selfie_segmentation.tflite").read_bytes())
    job = pipeline.job("--from", "earliest", "--model", "model.tflite")
    until("it to wait", lambda: "waiting for topic" in job.text())
    model.unlink()
    pipeline.fill(cameras=1, frames=2, partitions=1)
    assert job.finish() == 2, job.text()[-4000:]
    assert re.search(
        r"ERROR setting model: cannot read \S+/model.tflite on this machine: .* \(on \S+\)",
        job.text(),
    )
    assert "Traceback" not in job.text()


def test_settings_are_checked_on_the_driver_as_on_an_executor(
    spark: SparkSession, tmp_path: pathlib.Path
) -> None:
    good = settings.read(["--out", str(tmp_path / "out")]).made
    session.check(spark, good)
    (tmp_path / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    for name, value, words in [
        ("model", str(tmp_path), "it is not a file"),
        ("model", str(tmp_path / "gone"), "gone on this machine"),
        ("background", "octarine", "unknown background"),
        ("background", f"image:{tmp_path}/gone.png", "gone.png"),
        ("background", f"image:{tmp_path}/cut.png", "cut.png"),
        ("background", "video:a.mp4", "background"),
        ("camera_settings", str(tmp_path / "gone"), "gone on this machine"),
        ("camera_settings", str(tmp_path / "cut.png"), "cut.png"),
        ("matte", "fuzzy", "fine or fine:always"),
        ("people", "0", "nearest or a number"),
        ("plate", "on", "auto or off"),
        ("format", "gif", "png, jpg or webp"),
        ("simd", "mmx", "sse4.2"),
        ("jpeg_quality", 300, "between 1 and 100"),
        ("max_megapixels", 5000, "between 1 and 4096"),
        ("out", "s3a://bucket/x", "s3a: is an address"),
        ("group", "", "group"),
        ("colour", "gray", "colour"),
    ]:
        with pytest.raises(failures.SettingsError, match=re.escape(words)):
            session.check(spark, {**good, name: value})
    assert not (tmp_path / "out").exists(), "the folder is the executors' to make"


def test_the_folder_of_another_job_is_refused_on_the_driver(
    spark: SparkSession, tmp_path: pathlib.Path
) -> None:
    mine = settings.read(["--topic", "t", "--group", "mine", "--out", str(tmp_path)]).made
    session.check(spark, mine)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / ".mattebox").mkdir()
    owner = {"version": 1, "kind": "spark", "topic": "t", "group": "theirs"}
    (tmp_path / ".mattebox/owner").write_text(json.dumps(owner))
    with pytest.raises(
        failures.SettingsError, match="belongs to the Spark job of group theirs, topic t"
    ):
        session.check(spark, mine)
    session.check(spark, {**mine, "group": "theirs"})


def png(width: int, height: int) -> bytes:
    """A gray picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    rows = zlib.compress((b"\0" + b"\x80" * width) * height)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
        + chunk(b"IDAT", rows)
        + chunk(b"IEND", b"")
    )


def test_the_function_makes_the_records_and_sql_only_routes_them(
    spark: SparkSession, tmp_path: pathlib.Path
) -> None:
    told = settings.read(
        ["--topic", "t", "--out", str(tmp_path / "out"), "--publish-frames", "matted"]
    )
    states = tmp_path / "out/.checkpoint/mattebox-state"
    states.mkdir(parents=True)
    frame = {
        "camera_id": "cam01",
        "frame_id": 3,
        "ts": 1.7e9,
        "codec": "png",
        "data_b64": base64.b64encode(png(64, 48)).decode(),
    }
    before = [(f"h{n}", None if n % 2 else b"\xff\0") for n in range(70)]
    records = [
        ("t", 0, 0, bytearray(b"cam01"), bytearray(json.dumps(frame).encode()), None),
        (
            "t",
            0,
            1,
            bytearray(b"\xff"),
            bytearray(b"?"),
            [*before, ("mattebox-error-code", b"old"), ("last", b"")],
        ),
        ("t", 0, 2, None, None, None),
        ("t", 0, 3, None, bytearray(b"x" * 1001), []),
    ]
    kinds = (
        "topic string, partition int, offset long, key binary, value binary, "
        "headers array<struct<key: string, value: binary>>"
    )
    rows = query.for_kafka(
        query.made(spark.createDataFrame(records, kinds), told, Largest(letter=1000, frame=1 << 20))
    ).collect()
    made = [
        (row.topic, row.key, row.value, [(key, value) for key, value in row.headers])
        for row in rows
    ]
    assert [topic for topic, *_ in made] == ["t.results", "matted", "t.dead", "t.dead", "t.dead"]
    path = tmp_path / "out/cam01/frame_000003.png"
    _, key, value, headers = made[0]
    latency = json.loads(value)["latency_ms"]
    size = path.stat().st_size
    assert (key, headers) == (b"cam01", [("content-type", b"application/json")])
    text = spark.sql(f"SELECT cast({latency!r}D AS string)").first()[0]  # type: ignore[index]
    status = (
        f'{{"camera":"cam01","frame":3,"status":"written","path":"{path}","bytes":{size},'
        '"width":64,"height":48,'
        f'"taken_us":1700000000000000,"latency_ms":{text},'
        '"topic":"t","partition":0,"offset":0}'
    )
    assert value.decode() == status
    _, key, value, headers = made[1]
    assert (key, value) == (b"cam01", path.read_bytes())
    assert headers[:2] == [("ce_specversion", b"1.0"), ("ce_id", b"cam01/-/3")]

    def reason(code: str, offset: int) -> list[tuple[str, bytes]]:
        return [
            ("mattebox-error-code", code.encode()),
            ("mattebox-error-topic", b"t"),
            ("mattebox-error-partition", b"0"),
            ("mattebox-error-offset", str(offset).encode()),
        ]

    letters = [
        (key, value, [header for header in headers if header[0] != "mattebox-error-message"])
        for _, key, value, headers in made[2:]
    ]
    assert letters == [
        (b"\xff", b"?", [*before, ("last", b""), *reason("not-a-frame", 1)]),
        (None, None, reason("null-value", 2)),
        (None, None, [*reason("not-a-frame", 3), ("mattebox-error-value-bytes", b"1001")]),
    ]
    # Each task writes one object, named by the offset after its last record.
    assert [path.name[:21] for path in (states / "t/0").glob("*.full")] == ["00000000000000000004-"]
    assert (states / "t/0").stat().st_mode & 0o777 == 0o700
    assert not (tmp_path / "out/.state").exists()


def test_an_executor_that_does_not_see_the_checkpoint_says_so(
    spark: SparkSession, tmp_path: pathlib.Path
) -> None:
    made = settings_json(
        out=str(tmp_path / "out"), group="g", state_dir=str(tmp_path / "elsewhere")
    )
    none = "cast(null AS binary)"
    headers = "cast(null AS array<struct<key: string, value: binary>>)"
    rows = spark.range(1).selectExpr(
        f"mattebox('t', 0, id, {none}, {none}, {headers}, {made}) AS made"
    )
    with pytest.raises(
        Exception,
        match=r"setting state_dir: there is no \S+/elsewhere on \S+: the checkpoint must be in a "
        "folder that",
    ):
        rows.collect()


def test_a_checkpoint_that_cannot_be_written_is_said(
    spark: SparkSession, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "file").write_text("")
    checkpoint.probe(spark, str(tmp_path / "a/b"))
    assert list((tmp_path / "a/b").iterdir()) == []
    for path, exit_code in [
        (f"{tmp_path}/file", 1),
        (f"{tmp_path}/file/below", 1),
        ("/proc/below", 1),
        ("s3a://me:secret@bucket/x", 2),
        ("S3A://bucket/x", 2),
        ("http://127.0.0.1:1/x", 2),
        ("nosuch:/x", 2),
    ]:
        with pytest.raises(failures.JobError) as raised:
            checkpoint.probe(spark, path)
        text = str(raised.value)
        assert (
            raised.value.exit_code == exit_code
            and text.startswith("--checkpoint ")
            and "\n" not in text
            and "secret" not in text
        ), text
