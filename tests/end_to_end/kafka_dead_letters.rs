//! `mattebox dead-letters` through a real broker. Each test is named after the promise that it
//! holds.

use crate::kit::{Broker, Client, Isolation, NewRecord, ProgramOutput, Workspace};
use serde_json::Value;
use std::time::Duration;

/// A dead letter as a worker writes it.
fn letter(topic: &str, camera: &str, code: &str, offset: i64, value: &[u8]) -> NewRecord {
    NewRecord::new(camera, value)
        .header("ce_id", format!("{camera}/s/{offset}"))
        .header("mattebox-error-code", code)
        .header(
            "mattebox-error-message",
            format!("why of {offset} \u{1b}[2J"),
        )
        .header("mattebox-error-topic", topic)
        .header("mattebox-error-partition", "0")
        .header("mattebox-error-offset", offset.to_string())
}

/// A topic and its dead letters.
struct DeadLetterTopics {
    workspace: Workspace,
    bootstrap: String,
    client: Client,
    topic: String,
    dead: String,
}

impl DeadLetterTopics {
    fn new(broker: &Broker, topic: &str, settings: &[(&str, &str)]) -> Self {
        let client = broker.client();
        let dead = format!("{topic}.dead");
        client.create_topic(topic, 1, settings);
        DeadLetterTopics {
            workspace: Workspace::new(),
            bootstrap: broker.bootstrap(),
            client,
            topic: topic.to_owned(),
            dead,
        }
    }

    /// Makes the topic of dead letters, with these in it.
    fn with(self, letters: &[NewRecord]) -> Self {
        self.client.create_topic(&self.dead, 1, &[]);
        self.client.produce(&self.dead, letters);
        self
    }

    fn run(&self, args: &[&str]) -> ProgramOutput {
        let all = [
            &["dead-letters"],
            args,
            &["--kafka", &self.bootstrap, "--topic", &self.topic],
        ]
        .concat();
        self.workspace.run(&all)
    }

    #[track_caller]
    fn says(&self, args: &[&str]) -> String {
        let done = self.run(args);
        assert_eq!(done.code, Some(0), "{args:?}: {}", done.stderr);
        String::from_utf8(done.stdout).expect("text")
    }

    #[track_caller]
    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.says(&[args, &["--json"]].concat())).expect("JSON")
    }

    /// How many records the topic has.
    fn arrived(&self) -> usize {
        self.client
            .consume_all(&self.topic, Isolation::Committed)
            .len()
    }

    fn recorded(&self) -> Vec<Option<i64>> {
        self.client
            .committed(&format!("mattebox-redrive-{}", self.topic), &self.dead)
    }
}

#[test]
fn dead_letters_are_listed_shown_and_sent_again_once() {
    let broker = Broker::shared();
    let topics = DeadLetterTopics::new(&broker, "letters", &[]).with(&[
        letter("letters", "cam01", "bad-json", 4, b"{\"a\":1"),
        letter("letters", "cam02", "not-a-frame", 5, b"\x00\x01binary\xff"),
        letter("letters", "cam01", "bad-json", 6, b"")
            .header("mattebox-error-value-bytes", "2000000"),
        letter("elsewhere", "cam01", "bad-json", 7, b"x"),
    ]);

    let list = topics.json(&["list"]);
    assert_eq!(list.as_array().map(Vec::len), Some(4));
    let first = &list[0];
    assert_eq!(
        (&first["letter"], &first["code"], &first["camera"]),
        (&"0:0".into(), &"bad-json".into(), &"cam01".into())
    );
    assert_eq!(
        (&first["partition"], &first["offset"], &first["bytes"]),
        (&0.into(), &4.into(), &6.into())
    );
    assert_eq!(
        topics.json(&["list", "--code", "not-a-frame"])[0]["letter"],
        "0:1"
    );
    assert_eq!(
        topics.json(&["list", "--camera", "cam01", "--limit", "1"])[0]["letter"],
        "0:3"
    );
    let table = topics.says(&["list"]);
    assert!(
        table.contains("3 bad-json, 1 not-a-frame") && table.contains("0@4"),
        "{table}"
    );
    assert!(
        !table.contains('\u{1b}'),
        "a message controls the terminal: {table:?}"
    );

    assert_eq!(
        topics
            .workspace
            .run(&["dead-letters", "show", "nowhere"])
            .code,
        Some(2)
    );
    assert_eq!(topics.run(&["show", "0:99"]).code, Some(1));
    let shown = topics.says(&["show", "0:1", "--value", "value.bin"]);
    assert!(
        shown.contains("mattebox-error-code: not-a-frame") && shown.contains("ce_id: cam02/s/5"),
        "{shown}"
    );
    assert!(
        !shown.contains('\u{1b}') && !shown.contains('\0'),
        "{shown:?}"
    );
    assert_eq!(topics.workspace.read("value.bin"), b"\x00\x01binary\xff");
    assert_eq!(
        topics.run(&["show", "0:1", "--value", "-"]).stdout,
        b"\x00\x01binary\xff"
    );
    assert!(
        topics.json(&["show", "0:2"])["obstacle"]
            .as_str()
            .is_some_and(|why| why.contains("2000000"))
    );

    assert!(
        topics
            .says(&["redrive", "--dry-run"])
            .starts_with("2 would be sent again\n")
    );
    assert_eq!(
        (topics.arrived(), topics.recorded()),
        (0, vec![None]),
        "a dry run does nothing"
    );
    let said = topics.says(&["redrive"]);
    assert!(said.starts_with("2 sent again\n"), "{said}");
    assert!(
        said.contains("letter 0:2 cannot be sent") && said.contains("letter 0:3 cannot be sent"),
        "{said}"
    );
    assert_eq!(topics.recorded(), [Some(4)]);
    let sent = topics.client.consume_all("letters", Isolation::Committed);
    assert_eq!(sent.len(), 2);
    assert_eq!(
        (sent[1].key.as_deref(), sent[1].value.as_deref()),
        (Some(&b"cam02"[..]), Some(&b"\x00\x01binary\xff"[..]))
    );
    assert_eq!(
        sent[1].headers,
        [("ce_id".to_owned(), b"cam02/s/5".to_vec())],
        "the headers of its death are gone"
    );

    assert_eq!(topics.says(&["redrive"]), "0 sent again\n");
    topics.client.produce(
        &topics.dead,
        &[letter("letters", "cam03", "bad-json", 9, b"new")],
    );
    assert_eq!(
        topics.says(&["redrive"]),
        "1 sent again\n",
        "only what is new"
    );
    assert_eq!(
        topics.says(&["redrive", "--from", "0:0", "--limit", "1"]),
        "1 sent again\n",
        "and what is asked for"
    );
    assert_eq!(
        (topics.arrived(), topics.recorded()),
        (4, vec![Some(5)]),
        "what is recorded does not go back"
    );
}

#[test]
fn records_outside_a_filter_are_sent_later() {
    let broker = Broker::shared();
    let letters = [1, 2, 3].map(|n| {
        letter(
            "chosen",
            if n == 2 { "b" } else { "a" },
            "bad-json",
            n,
            b"x",
        )
    });
    let topics = DeadLetterTopics::new(&broker, "chosen", &[]).with(&letters);
    assert_eq!(topics.says(&["redrive", "--camera", "b"]), "1 sent again\n");
    assert_eq!(topics.says(&["redrive", "--from", "0:2"]), "1 sent again\n");
    assert_eq!(
        topics.recorded(),
        [None],
        "letters before were not looked at"
    );
    assert_eq!(topics.says(&["redrive", "--limit", "2"]), "2 sent again\n");
    assert_eq!(topics.recorded(), [Some(2)]);
    assert_eq!(topics.says(&["redrive"]), "1 sent again\n");
}

#[test]
fn a_dead_letter_that_the_broker_refuses_is_not_counted_and_not_lost() {
    let broker = Broker::shared();
    let large = vec![b'x'; 50_000];
    let topics = DeadLetterTopics::new(&broker, "refusing", &[("max.message.bytes", "20000")])
        .with(&[
            letter("refusing", "a", "bad-json", 1, b"x"),
            letter("refusing", "a", "bad-json", 2, &large),
        ]);
    // Each in a separate batch, so that the small one is not refused with the large one.
    let done = topics.run(&["redrive", "--kafka-option", "batch.num.messages=1"]);
    assert_eq!(
        (done.code, String::from_utf8_lossy(&done.stdout).as_ref()),
        (Some(1), "1 sent again\n"),
        "{}",
        done.stderr
    );
    assert!(done.stderr.contains("letter 0:1"), "{}", done.stderr);
    assert_eq!(
        (topics.arrived(), topics.recorded()),
        (1, vec![Some(1)]),
        "the next redrive begins with it"
    );
}

#[test]
fn no_letters_are_no_error() {
    let broker = Broker::shared();
    let topics = DeadLetterTopics::new(&broker, "healthy", &[]);
    let nothing = "there are no dead letters in healthy.dead\n";
    assert_eq!(topics.says(&["list"]), nothing);
    assert_eq!(topics.says(&["redrive"]), "0 sent again\n");
    assert_eq!(topics.json(&["list"]), Value::Array(vec![]));
    let topics = topics.with(&[]);
    assert_eq!(topics.says(&["list"]), nothing);
    let begun = std::time::Instant::now();
    let args = [
        "dead-letters",
        "list",
        "--kafka",
        "127.0.0.1:1",
        "--topic",
        "t",
        "--connect-timeout",
        "1s",
    ];
    assert_eq!(topics.workspace.run(&args).code, Some(3));
    assert!(begun.elapsed() < Duration::from_secs(20));
}
