"""The job's messages about failures: one sentence for each, and whether it tries again."""

from __future__ import annotations

import logging
import re
import uuid

import pytest
from pyspark.sql import SparkSession

from mattebox.spark import failures
from mattebox.spark.health import REPEAT_S, Repeats


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even this")


def said(error: object) -> list[str]:
    """All messages about an exception; a signal has an exit code only."""
    told = [failures.sentence(error), failures.of_query(error).reason]
    return [*told, failures.of_start(error).reason] if isinstance(error, BaseException) else told


def is_one_sentence(text: str) -> bool:
    return bool(text.strip()) and "\n" not in text and "Traceback" not in text


@pytest.mark.parametrize(
    "words", [None, "", " \n\t ", "\n", "one", "one\ntwo", "x" * 10_000, "100 % {} {x} %s", "\0"]
)
@pytest.mark.parametrize(
    "kind",
    [
        Exception,
        KeyError,
        ValueError,
        OSError,
        AssertionError,
        failures.JobError,
        failures.Unreachable,
        failures.Denied,
        Mute,
    ],
)
def test_every_exception_of_python_gives_one_sentence(
    kind: type[Exception], words: str | None
) -> None:
    for error in (kind(words), kind()):
        for text in said(error):
            assert (
                is_one_sentence(text) or str(error) == words and issubclass(kind, failures.JobError)
            ), repr(text)


def test_every_exception_of_java_gives_one_sentence(spark: SparkSession) -> None:
    jvm = spark._jvm
    assert jvm is not None
    lang = jvm.java.lang
    for words in (None, "", " \n ", "one", "one two\nthree"):
        for cause in (
            lang.IllegalStateException(words),
            lang.NullPointerException(words),
            jvm.java.io.IOException(words),
            jvm.java.nio.file.NoSuchFileException(words),
            jvm.org.apache.kafka.common.errors.TimeoutException(words),
            jvm.org.apache.kafka.common.errors.TopicAuthorizationException(words or ""),
            jvm.org.apache.kafka.common.errors.SslAuthenticationException(words),
            jvm.org.apache.spark.SparkException(words, None),
        ):
            for error in (
                cause,
                lang.RuntimeException(cause),
                lang.RuntimeException(words, cause),
                jvm.java.util.concurrent.ExecutionException(cause),
            ):
                assert all(map(is_one_sentence, said(error))), said(error)


def test_a_message_that_only_names_something_gets_its_kind(spark: SparkSession) -> None:
    jvm = spark._jvm
    assert jvm is not None
    assert (
        failures.sentence(jvm.java.nio.file.NoSuchFileException("/nowhere.pem"))
        == "no such file: /nowhere.pem"
    )
    assert (
        failures.sentence(jvm.java.lang.IllegalStateException())
        == "java.lang.IllegalStateException without a message"
    )
    assert failures.sentence(jvm.java.lang.IllegalStateException("one two\nthree")) == "one two"
    assert failures.sentence(RuntimeError()) == "RuntimeError without a message"
    assert failures.sentence(KeyError("x")) == "key error: 'x'"


# Spark's text around the failure of a task.
TASK = (
    "Job aborted due to stage failure: Lost task 0.3 in stage 1.0 (TID 3) (10.0.0.7 executor 0): "
    "org.apache.spark.SparkException: [FAILED]\n\tat x.Y.z(Y.java:1)\n"
)


@pytest.mark.parametrize(
    ("thrown", "exit_code", "reason"),
    [
        (
            "io.mattebox.spark.SettingsException: setting model: x (on h)",
            2,
            "setting model: x (on h)",
        ),
        (
            "org.apache.kafka.common.errors.TopicAuthorizationException: Not authorized to access "
            "topics: [t.results]",
            1,
            "Not authorized to access topics: [t.results]: give the job's user READ on --topic, "
            "and WRITE on the topics of results and dead letters",
        ),
        (
            "java.lang.UnsatisfiedLinkError: no library for linux-arm64",
            1,
            "no library for linux-arm64: use the wheel that was built for the executors' machines",
        ),
        ("io.mattebox.spark.MatteboxException: disk full", None, "disk full"),
        (
            "java.io.IOException: No space left on device",
            None,
            "java.io.IOException: No space left on device",
        ),
        (
            "org.apache.kafka.common.errors.SaslAuthenticationException: not now",
            None,
            "org.apache.kafka.common.errors.SaslAuthenticationException: not now",
        ),
        ("java.lang.IllegalStateException", None, "java.lang.IllegalStateException"),
    ],
)
def test_a_task_that_no_try_can_mend_ends_the_job_and_others_are_tried_again(
    spark: SparkSession, thrown: str, exit_code: int | None, reason: str
) -> None:
    jvm = spark._jvm
    assert jvm is not None
    failure = failures.of_query(
        jvm.java.lang.RuntimeException(f"{TASK}Caused by: {thrown}\n\tat a.B.c(B.java:2)\n")
    )
    assert failure == failures.Failure(reason, exit_code or 1, exit_code is None)


def test_an_executor_that_died_is_named() -> None:
    text = (
        "org.apache.spark.SparkException: Job aborted due to stage failure: Task 0 in stage 7.0 "
        "failed 1 times, most recent failure: Lost task 0.0 in stage 7.0 (TID 70) (10.0.0.7 "
        "executor 0): ExecutorLostFailure (executor 0 exited) Reason: exit code 137\nDriver stack:"
    )
    assert failures.of_query(RuntimeError(text)).reason == (
        "(10.0.0.7 executor 0): ExecutorLostFailure (executor 0 exited) Reason: exit code 137"
    )


def test_a_broker_that_is_away_is_tried_again() -> None:
    assert failures.of_query(failures.Unreachable("no broker")).is_passing
    assert not failures.of_query(failures.Denied("no")).is_passing


def test_a_cause_that_goes_on_is_said_once_a_minute_with_its_count(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = 0.0
    repeats = Repeats(lambda: now)
    for n in range(130):
        now = float(n)
        repeats.say(logging.WARNING, f"cannot write frame_{n}.png of {uuid.UUID(int=n)}")
    repeats.say(logging.WARNING, "another cause")
    repeats.forget()
    repeats.say(logging.WARNING, f"cannot write frame_1.png of {uuid.UUID(int=1)}")
    assert REPEAT_S == 60
    said = [re.sub(" of [0-9a-f-]+", "", record.getMessage()) for record in caplog.records]
    assert said == [
        "cannot write frame_0.png",
        "cannot write frame_60.png (60 times in 60 s)",
        "cannot write frame_120.png (60 times in 60 s)",
        "another cause",
        "cannot write frame_1.png",
    ]
