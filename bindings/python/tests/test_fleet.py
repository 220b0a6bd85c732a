"""Events in the life of a Spark job that runs for weeks, with a real broker and a real cluster."""

from __future__ import annotations

import pathlib
import re
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

from conftest import ROOT, Service, SparkPipeline, until
from mattebox.spark import broker as broker_module
from mattebox.spark import failures, settings
from mattebox.spark.health import Health

PASSWORD = (
    "sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required "
    'username="mattebox" password="{}";'
)


class Admin:
    """Kafka's client, as a super user."""

    def __init__(self, spark: SparkSession, address: str) -> None:
        self.jvm = spark._jvm
        assert self.jvm is not None
        properties = self.jvm.java.util.Properties()
        properties.put("bootstrap.servers", address)
        self.kafka = self.jvm.org.apache.kafka
        self.client = self.kafka.clients.admin.AdminClient.create(properties)

    def make(self, topic: str, partitions: int) -> None:
        optional = self.jvm.java.util.Optional
        new = self.kafka.clients.admin.NewTopic(topic, optional.of(partitions), optional.empty())
        self.client.createTopics(self.jvm.java.util.Collections.singletonList(new)).all().get()

    def grow(self, topic: str, partitions: int) -> None:
        more = self.kafka.clients.admin.NewPartitions.increaseTo(partitions)
        self.client.createPartitions(
            self.jvm.java.util.Collections.singletonMap(topic, more)
        ).all().get()

    def has(self, topic: str) -> bool:
        return bool(self.client.listTopics().names().get().contains(topic))

    def delete(self, topic: str) -> None:
        self.client.deleteTopics(self.jvm.java.util.Collections.singletonList(topic)).all().get()

    def access(self, topic: str, operation: str, is_allowed: bool) -> None:
        acl, resource = self.kafka.common.acl, self.kafka.common.resource
        entry = acl.AccessControlEntry(
            "User:mattebox",
            "*",
            getattr(acl.AclOperation, operation),
            acl.AclPermissionType.ALLOW if is_allowed else acl.AclPermissionType.DENY,
        )
        pattern = resource.ResourcePattern(
            resource.ResourceType.TOPIC, topic, resource.PatternType.LITERAL
        )
        self.client.createAcls(
            self.jvm.java.util.Collections.singletonList(acl.AclBinding(pattern, entry))
        ).all().get()


class Secured:
    """A broker with TLS, passwords and access lists; operations without a list are allowed."""

    def __init__(self, words: list[str], spark: SparkSession) -> None:
        self.plain = words[1]
        self.at = dict(word.split("=", 1) for word in words[2:])
        self.admin = Admin(spark, self.plain)

    def trust(self) -> list[str]:
        return ["ssl.truststore.type=PEM", f"ssl.truststore.location={self.at['ca']}"]

    def login(self, password: str = "mattebox-secret") -> list[str]:
        return ["security.protocol=SASL_SSL", "sasl.mechanism=PLAIN", PASSWORD.format(password)]


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory, spark: SparkSession) -> Iterator[Secured]:
    lists = [
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users=User:ANONYMOUS",
    ]
    options = [
        option
        for setting in [*lists, "allow.everyone.if.no.acl.found=true"]
        for option in ("--set", setting)
    ]
    service = Service(
        [
            ROOT / "scripts/kafka",
            "run",
            tmp_path_factory.mktemp("secured") / "broker",
            "--sasl-ssl",
            *options,
        ]
    )
    yield Secured(service.words, spark)
    service.stop()


def options(given: list[str]) -> list[str]:
    return [word for option in given for word in ("--kafka-option", option)]


def ask(
    spark: SparkSession, at: str, given: list[str], topic: str = "frames"
) -> failures.Failure | None:
    """The job's message about a broker and a topic; None without a problem."""
    told = settings.read(
        ["--kafka", at, "--topic", topic, "--connect-timeout", "1s", *options(given)]
    )
    broker = broker_module.Broker(spark, told, lambda seconds: False, Health())
    try:
        broker.wait()
        if broker.partitions(topic):
            broker.ensure_outputs(1)
    except Exception as error:
        return failures.of_start(error)
    finally:
        broker.close()
    return None


def test_each_way_of_not_getting_to_a_broker_has_its_own_sentence(
    spark: SparkSession, secured: Secured
) -> None:
    sasl, mutual = secured.at["sasl_ssl"], secured.at["mutual_tls"]
    assert ask(spark, sasl, [*secured.login(), *secured.trust()]) is None
    for at, given, exit_code, words in [
        (
            sasl,
            secured.login(),
            1,
            "no authority that this machine trusts has signed the broker's certificate: give the "
            "broker's CA (--kafka-option ssl.",
        ),
        (
            sasl,
            [*secured.login("wrong"), *secured.trust()],
            1,
            "refuses the user or the password (Authentication failed: Invalid username or "
            "password)",
        ),
        (
            sasl,
            ["security.protocol=SASL_SSL", PASSWORD.format("x"), *secured.trust()],
            2,
            "give --kafka-option sasl.mechanism=PLAIN",
        ),
        (
            mutual,
            ["security.protocol=SSL", *secured.trust()],
            1,
            "wants another client certificate, or one at all",
        ),
        (
            sasl,
            [],
            2,
            f"the broker at {sasl} speaks TLS, and this job does not: give --kafka-option "
            "security.protocol=SSL, or SASL_SSL",
        ),
        (
            sasl,
            ["security.protocol=SASL_PLAINTEXT"],
            2,
            "speaks TLS, and this job does not: give --kafka-option security.protocol=SASL_SSL",
        ),
        (mutual, [], 2, f"the broker at {mutual} speaks TLS"),
        (
            secured.plain,
            ["security.protocol=SSL"],
            2,
            f"the broker at {secured.plain} does not speak TLS, and security.protocol=SSL asks "
            "for it",
        ),
        (
            secured.plain,
            ["security.protocol=SASL_PLAINTEXT", "sasl.mechanism=PLAIN", PASSWORD.format("x")],
            1,
            "takes no such login here",
        ),
        (
            sasl,
            [*secured.login(), "ssl.truststore.type=PEM", "ssl.truststore.location=/nowhere.pem"],
            2,
            "no such file: /nowhere.pem: check --kafka-option",
        ),
        (
            secured.plain,
            ["security.protocol=FOO"],
            2,
            "Invalid value FOO for configuration security.protocol",
        ),
    ]:
        failure = ask(spark, at, given)
        assert failure is not None and words in failure.reason and failure.exit_code == exit_code, (
            words,
            failure,
        )
        assert "mattebox-secret" not in failure.reason


def test_a_certificate_for_another_name_is_said(
    spark: SparkSession, tmp_path: pathlib.Path
) -> None:
    made = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=elsewhere",
    ]
    more = [
        "-addext",
        "subjectAltName=DNS:elsewhere.example",
        "-keyout",
        "key.pem",
        "-out",
        "cert.pem",
    ]
    subprocess.run([*made, *more], cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "store.pem").write_text(
        (tmp_path / "cert.pem").read_text() + (tmp_path / "key.pem").read_text()
    )
    service = Service(
        [
            ROOT / "scripts/kafka",
            "run",
            tmp_path / "broker",
            "--sasl-ssl",
            "--set",
            f"ssl.keystore.location={tmp_path}/store.pem",
        ]
    )
    try:
        at = dict(word.split("=", 1) for word in service.words[2:])["mutual_tls"]
        failure = ask(
            spark,
            at,
            [
                "security.protocol=SSL",
                "ssl.truststore.type=PEM",
                f"ssl.truststore.location={tmp_path}/cert.pem",
            ],
        )
        assert failure is not None and failure.exit_code == 1
        assert (
            "the broker's certificate is for another name (" in failure.reason
            and "127.0.0.1" in failure.reason
        )
    finally:
        service.stop()


def test_a_topic_that_the_job_may_not_read_or_write_is_said_with_what_to_grant(
    spark: SparkSession, secured: Secured
) -> None:
    login = [*secured.login(), *secured.trust()]
    for topic in ("open", "unread", "unwritten", "unwritten.results", "undead", "undead.dead"):
        secured.admin.make(topic, 1)
    assert ask(spark, secured.at["sasl_ssl"], login, "open") is None
    secured.admin.access("unread", "DESCRIBE", True)
    secured.admin.access("unwritten.results", "READ", True)
    secured.admin.access("undead.dead", "WRITE", False)
    for topic, what, operation, denied in [
        ("unread", "read", "READ", "unread"),
        ("unwritten", "write to", "WRITE", "unwritten.results"),
        ("undead", "write to", "WRITE", "undead.dead"),
    ]:
        failure = ask(spark, secured.at["sasl_ssl"], login, topic)
        assert failure is not None and failure.exit_code == 1
        assert failure.reason.startswith(
            f"the broker does not let this job {what} topic {denied}: give the user of "
            f"--kafka-option {operation} and DESCRIBE"
        )


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Ready:
    """/readyz of a job."""

    def __init__(self) -> None:
        self.address = f"127.0.0.1:{free_port()}"

    def look(self) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://{self.address}/readyz", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode()
        except OSError:
            return 0, ""

    def is_yes(self) -> bool:
        return self.look()[0] == 200

    def says(self, words: str) -> bool:
        status, body = self.look()
        return status == 503 and words in body

    def restarts(self) -> int:
        """How often the query was started again."""
        with urllib.request.urlopen(f"http://{self.address}/metrics", timeout=10) as page:
            text = page.read().decode()
        found = re.search(r"^mattebox_spark_restarts_total (\d+)", text, re.MULTILINE)
        assert found, text
        return int(found[1])


# Frequent checks of the topic and the executors.
WATCHFUL = ("--look-interval", "1s")


def test_partitions_that_are_added_to_a_real_time_job_are_served_also_without_a_core_for_them(
    pipeline: SparkPipeline, spark: SparkSession
) -> None:
    admin = Admin(spark, pipeline.broker)
    pipeline.fill(cameras=4, frames=20, partitions=1)
    ready = Ready()
    more = ("--checkpoint-interval", "5s", "--metrics", ready.address, "--back-to-realtime", "1s")
    job = pipeline.job("--from", "earliest", *WATCHFUL, *more)
    until("the first files", lambda: pipeline.count("output") == 80, job=job)
    # When the executor starts late, the job runs in micro-batches.
    begun = "real time: 1 partitions, 2 cores"
    until("real time", lambda: begun in job.text(), job=job)
    admin.grow(pipeline.topic, 2)
    # New cameras: when a camera's partition changes, its sessions are read in any order, and their
    # files are named in that order.
    pipeline.fill(cameras=8, frames=20, partitions=2, first=4)
    until("all files", lambda: pipeline.count("output") == 240, job=job)
    until("it to be said", lambda: "has 2 partitions now, and had 1" in job.text(), job=job)
    assert "micro-batches" not in job.text()[job.text().index(begun) :]
    admin.grow(pipeline.topic, 4)
    # These have records in each of four partitions.
    pipeline.fill(cameras=16, frames=20, partitions=4, first=12)
    until("all files", lambda: pipeline.count("output") == 560, job=job)
    until("it to be ready", ready.is_yes, job=job)
    assert (
        "real time needs a core for each of the 4 partitions" in job.text()
        and "the query goes on in micro-batches" in job.text()
    )
    pipeline.fill(cameras=16, frames=5, partitions=4, first=12)
    until("later files", lambda: pipeline.count("output") == 640, job=job)
    assert job.stop() == 130, job.text()[-4000:]
    assert pipeline.files("output") == pipeline.by_worker()


@pytest.mark.parametrize("trigger", ["micro", "realtime"])
def test_a_topic_that_is_deleted_under_the_job_ends_it_with_a_sentence(
    pipeline: SparkPipeline, spark: SparkSession, trigger: str
) -> None:
    pipeline.fill(cameras=1, frames=5, partitions=1)
    job = pipeline.inner_job(spark, "--from", "earliest", "--trigger", trigger, *WATCHFUL)
    until("the files", lambda: pipeline.count("output") == 5, job=job)
    Admin(spark, pipeline.broker).delete(pipeline.topic)
    assert job.finish(90) == 1, job.text()[-4000:]
    assert (
        len(
            re.findall(
                f"ERROR topic {pipeline.topic} is not there any more: it was deleted", job.text()
            )
        )
        == 1
    )
    assert "Traceback" not in job.text()


def test_a_topic_that_is_made_again_under_the_job_is_noticed_though_its_offsets_go_on(
    pipeline: SparkPipeline, spark: SparkSession
) -> None:
    pipeline.fill(cameras=1, frames=5, partitions=1)
    more = ("--trigger", "micro", "--interval", "5s")
    job = pipeline.inner_job(spark, "--from", "earliest", *more)
    until("a batch", lambda: " frames in " in job.text(), job=job)
    admin = Admin(spark, pipeline.broker)
    admin.delete(pipeline.topic)
    until("the topic to be gone", lambda: not admin.has(pipeline.topic))
    # Its first five records have the offsets of the old topic's, so offsets do not differ.
    pipeline.fill(cameras=1, frames=10, partitions=1)
    assert job.finish(90) == 1, job.text()[-4000:]
    assert f"does not fit topic {pipeline.topic}: the topic was created again" in job.text()
    assert "Traceback" not in job.text()


def test_a_permission_that_is_withdrawn_ends_the_job_with_a_sentence(
    pipeline: SparkPipeline, spark: SparkSession, secured: Secured
) -> None:
    pipeline.broker = secured.plain
    pipeline.fill(cameras=1, frames=5, partitions=1)
    login = options([*secured.login(), *secured.trust()])
    place = ("--kafka", secured.at["sasl_ssl"], "--from", "earliest")
    job = pipeline.inner_job(spark, *place, *WATCHFUL, *login)
    until("the files", lambda: pipeline.count("output") == 5, job=job)
    secured.admin.access(pipeline.topic, "READ", False)
    assert job.finish(90) == 1, job.text()[-4000:]
    assert "Traceback" not in job.text()
    said = [
        line
        for line in job.text().splitlines()
        if " ERROR " in line
        and ("does not let this job read" in line or "give the job's user READ" in line)
    ]
    assert len(said) == 1 and pipeline.topic in said[0], job.text()[-4000:]


def lines(text: str) -> list[str]:
    """The log of the job and of Spark, without the lines of Spark's start."""
    return text[text.index(" INFO ") :].splitlines()


@pytest.mark.parametrize(("fault", "trigger"), [("gone", "micro"), ("damaged", "realtime")])
def test_a_network_that_only_an_executor_cannot_read_ends_the_job_with_one_line(
    pipeline: SparkPipeline, fault: str, trigger: str
) -> None:
    model = pipeline.path / "model.tflite"
    model.write_bytes((ROOT / "crates/net/model/selfie_segmentation.tflite").read_bytes())
    job = pipeline.job(
        "--from", "earliest", "--trigger", trigger, SEG_MODEL_PATH=str(model), MATTEBOX_SPARK_LOG=""
    )
    until("it to wait", lambda: "waiting for topic" in job.text(), job=job)
    model.unlink()
    if fault == "damaged":
        model.write_text("no network")
    pipeline.fill(cameras=1, frames=2, partitions=1)
    assert job.finish(90) == 2, job.text()[-4000:]
    said = [line for line in lines(job.text()) if "setting model: " in line]
    assert len(said) == 1 and " ERROR setting model: " in said[0] and str(model) in said[0], (
        job.text()[-4000:]
    )
    assert (
        "\tat " not in job.text()
        and "Traceback" not in job.text()
        and "goes on from its checkpoint" not in job.text()
    )


@pytest.mark.parametrize(
    ("trigger", "faults"),
    [("micro", ["output", "state", "checkpoint"]), ("realtime", ["output", "state"])],
    ids=["micro", "realtime"],
)
def test_a_job_that_cannot_write_says_so_once_and_is_not_ready_until_it_can(
    pipeline: SparkPipeline, trigger: str, faults: list[str]
) -> None:
    pipeline.fill(cameras=1, frames=10, partitions=1)
    ready = Ready()
    more = ("--checkpoint-interval", "5s", "--metrics", ready.address)
    job = pipeline.job("--from", "earliest", "--trigger", trigger, *more, MATTEBOX_SPARK_LOG="")
    until("the files", lambda: pipeline.count("output") == 10, job=job)
    until("it to be ready", ready.is_yes, job=job)
    folders = {
        "output": "cam00",
        "state": f".checkpoint/mattebox-state/{pipeline.topic}/0",
        "checkpoint": ".checkpoint/commits",
    }
    for fault in faults:
        folder = pipeline.path / "output" / folders[fault]
        until("the folder", folder.exists, job=job)
        before, restarts, files = len(lines(job.text())), ready.restarts(), pipeline.count("output")
        aside = pipeline.path / "aside"
        folder.rename(aside)
        folder.write_text("a file, where a folder must be")
        pipeline.fill(cameras=1, frames=10, partitions=1)
        until(
            f"it not to be ready ({fault})",
            lambda: ready.says("the query failed, and is started again from its checkpoint"),
            job=job,
        )
        assert ready.says(str(folder.parent)), ready.look()
        until("several tries", lambda: ready.restarts() >= restarts + 3, job=job)
        # The move itself may count as another cause.
        said = [
            line for line in lines(job.text())[before:] if "goes on from its checkpoint: " in line
        ]
        causes = {line.split("goes on from its checkpoint: ")[1] for line in said}
        assert len(said) == len(causes) in (1, 2), said
        assert all(str(folder.parent) in line for line in said), said
        folder.unlink()
        aside.rename(folder)
        until("all files", lambda: pipeline.count("output") == files + 10, job=job)
        until("it to be ready again", ready.is_yes, job=job)
    assert "\tat " not in job.text()
    assert job.stop() == 130, job.text()[-4000:]
    assert pipeline.files("output") == pipeline.by_worker()


def test_a_job_whose_broker_is_away_is_not_ready_and_says_why(
    pipeline: SparkPipeline, spark: SparkSession, tmp_path: pathlib.Path
) -> None:
    kafka = Service([ROOT / "scripts/kafka", "run", tmp_path / "broker"])
    try:
        pipeline.broker = kafka.words[1]
        ready = Ready()
        more = ("--metrics", ready.address, *WATCHFUL)
        job = pipeline.inner_job(spark, "--from", "earliest", *more)
        until("it to wait", lambda: ready.says(f"there is no topic {pipeline.topic} yet"), job=job)
        pipeline.fill(cameras=1, frames=5, partitions=1)
        until("the files", lambda: pipeline.count("output") == 5 and ready.is_yes(), job=job)
        kafka.stop()
        missed = f"no broker answers at {pipeline.broker}"
        until("the broker to be missed", lambda: ready.says(missed), job=job)
        kafka = Service([ROOT / "scripts/kafka", "run", tmp_path / "broker"])
        pipeline.fill(cameras=1, frames=5, partitions=1)
        until("the files", lambda: pipeline.count("output") == 10 and ready.is_yes(), job=job)
        assert job.text().count(missed) == 1
        assert job.stop() == 130, job.text()[-4000:]
    finally:
        kafka.stop()


def test_a_job_without_executors_says_so_and_goes_over_to_real_time_when_they_come(
    pipeline: SparkPipeline,
) -> None:
    pipeline.fill(cameras=1, frames=5, partitions=1)
    first = pipeline.job("--from", "earliest")
    until("the first job's files", lambda: pipeline.count("output") == 5, job=first)
    # The first job has all cores.
    ready = Ready()
    more = ("--metrics", ready.address, *WATCHFUL, "--back-to-realtime", "2s")
    job = pipeline.job("--from", "earliest", "--out", "other", *more)
    missed = "Spark has no executors for this job"
    until("executors to be missed", lambda: ready.says(missed), job=job)
    assert job.text().count(missed) == 1
    assert first.stop() == 130, first.text()[-4000:]
    until("the files", lambda: pipeline.count("other") == 5 and ready.is_yes(), job=job)
    begun = "real time: 1 partitions, 2 cores"
    until("real time", lambda: begun in job.text(), job=job)
    pipeline.fill(cameras=1, frames=5, partitions=1)
    until("later files", lambda: pipeline.count("other") == 10, job=job)
    assert job.stop() == 130, job.text()[-4000:]
    assert pipeline.files("other") == pipeline.by_worker()
