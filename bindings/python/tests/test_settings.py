"""Flags and environment of the Spark job, without Spark."""

from __future__ import annotations

import inspect
import json
import os
import pathlib
import subprocess
import sys

import pytest

from conftest import BINARY, environment
from mattebox import Matte
from mattebox.spark import paths, query, settings, settings_json
from mattebox.spark.broker import Largest

ADDRESSES = [
    "s3://bucket/x",
    "s3a://key:secret@bucket/x",
    "S3A://bucket/x",
    "s3a:bucket",
    "gs://bucket/x",
    "hdfs:///x",
    "hdfs:/x",
    "abfss://a@b.dfs.core.windows.net/x",
    "http://host/x",
    "file://host/x",
    "file:x",
    "file:///a%20b",
    "topic:matted",
    "c:\\output",
    "C:/output",
    "",
]


def test_frames_have_the_defaults_of_every_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    for name in list(os.environ):
        if name.startswith("MATTEBOX_"):
            monkeypatch.delenv(name)
    printed = subprocess.run(
        [BINARY, "config", "--json"], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    wanted = json.loads(printed)
    job = settings.read([]).made
    python = inspect.signature(Matte).parameters
    for key in (
        "background",
        "matte",
        "people",
        "plate",
        "foreground_cleanup",
        "skip_still",
        "format",
        "jpeg_quality",
    ):
        assert job[key] == wanted[key]["value"], key
        assert python[key].default == wanted[key]["value"], key


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        settings.read(list(arguments))
    assert ended.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_is_no_folder_network_or_picture(
    address: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = [
        refusal(capsys, f"--out={address}"),
        refusal(capsys, f"--model={address}"),
        refusal(capsys, f"--background=image:{address}"),
    ]
    said.append(refusal(capsys, f"--camera-settings={address}"))
    flags = ["--out", "--model", "--background", "--camera-settings"]
    for flag, text in zip(flags, said, strict=True):
        assert f"argument {flag}: " in text and "secret" not in text, text
    with pytest.raises(paths.NotAPath):
        settings_json(out=address, group="g")
    for name, value in [
        ("OUTPUT_DIR", address),
        ("SEG_MODEL_PATH", address),
        ("MATTEBOX_BACKGROUND", f"image:{address}"),
        ("MATTEBOX_CAMERA_SETTINGS", address),
    ]:
        monkeypatch.setenv(name, value)
        if value:  # an empty variable is one that is not set
            assert refusal(capsys).startswith(
                f"python -m mattebox.spark: error: {name} in the environment: "
            )
        monkeypatch.delenv(name)


def test_a_path_is_a_path_however_it_is_written(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for text, path in [
        ("output", tmp_path / "output"),
        ("./s3a:", tmp_path / "s3a:"),
        ("2026-01-31T12:00", tmp_path / "2026-01-31T12:00"),
        ("/a/b:c", "/a/b:c"),
        ("file:///a/b", "/a/b"),
        ("file:/a/b", "/a/b"),
        ("FILE://localhost/a", "/a"),
    ]:
        read = settings.read(
            ["--out", text, "--model", text, "--background", f"IMAGE:{text}"]
            + ["--camera-settings", text]
        )
        assert read.made["camera_settings"] == str(path)
        assert (read.out, read.made["out"], read.made["model"]) == (str(path), str(path), str(path))
        assert read.made["background"] == f"image:{path}"
        assert read.checkpoint == os.path.join(str(path), ".checkpoint")


def test_the_range_of_colours_stays_behind_a_network(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert settings.read(["--model", "a.onnx:-1..1"]).made["model"] == f"{tmp_path}/a.onnx:-1..1"
    assert settings.read(["--model", "file:///a.onnx:imagenet"]).made["model"] == "/a.onnx:imagenet"


def test_a_checkpoint_may_be_on_any_file_system_of_spark(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for text in ("s3a://bucket/x", "hdfs:/x", "abfss://a@b/x"):
        assert settings.read(["--checkpoint", text]).checkpoint == text
    assert settings.read(["--checkpoint", "file:///a"]).checkpoint == "/a"
    assert settings.read(["--checkpoint", "here"]).checkpoint == str(tmp_path / "here")
    for text in ("c:\\x", "file://host/x", ""):
        assert "argument --checkpoint: " in refusal(capsys, f"--checkpoint={text}")


def test_the_environment_is_checked_as_flags_are_and_flags_win(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value, flag in [
        ("MATTEBOX_FROM", "noon", "--from=earliest"),
        ("MATTEBOX_UNTIL", "noon", "--until=end"),
        ("MATTEBOX_MATTE", "fuzzy", "--matte=hard"),
        ("MATTEBOX_TRIGGER", "soon", "--trigger=micro"),
        ("MATTEBOX_FSYNC", "perhaps", "--fsync=true"),
        ("JPEG_QUALITY", "best", "--jpeg-quality=9"),
        ("MATTEBOX_METRICS", "everywhere", "--metrics=127.0.0.1:0"),
        ("TOPIC_FRAMES", "a/b", "--topic=a"),
    ]:
        monkeypatch.setenv(name, value)
        assert name in refusal(capsys) and settings.read([flag])
        monkeypatch.delenv(name)
    monkeypatch.setenv("MATTEBOX_MATTE", "hard")
    assert settings.read([]).made["matte"] == "hard"
    assert settings.read(["--matte", "soft"]).made["matte"] == "soft"


def test_what_is_published_does_not_come_back_as_frames(capsys: pytest.CaptureFixture[str]) -> None:
    for flags in (
        ["--results=camera_frames"],
        ["--publish-frames=camera_frames"],
        ["--publish-frames=camera_frames.dead"],
    ):
        assert "is also the topic of" in refusal(capsys, *flags)
    assert "is also the topic of --results" in refusal(capsys, "--results=a", "--publish-frames=a")


def test_the_function_is_told_the_topics_and_how_much_they_take() -> None:
    largest = Largest(letter=7, frame=9)
    topics = {"results": "camera_frames.results", "dead": "camera_frames.dead", "max_dead_bytes": 7}
    assert query.publish(settings.read([]), largest) == topics
    with_pictures = query.publish(
        settings.read(["--publish-frames", "matted", "--results", "r"]), largest
    )
    assert with_pictures == {
        **topics,
        "results": "r",
        "pictures": {"topic": "matted", "max_bytes": 9},
    }


def test_a_file_that_is_there_is_kept_and_the_function_knows_its_topic() -> None:
    read = settings.read(["--topic", "t"])
    assert read.made["on_existing"] == "skip" and read.made["topics"] == {"t": None}
    assert settings.read(["--on-existing", "overwrite"]).made["on_existing"] == "overwrite"
    hours = "{camera}/{date}/{hour}/frame_{number}"
    assert (read.made["name"], settings.read(["--name", hours]).made["name"]) == ("number", hours)


def test_what_is_remembered_of_cameras_lies_in_the_checkpoint() -> None:
    for arguments, folder in [
        (["--out", "/o"], "/o/.checkpoint/mattebox-state"),
        (["--checkpoint", "/c/"], "/c/mattebox-state"),
        (["--checkpoint", "s3a://bucket/c"], "s3a://bucket/c/mattebox-state"),
    ]:
        assert settings.read(arguments).made["state_dir"] == folder


def test_the_job_as_a_program_refuses_before_spark_starts(tmp_path: pathlib.Path) -> None:
    for arguments, more in (
        (["--out", "s3a://bucket/x"], {}),
        ([], {"OUTPUT_DIR": "s3a://bucket/x"}),
    ):
        command = [sys.executable, "-m", "mattebox.spark", *arguments]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=environment(**more),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 2 and "s3a: is an address" in done.stderr, done.stderr
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments", [["--kafka", "me:hunter2@host:9092"], ["--kafka-option", "hunter2"]]
)
def test_a_secret_in_the_wrong_place_is_refused_and_not_repeated(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        settings.parser().parse_args(arguments)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "hunter2" not in said and arguments[0] in said
