//! The launcher of the broker that other tests use, `scripts/kafka`.

use crate::kit::{Broker, Client, HeavyPermit, Isolation, NewRecord, launcher, runs, until};
use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

/// Fails when the broker's process is still there after a while.
fn assert_gone(process: i32, folder: &str) {
    until(
        &format!("the end of the broker {process} of {folder}"),
        || !runs(process, folder),
    );
}

fn goes_in_and_comes_out(client: &Client, topic: &str) {
    client.create_topic(topic, 2, &[]);
    let placed = client.produce(
        topic,
        &[
            NewRecord::new("cam01", "frame").header("seq", "7").to(1),
            NewRecord::new("cam02", "x").to(0),
        ],
    );
    assert_eq!(placed, [(1, 0), (0, 0)]);
    let records = client.consume_all(topic, Isolation::Committed);
    assert_eq!(records.len(), 2);
    let record = &records[1];
    assert_eq!((record.partition, record.offset), (1, 0));
    assert_eq!(
        (record.key.as_deref(), record.value.as_deref()),
        (Some(&b"cam01"[..]), Some(&b"frame"[..]))
    );
    assert_eq!(record.header("seq"), Some(&b"7"[..]));
    assert_eq!(client.watermarks(topic), [(0, 1), (0, 1)]);
    assert_eq!(client.committed("unknown", topic), [None, None]);
}

#[test]
fn a_record_goes_in_and_comes_out() {
    let broker = Broker::shared();
    goes_in_and_comes_out(&broker.client(), "in-and-out");
}

#[test]
fn topics_and_limits_are_kafkas_own() {
    let broker = Broker::shared();
    let client = broker.client();
    assert_eq!(
        client.partitions("never-made"),
        0,
        "a topic is not made by asking for it"
    );
    client.create_topic("limits", 1, &[]);
    let sizes = [vec![0; 1_000_000], vec![0; 1_100_000]].map(|value| NewRecord::new("", value));
    let answers = client.try_produce("limits", &sizes);
    assert!(
        answers[0].is_ok() && answers[1].is_err(),
        "Kafka takes records up to 1 MiB: {answers:?}"
    );
}

#[test]
fn operator_calls_return_when_their_effect_shows() {
    let broker = Broker::shared();
    let (client, operator) = (broker.client(), broker.operator());
    let compact = [("cleanup.policy", "compact")];
    client.create_topic("operated", 1, &[]);
    let records: Vec<_> = (0..10).map(|_| NewRecord::new("a", "1").to(0)).collect();
    client.produce("operated", &records);
    operator.delete_records("operated", 0, 4);
    assert_eq!(client.watermarks("operated"), [(4, 10)]);
    operator.reset_offset("reset", "operated", 0, 7);
    assert_eq!(client.committed("reset", "operated"), [Some(7)]);
    operator.reset_offset("reset", "operated", 0, 5);
    assert_eq!(client.committed("reset", "operated"), [Some(5)]);
    let text = client.committed_metadata("reset", "operated");
    assert_eq!(text, [Some(String::new())]);
    operator.add_partitions("operated", 3);
    assert_eq!(client.watermarks("operated"), [(4, 10), (0, 0), (0, 0)]);
    operator.recreate_topic("operated", 2, &compact);
    assert_eq!(client.watermarks("operated"), [(0, 0), (0, 0)]);
    let policy = operator.topic_config("operated", "cleanup.policy");
    assert_eq!(policy.as_deref(), Some("compact"));
    operator.delete_topic("operated");
    assert_eq!(client.partitions("operated"), 0);
}

#[test]
fn a_killed_broker_comes_back_with_its_records() {
    let mut broker = Broker::start();
    let client = broker.client();
    client.create_topic("kept", 1, &[]);
    client.produce("kept", &[NewRecord::new("a", "1")]);
    let process = broker.process();
    let folder = broker.folder();
    broker.kill();
    assert_gone(process, &folder.to_string_lossy());
    broker.restart();
    assert_ne!(broker.process(), process);
    client.produce("kept", &[NewRecord::new("b", "2")]);
    broker.restart();
    let values: Vec<_> = client
        .consume_all("kept", Isolation::Uncommitted)
        .into_iter()
        .map(|r| r.value.unwrap())
        .collect();
    assert_eq!(values, [b"1", b"2"]);
}

#[test]
fn a_frozen_broker_answers_once_it_goes_on() {
    let broker = Broker::start();
    let client = broker.client();
    client.create_topic("frozen", 1, &[]);
    broker.freeze();
    thread::scope(|scope| {
        let produced = scope.spawn(|| client.produce("frozen", &[NewRecord::new("a", "1")]));
        thread::sleep(Duration::from_millis(300));
        assert!(!produced.is_finished(), "a frozen broker does not answer");
        broker.thaw();
        assert_eq!(produced.join().unwrap(), [(0, 0)]);
    });
}

#[test]
fn no_process_is_left_behind() {
    // The broker is dropped, stopped, and its launcher killed. The next test kills the test itself.
    let broker = Broker::start();
    let process = broker.process();
    let folder = broker.folder().to_string_lossy().into_owned();
    assert!(runs(process, &folder));
    drop(broker);
    assert!(!runs(process, &folder), "after a drop");

    let mut broker = Broker::start();
    let process = broker.process();
    let folder = broker.folder().to_string_lossy().into_owned();
    broker.stop();
    assert!(!runs(process, &folder), "after a stop");
    broker.restart();
    let process = broker.process();
    broker.kill_launcher();
    assert_gone(process, &folder);
}

#[test]
fn a_broker_ends_with_the_program_that_started_it() {
    let _place = HeavyPermit::one();
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().to_string_lossy().into_owned();
    // A program that holds the other end of the launcher's standard input, and is killed.
    let mut program = Command::new("sleep")
        .arg("600")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut run = launcher()
        .args(["run", &folder])
        .stdin(program.stdout.take().unwrap())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(run.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert!(line.starts_with("ready 127.0.0.1:"), "{line}");
    let process = std::fs::read_to_string(dir.path().join("broker.pid"))
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    assert!(runs(process, &folder));
    program.kill().unwrap();
    program.wait().unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(0));
    assert!(!runs(process, &folder));
}

#[test]
fn a_broker_that_cannot_start_says_why() {
    let _place = HeavyPermit::one();
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().to_string_lossy().into_owned();
    let output = launcher()
        .args([
            "run",
            &folder,
            "--ignore-stdin",
            "--set",
            "num.io.threads=none",
        ])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.stdout.is_empty() && said.contains("num.io.threads"),
        "{said}"
    );
}

#[test]
fn zookeeper_keeps_the_metadata_of_an_old_broker() {
    let mut broker = Broker::with(&["--zookeeper", "--sasl-ssl"]);
    let client = broker.client();
    goes_in_and_comes_out(&client, "old");
    goes_in_and_comes_out(
        &Client::sasl(&broker, "SCRAM-SHA-512", "mattebox-secret"),
        "old-and-secret",
    );
    assert!(broker.property("zookeeper").starts_with("127.0.0.1:"));
    broker.kill();
    broker.restart();
    assert_eq!(client.consume_all("old", Isolation::Committed).len(), 2);
}

#[test]
fn passwords_and_certificates_are_asked_for() {
    let broker = Broker::with(&["--sasl-ssl"]);
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        goes_in_and_comes_out(
            &Client::sasl(&broker, mechanism, "mattebox-secret"),
            mechanism,
        );
        let refused = Client::sasl(&broker, mechanism, "wrong")
            .refused()
            .expect("a wrong password is refused");
        assert!(refused.contains("uthentication"), "{mechanism}: {refused}");
    }
    goes_in_and_comes_out(&Client::mutual_tls(&broker), "mutual");
    let refused = Client::no_certificate(&broker)
        .refused()
        .expect("the broker asks for a certificate");
    assert!(refused.contains("SSL"), "{refused}");
    assert_eq!(
        broker.client().topics().len(),
        4,
        "the listener without passwords sees it all"
    );
}
