//! A fleet that runs unattended: readable reasons, health that says whether work is done, clocks
//! that are not compared, turns for every partition. Each test is named after the promise that it
//! holds.

use crate::kit::{
    AUTHORIZER, Broker, Isolation, KafkaPipeline, ProgramOutput, RunningPage, RunningProgram,
    Workspace, binary_frame, free_port, sample, shield, sum, until,
};
use std::{
    collections::BTreeMap,
    fs,
    process::{Command, Stdio},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Runs OpenSSL in a folder.
fn openssl(workspace: &Workspace, args: &str) -> Command {
    let mut command = Command::new("openssl");
    shield(&mut command)
        .args(args.split_whitespace())
        .current_dir(workspace.path("."))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// A TLS server on the loopback whose certificate, its own authority, is for another name.
fn server_with_other_name(workspace: &Workspace) -> (String, RunningProgram) {
    let make = "req -x509 -newkey rsa:2048 -nodes -days 2 -keyout other.key -out other.pem \
                -subj /CN=other -addext subjectAltName=DNS:other.example";
    assert!(
        openssl(workspace, make)
            .status()
            .expect("openssl runs")
            .success()
    );
    let port = free_port();
    let serve = format!("s_server -accept 127.0.0.1:{port} -cert other.pem -key other.key -quiet");
    let server = RunningProgram::start(openssl(workspace, &serve));
    until("a server that listens", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    (format!("127.0.0.1:{port}"), server)
}

/// Options by which the user `mattebox` reaches a broker.
fn login(broker: &Broker) -> Vec<String> {
    let (address, ca) = (broker.property("sasl_ssl"), broker.property("ca"));
    let of_user = ["--kafka-username", "mattebox", "--kafka-sasl", "PLAIN"];
    let mut options = vec!["--kafka".to_owned(), address, "--kafka-ca".to_owned(), ca];
    options.extend(of_user.map(str::to_owned));
    options
}

/// A command with options that reach a broker.
fn command(workspace: &Workspace, args: &[&str], options: &[String]) -> Command {
    let mut command = workspace.command(args);
    command
        .args(options)
        .args(["--progress", "none"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if command
        .get_args()
        .any(|argument| argument == "--kafka-username")
    {
        command.env("MATTEBOX_KAFKA_PASSWORD", "mattebox-secret");
    }
    command
}

fn run(workspace: &Workspace, args: &[&str], options: &[String]) -> ProgramOutput {
    RunningProgram::start(command(workspace, args, options)).finish(args)
}

#[test]
fn the_reason_of_a_failed_connection_is_reported() {
    let workspace = Workspace::new();
    let broker = Broker::with(&["--sasl-ssl"]);
    let (plain, sasl) = (broker.bootstrap(), broker.property("sasl_ssl"));
    let (mutual, ca) = (broker.property("mutual_tls"), broker.property("ca"));
    let (other, _server) = server_with_other_name(&workspace);
    let no_one = format!("127.0.0.1:{}", free_port());
    let login = ["--kafka-username", "mattebox", "--kafka-sasl", "PLAIN"];
    let wrong = ["--kafka-username", "other", "--kafka-sasl", "PLAIN"];
    let with_ca = |more: &[&'static str]| {
        let mut options = vec!["--kafka-ca", ca.as_str()];
        options.extend(more);
        options
    };
    let own_ca = vec!["--kafka-ca", "other.pem"];
    for (address, options, said, code) in [
        (
            &sasl,
            [&own_ca[..], &login].concat(),
            "not signed by an authority that is trusted",
            1,
        ),
        (&other, own_ca, "certificate is for another name", 1),
        (
            &sasl,
            vec![],
            "it speaks TLS, and this is a connection without",
            1,
        ),
        (
            &mutual,
            vec![],
            "it speaks TLS, and this is a connection without",
            1,
        ),
        (&plain, with_ca(&[]), "does not speak TLS at this port", 1),
        (
            &mutual,
            with_ca(&[]),
            "does not accept our certificate, or wants one",
            1,
        ),
        (
            &sasl,
            with_ca(&wrong),
            "does not know the user or the password",
            1,
        ),
        (
            &plain,
            login.to_vec(),
            "does not take this kind of login",
            1,
        ),
        (&sasl, with_ca(&[]), "wants a user and a password", 3),
        (&no_one, vec![], "no program listens there", 3),
    ] {
        let source = sample();
        let args = [
            "camera",
            &source,
            "--connect-timeout",
            "3s",
            "--kafka",
            address,
        ];
        let done = run(&workspace, &[&args[..], &options].concat(), &[]);
        assert!(
            done.code == Some(code) && done.stderr.contains(said),
            "{address} {options:?}: {:?}, not {said:?}: {}",
            done.code,
            done.stderr
        );
    }
}

#[test]
fn a_denied_right_is_named_and_no_topic_counts_as_missing() {
    let workspace = Workspace::new();
    let broker = Broker::with(&AUTHORIZER);
    let login = login(&broker);
    let (client, operator) = (broker.client(), broker.operator());
    let source = sample();
    let camera = |topic| ["camera", &source, "--frames", "3", "--topic", topic];
    let worker = |topic| ["worker", "--until", "end", "--topic", topic];
    let filled = run(&workspace, &camera("rights"), &login);
    assert_eq!(filled.code, Some(0), "{}", filled.stderr);
    for (operation, args) in [
        ("ALL", &worker("rights")[..]),
        ("READ", &worker("rights")),
        ("ALL", &camera("rights")),
    ] {
        operator.set_denied(true, "rights", operation);
        let done = run(&workspace, args, &login);
        operator.set_denied(false, "rights", operation);
        assert_eq!(done.code, Some(1), "{operation} {args:?}: {}", done.stderr);
        assert!(
            done.stderr.contains("does not allow this user") && done.stderr.contains("rights"),
            "{operation} {args:?}: {}",
            done.stderr
        );
        assert!(
            !done.stderr.contains("a camera makes it"),
            "{}",
            done.stderr
        );
    }
    // A dead letter that may not be sent: the worker skips nothing, and says so.
    client.create_topic("rights.dead", 1, &[]);
    operator.set_denied(true, "rights.dead", "ALL");
    client.produce(
        "rights",
        &[crate::kit::NewRecord::new("cam01", "no frame").to(0)],
    );
    let args = ["worker", "--topic", "rights", "--view=127.0.0.1:0"];
    let page = RunningPage::start(&workspace, command(&workspace, &args, &login), "log");
    page.until("a trouble with dead letters", |page| {
        page.troubles().is_some_and(|troubles| {
            troubles.contains("dead letter") && troubles.contains("does not allow this user")
        })
    });
    let made = page.lines_with("topic=\"rights.dead\"");
    assert_eq!(made, 0, "it was there");
    assert_eq!(
        page.lines_with("a dead letter does not arrive"),
        1,
        "it is said once"
    );
    operator.set_denied(false, "rights.dead", "ALL");
    page.until("an end of the trouble", |page| page.troubles().is_none());
    assert_eq!(client.watermarks("rights.dead"), [(0, 1)]);
    page.stop();
}

#[test]
fn a_worker_whose_files_cannot_be_written_is_not_ready_and_says_why_once() {
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "unwritten");
    pipeline.fill(&["a"], 60, &["--partitions", "1"]);
    fs::create_dir(pipeline.workspace.path("output")).expect("a folder");
    fs::write(pipeline.workspace.path("output/a"), "a file in the way").expect("a file");
    let page = pipeline.page(&["worker"], "log");
    page.until("a trouble with the folder", |page| {
        page.troubles()
            .is_some_and(|troubles| troubles.contains("output/a"))
    });
    let metrics = String::from_utf8(page.get("/metrics").1).expect("text");
    assert!(
        metrics.contains("mattebox_troubles{cause=\"output\"} 1"),
        "{metrics}"
    );
    // The worker tries each second.
    thread::sleep(Duration::from_secs(4));
    assert_eq!(page.lines_with("ERROR"), 1, "one cause has one line");
    fs::remove_file(pipeline.workspace.path("output/a")).expect("removed");
    page.until("an end of the trouble", |page| page.troubles().is_none());
    until("all files", || {
        pipeline.workspace.files("output/a").len() == 60
    });
    page.stop();
}

#[test]
fn a_camera_creates_its_deleted_topic_again() {
    let broker = Broker::shared();
    let (client, operator) = (broker.client(), broker.operator());
    let pipeline = KafkaPipeline::new(&broker, "deleted");
    let source = sample();
    let args = ["camera", &source, "--fps", "20", "--max-width", "160"];
    let metrics = ["--partitions", "2", "--metrics=127.0.0.1:0"];
    let camera = pipeline.command(&[&args[..], &metrics].concat());
    let page = RunningPage::start(&pipeline.workspace, camera, "log");
    let count = || match client.partitions("deleted") {
        0 => 0,
        _ => client
            .watermarks("deleted")
            .iter()
            .map(|(low, high)| high - low)
            .sum::<i64>(),
    };
    until("the first frames", || count() >= 20);
    operator.delete_topic("deleted");
    until("frames in the topic that was made again", || count() >= 40);
    page.until("a word about it", |page| {
        page.said("was deleted while frames were published")
    });
    page.until("a camera that is ready again", |page| {
        page.troubles().is_none()
    });
    assert_eq!(client.partitions("deleted"), 2);
    page.stop();
    let records = client.consume_all("deleted", Isolation::Committed);
    let numbers: Vec<u64> = records.iter().map(|record| record.sequence()).collect();
    assert!(
        numbers.windows(2).all(|pair| pair[0] < pair[1]) && numbers[0] >= 20,
        "no number comes twice: {numbers:?}"
    );
}

#[test]
fn a_source_slower_than_its_rate_publishes_every_frame() {
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "slow");
    let source = sample();
    // No machine encodes so many.
    let report = pipeline.report(&[
        "camera",
        &source,
        "--fps",
        "1000",
        "--frames",
        "400",
        "--buffer-frames",
        "1000",
    ]);
    assert_eq!(sum(&report, "written"), 400, "{report}");
    assert!(sum(&report, "late") > 0, "{report}");
}

/// The time, in seconds since 1970.
fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("a time after 1970").as_secs_f64()
}

#[test]
fn the_clocks_of_two_machines_are_not_compared() {
    let broker = Broker::shared();
    let client = broker.client();
    let pipeline = KafkaPipeline::new(&broker, "clocks");
    client.create_topic("clocks", 1, &[]);
    let [jpeg] = pipeline.pictures([64]);
    let options = ["worker", "--live", "--max-age", "500ms"];
    let page = pipeline.page(&options, "log");
    page.until("a worker with its partition", |page| {
        page.troubles().is_none()
    });
    // The errors of the cameras' clocks, in seconds.
    let cameras = [
        ("behind", -0.7),
        ("hours-behind", -7200.0),
        ("ahead", 7200.0),
        ("right", 0.0),
    ];
    for number in 0..120 {
        let frames = cameras
            .map(|(camera, off)| binary_frame(camera, Some("s"), number, now() + off, &jpeg).to(0));
        client.produce("clocks", &frames);
        thread::sleep(Duration::from_millis(50));
    }
    let count = |camera: &str| pipeline.workspace.files(&format!("output/{camera}")).len();
    for (camera, _) in cameras {
        // A busy machine may skip some late frames.
        until(&format!("the files of {camera}"), || count(camera) >= 100);
    }
    for (camera, said) in [
        ("behind", "0.7 s old"),
        ("hours-behind", "7200.0 s old"),
        ("ahead", "7200.0 s ahead"),
    ] {
        page.until(said, |page| page.said(said));
        assert_eq!(page.lines_with(&format!("camera={camera}")), 1, "said once");
    }
    assert_eq!(page.lines_with("camera=right"), 0);
    page.stop();
}

#[test]
fn a_worker_is_not_ready_while_a_camera_has_only_dead_letters() {
    let broker = Broker::shared();
    let client = broker.client();
    let pipeline = KafkaPipeline::new(&broker, "nothing");
    client.create_topic("nothing", 1, &[]);
    let [jpeg] = pipeline.pictures([64]);
    let page = pipeline.page(&["worker"], "log");
    let publish = |camera: &str, from: u64, count: u64, bytes: &[u8]| {
        let frames: Vec<_> = (from..from + count)
            .map(|number| binary_frame(camera, Some("s"), number, now(), bytes).to(0))
            .collect();
        client.produce("nothing", &frames);
    };
    publish("good", 0, 40, &jpeg);
    publish("bad", 0, 40, b"no picture");
    page.until("a trouble with the camera", |page| {
        page.troubles().is_some_and(|troubles| {
            troubles.contains("no frame of camera bad comes through")
                && troubles.contains("dead letter")
                && !troubles.contains("good")
        })
    });
    publish("bad", 40, 1, &jpeg);
    page.until("an end of the trouble", |page| page.troubles().is_none());
    page.stop();
}

#[test]
fn partitions_of_a_backlog_get_turns() {
    let broker = Broker::shared();
    let client = broker.client();
    let pipeline = KafkaPipeline::new(&broker, "turns");
    client.create_topic("turns", 12, &[]);
    let [jpeg] = pipeline.pictures([640]);
    for partition in 0..12 {
        let camera = format!("c{partition}");
        let frames: Vec<_> = (0..60)
            .map(|n| binary_frame(&camera, Some("s"), n, now(), &jpeg).to(partition))
            .collect();
        client.produce("turns", &frames);
    }
    let worker = pipeline.start(&["worker"]);
    until("half of the files", || pipeline.count("output") >= 360);
    worker.kill();
    let mut done = BTreeMap::new();
    for partition in 0..12 {
        let files = pipeline.workspace.files(&format!("output/c{partition}"));
        let files = files.iter().filter(|name| !name.starts_with('.')).count();
        done.insert(partition, files);
    }
    let least = done.values().min().expect("twelve");
    assert!(*least >= 15, "of 60 frames in each partition: {done:?}");
}

/// The colour behind the person in the newest file of a camera.
fn colour_of_newest(pipeline: &KafkaPipeline, camera: &str) -> [u8; 3] {
    let folder = format!("output/{camera}");
    let newest = pipeline
        .workspace
        .files(&folder)
        .into_iter()
        .max()
        .expect("a file");
    let file = pipeline.workspace.read(&format!("{folder}/{newest}"));
    let frame = mattebox_core::codec::decode(&file, &Default::default()).expect("a picture");
    frame.get_pixel(160, 2).0
}

#[test]
fn camera_settings_are_per_camera_and_read_again() {
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "own");
    let file = pipeline.workspace.path("cameras.toml");
    let write = |text: &str| fs::write(&file, text).expect("a file");
    let options = ["worker", "--camera-settings", "cameras.toml"];
    write("[b]\nbackground = \"#ff0000\"\nmatte = \"wrong\"");
    let refused = pipeline.run(&options);
    assert!(
        refused.code == Some(2) && refused.stderr.contains("cameras.toml"),
        "{}",
        refused.stderr
    );
    write("[b]\nbackground = \"#ff0000\"\nmatte = \"hard\"");
    pipeline.fill(&["a", "b"], 10, &["--partitions", "1"]);
    let page = pipeline.page(&options, "log");
    let count = || pipeline.count("output");
    until("the first frames", || count() == 20);
    let colours = || ["a", "b"].map(|camera| colour_of_newest(&pipeline, camera));
    assert_eq!(colours(), [[0xC0; 3], [0xFF, 0, 0]]);
    for (text, said) in [
        (
            "[b]\nbackground = \"image:gone.png\"",
            "the settings stay as they were",
        ),
        ("[a]\nbackground = \"#0000ff\"", "were read again"),
    ] {
        write(text);
        page.until(said, |page| page.said(said));
        let expected = count() + 20;
        pipeline.fill(&["a", "b"], 10, &[]);
        until("more frames", || count() == expected);
    }
    assert_eq!(colours(), [[0, 0, 0xFF], [0xC0; 3]]);
    page.stop();
}
