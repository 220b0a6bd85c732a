//! Passwords, tokens and keys in addresses appear in no output: not in logs, tables, JSON, the live
//! page's API, metrics, traces, errors.

use crate::kit::{Collector, ProgramOutput, RunningPage, Workspace, sample};
use std::{
    io::{Read, Write},
    net::TcpListener,
    thread,
    time::Duration,
};

/// The secret in every address, or the beginning of it.
const SECRET: &str = "hunter2";

/// Addresses of a closed port, in every form that cameras and users use.
const ADDRESSES: &[&str] = &[
    "rtsp://admin:hunter2@127.0.0.1:1/cam1",
    "rtsp://hunter2@127.0.0.1:1/cam1",
    "rtsp://:hunter2@127.0.0.1:1/cam1",
    "RTSP://admin:hunter2@127.0.0.1:1/cam1",
    "rtsp://admin:a@hunter2@127.0.0.1:1/cam1",
    "rtsp://admin:a/hunter2@127.0.0.1:1/cam1",
    "rtsp://admin:a?hunter2@127.0.0.1:1/cam1",
    "rtsp://admin:a#hunter2@127.0.0.1:1/cam1",
    "rtsp://admin:a hunter2 b@127.0.0.1:1/cam1",
    "rtsp://admin:a\\hunter2@127.0.0.1:1/cam1",
    "rtsp://admin:a%40hunter2%2F@127.0.0.1:1/cam1",
    "rtsp://admin:h%75nter2@127.0.0.1:1/cam1",
    "rtsp://127.0.0.1:1/cam1?user=admin&password=hunter2",
    "rtsp://127.0.0.1:1/user=admin&password=hunter2&channel=1",
    "rtsp://127.0.0.1:1/user=admin_password=hunter2_channel=1_stream=0.sdp?real_stream",
    "rtsp://127.0.0.1:1/cam/realmonitor?channel=1&subtype=0&pwd=hunter2",
    "rtsp://[::1]:1/cam1?token=hunter2",
    "http://127.0.0.1:1/flap?user=admin&pwd=hunter2",
    "http://127.0.0.1:1/a.m3u8?token=hunter2",
    "http://127.0.0.1:1/a.m3u8#hunter2",
    "http://127.0.0.1:1/hls/hunter2hunter2hunter2/index.m3u8",
    "http://127.0.0.1:1/b/a.mp4?X-Amz-Signature=hunter2&X-Amz-Expires=300",
    "http://127.0.0.1:1/token/hunter2/index.m3u8",
    "http:/admin:hunter2@127.0.0.1:1/a",
    "http:admin:hunter2@127.0.0.1:1/a",
    "srt://127.0.0.1:1?passphrase=hunter2hunter2",
    "srt://127.0.0.1:1?mode=caller&streamid=hunter2",
    "rtmp://127.0.0.1:1/live/hunter2",
    "rtmp://127.0.0.1:1/x?user=admin&password=hunter2",
    "tcp://admin:hunter2@127.0.0.1:1",
    "crypto+http://admin:hunter2@127.0.0.1:1/a",
    "cache:http://admin:hunter2@127.0.0.1:1/a",
    "async:http://127.0.0.1:1/a?token=hunter2",
    "concat:http://admin:hunter2@127.0.0.1:1/a|http://admin:hunter2@127.0.0.1:1/b",
    "subfile,,start,0,end,9,,:http://admin:hunter2@127.0.0.1:1/a",
    "lavfi:movie=rtsp\\\\://admin\\\\:hunter2@127.0.0.1\\\\:1/a",
    "lavfi:movie='http\\://127.0.0.1\\:1/a?token=hunter2'",
    "admin:hunter2@127.0.0.1:1/cam1",
    "//admin:hunter2@127.0.0.1:1/cam1",
    "/dev/video0?rtsp://admin:hunter2@127.0.0.1:1",
];

/// The addresses that can receive a stream.
const OUTPUTS: &[&str] = &[
    "rtmp://127.0.0.1:1/live/hunter2",
    "rtmp://127.0.0.1:1/app/instance/hunter2?backup=1",
    "rtsp://admin:hunter2@127.0.0.1:1/cam1",
    "srt://127.0.0.1:1?passphrase=hunter2hunter2",
    "http://127.0.0.1:1/whip/hunter2",
    "http://127.0.0.1:1/live/hunter2",
    "tcp://127.0.0.1:1?token=hunter2",
    "whip://127.0.0.1:1/hunter2",
    "icecast://source:hunter2@127.0.0.1:1/x",
    "tee:[f=flv]rtmp://127.0.0.1:1/live/hunter2",
    "rtmp://127.0.0.1:1/live/hunter2.png",
];

#[track_caller]
fn assert_kept(what: &str, output: &[u8]) {
    let text = String::from_utf8_lossy(output);
    // Percent escapes of the secret are secret, too.
    for form in [SECRET, "h%75nter2", "hunter"] {
        assert!(!text.contains(form), "{what} shows a secret:\n{text}");
    }
}

#[track_caller]
fn assert_silent(what: &str, done: &ProgramOutput) {
    assert!(!done.stderr.contains("panicked"), "{what}: {}", done.stderr);
    assert_kept(what, &done.stdout);
    assert_kept(what, done.stderr.as_bytes());
}

#[test]
fn no_command_prints_the_secrets_of_its_settings() {
    let b = Workspace::new();
    // All of them as sources of one run, which names each.
    let named: Vec<String> = ADDRESSES
        .iter()
        .enumerate()
        .map(|(i, address)| format!("c{i}={address}"))
        .collect();
    for command in [
        &["config"][..],
        &["config", "--json"],
        &["config", "camera"],
    ] {
        for sources in [
            ADDRESSES.to_vec(),
            named.iter().map(String::as_str).collect(),
        ] {
            assert_silent(
                &format!("{command:?}"),
                &b.run(&[command, &sources].concat()),
            );
        }
    }
    // Every address in some setting, and every setting with some address.
    for (i, address) in ADDRESSES.iter().enumerate() {
        let background = format!("video:{address}");
        let kafka = format!("{address},admin:hunter2");
        let uses = [
            &["config", "--background", &background][..],
            &["config", "--out", address],
            &["config", "worker", "--kafka", &kafka, "--otlp", address],
            &["config", "worker", "--out", address, "--model", address],
            &["config", "view", "x", "--view", address],
            &["config", "dead-letters", "--kafka", &kafka],
            &[
                "run",
                "x.mp4",
                "--connect-timeout",
                "0.3",
                "--background",
                &background,
            ],
            &["run", "x.mp4", "--background", address],
            &["run", "x.mp4", "--model", address],
            &["run", "x.mp4", "--fps", address],
            &["run", "x.mp4", "--otlp", address],
            &["run", "x.mp4", "--ffmpeg", address],
            &["run", "x.mp4", "--progress", address],
            &["worker", "--threads", address],
            &["view", "x", address],
            &["doctor", address],
            &["eval", address, "x.mp4"],
        ];
        for args in uses.iter().skip(i % 8).step_by(8) {
            assert_silent(&format!("{args:?}"), &b.run(args));
        }
    }
}

#[test]
fn an_environment_variable_or_a_file_with_a_mistake_is_not_repeated() {
    let b = Workspace::new();
    let address = "rtsp://admin:hunter2@127.0.0.1:1/cam1";
    for name in [
        "VIDEO_SRC",
        "FPS",
        "MATTEBOX_LOOP",
        "MATTEBOX_VIEW",
        "KAFKA_BOOTSTRAP",
        "MATTEBOX_TOKEN",
        "MATTEBOX_KAFKA_PASSWORD",
    ] {
        assert_silent(name, &b.run_with(&["config", "worker"], &[(name, address)]));
        assert_silent(name, &b.run_with(&["config"], &[(name, address)]));
        // The help tells variables, not their values.
        assert_silent(name, &b.run_with(&["run", "--help"], &[(name, address)]));
        assert_silent(name, &b.run_with(&["worker", "--help"], &[(name, address)]));
        assert_silent(name, &b.run_with(&["man"], &[(name, address)]));
    }
    for text in [
        "kafka_password = \"hunter2",
        "kafka_password = [\"hunter2\"]",
        "jpeg_quality = \"rtsp://a:hunter2@h/x\"",
        "kafka_option = \"hunter2\"",
    ] {
        std::fs::write(b.path("m.toml"), text).unwrap();
        let done = b.run(&["worker", "--config", "m.toml"]);
        assert_eq!(done.code, Some(2), "{text}: {}", done.stderr);
        assert!(done.stderr.contains("line 1"), "{}", done.stderr);
        assert_silent(text, &done);
    }
    for option in [
        "ssl.key.password=hunter2",
        "no.such.property=hunter2",
        "linger.ms=hunter2",
        "sasl.username=hunter2",
        "hunter2",
    ] {
        let args = [
            "--kafka",
            "127.0.0.1:1",
            "--connect-timeout",
            "0",
            "--kafka-option",
            option,
        ];
        assert_silent(option, &b.run(&[&["worker"], &args[..]].concat()));
        assert_silent(option, &b.run(&[&["config", "worker"], &args[..]].concat()));
    }
}

#[test]
fn sources_that_fail_tell_no_secret_in_log_api_metrics_or_summary() {
    let b = Workspace::new();
    // Some of them: each needs a child process. The next test runs the others alone.
    let addresses: Vec<&str> = ADDRESSES.iter().copied().step_by(5).collect();
    let named: Vec<String> = addresses
        .iter()
        .enumerate()
        .map(|(i, address)| format!("c{i}={address}"))
        .collect();
    let mut args = vec![
        "run",
        "--out",
        "none",
        "--view=127.0.0.1:0",
        "--connect-timeout",
        "2",
        "--log-level",
        "debug",
        "--json",
        "--loop",
    ];
    args.extend(named.iter().map(String::as_str));
    // One source that goes on, so that all can be looked at.
    args.extend([
        "good=lavfi:testsrc=size=64x64:rate=5",
        "--realtime",
        "--stall-timeout",
        "300",
    ]);
    let page = RunningPage::start(&b, b.command(&args), "log");
    let cameras = |page: &RunningPage<'_>| -> Vec<serde_json::Value> {
        // A machine that is busy with all these children may answer late.
        let all: serde_json::Value =
            serde_json::from_slice(&page.get("/api/cameras").1).unwrap_or_default();
        all["cameras"].as_array().cloned().unwrap_or_default()
    };
    // Each source has a reason on the page or in the log.
    page.until("the reasons", |page| {
        let all = cameras(page);
        all.iter().filter(|c| !c["why"].is_null()).count() == addresses.len()
    });
    for path in ["/api/cameras", "/metrics", "/api/openapi.json", "/"] {
        assert_kept(path, &page.get(path).1);
    }
    for (i, address) in addresses.iter().enumerate() {
        assert_kept(address, &page.get(&format!("/api/cameras/c{i}")).1);
    }
    let shown = cameras(&page);
    let source = |i: usize| {
        shown
            .iter()
            .find(|c| c["id"] == format!("c{i}").as_str())
            .map(|c| c["source"].clone())
    };
    assert_eq!(
        source(0).unwrap(),
        "rtsp://***@127.0.0.1:1/cam1",
        "host and path are shown"
    );
    let (done, log) = page.stop();
    assert_silent("the summary", &done);
    assert_kept("the log", log.as_bytes());
}

#[test]
fn one_source_that_fails_tells_no_secret_in_its_error() {
    let b = Workspace::new();
    for addresses in ADDRESSES.chunks(8) {
        thread::scope(|scope| {
            for &address in addresses {
                let b = &b;
                scope.spawn(move || {
                    let args = [
                        "run",
                        address,
                        "--out",
                        "none",
                        "--connect-timeout",
                        "0.3",
                        "--json",
                        "--frames",
                        "1",
                    ];
                    let done = b.run(&args);
                    assert_ne!(done.code, Some(0), "{address}: {}", done.stderr);
                    assert_silent(address, &done);
                });
            }
        });
    }
}

#[test]
fn outputs_that_fail_tell_no_secret() {
    let b = Workspace::new();
    for output in OUTPUTS {
        let done = b.run(&["run", &sample(), "--frames", "2", "--out", output]);
        assert_silent(output, &done);
        assert_silent(output, &b.run(&["config", "--out", output]));
        if done.code == Some(0) {
            let _ = std::fs::remove_dir_all(b.path(output.split(':').next().unwrap()));
        }
    }
}

/// Serves the sample clip under every path, to any number of clients.
fn server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let clip = std::fs::read(sample()).expect("the sample");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (Ok(mut stream), clip) = (stream, clip.clone()) else {
                return;
            };
            thread::spawn(move || {
                let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
                let _ = stream.read(&mut [0; 4096]);
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: {}\r\n\r\n",
                    clip.len()
                );
                let _ = stream
                    .write_all(head.as_bytes())
                    .and_then(|()| stream.write_all(&clip));
            });
        }
    });
    address
}

#[test]
fn a_source_that_works_tells_no_secret_in_table_or_traces() {
    let b = Workspace::new();
    let collector = Collector::start();
    let source = format!("http://admin:hunter2@{}/clip.mp4?token=hunter2", server());
    let otlp = format!("{}/v1/traces?key=hunter2", collector.address);
    let done = b.run(&["run", &source, "--frames", "3", "--otlp", &otlp]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_silent("the table", &done);
    let told = collector.told();
    assert!(!told.is_empty(), "no trace came");
    assert_kept("the traces", format!("{told:?}").as_bytes());
    // A collector that is not there is named without the secret of its address.
    let done = b.run(&[
        "run",
        &source,
        "--frames",
        "3",
        "--otlp",
        "http://127.0.0.1:1/x?key=hunter2",
        "--log-level",
        "trace",
    ]);
    assert!(done.stderr.contains("127.0.0.1:1"), "{}", done.stderr);
    assert_silent("the lost traces", &done);
}
