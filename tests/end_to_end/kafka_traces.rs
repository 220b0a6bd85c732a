//! The trace of each frame, with a real broker and without one. Each test is named after the
//! promise that it holds.

use crate::kit::{
    Broker, Collector, Isolation, KafkaPipeline, NewRecord, ReceivedSpan, StoredRecord, Workspace,
    free_port, hex, one, sample, sum, text,
};
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode};

const STAGES: [&str; 6] = ["read", "segment", "refine", "compose", "encode", "write"];

fn is_within(step: &Span, whole: &Span) -> bool {
    step.parent_span_id == whole.span_id && step.start_time_unix_nano >= whole.start_time_unix_nano
}

/// The spans of a camera and a worker for one frame, with the names of the steps within the process
/// of a record.
#[track_caller]
fn check_way(topic: &str, trace: &[ReceivedSpan], frame: u64, stages: &[&str]) {
    let capture = one(trace, "capture");
    assert!(capture.parent_span_id.is_empty());
    let number = frame.to_string();
    let send = one(trace, &format!("send {topic}"));
    let process = one(trace, &format!("process {topic}"));
    assert!(
        is_within(send, capture) && is_within(process, send),
        "{trace:?}"
    );
    assert_eq!(
        (send.kind(), process.kind()),
        (SpanKind::Producer, SpanKind::Consumer)
    );
    for span in [send, process] {
        let partition = "messaging.destination.partition.id";
        let offset = "messaging.kafka.offset";
        assert_eq!(text(&span.attributes, partition).as_deref(), Some("0"));
        assert_eq!(
            text(&span.attributes, offset),
            Some(number.clone()),
            "one camera in one partition"
        );
    }
    for span in [capture, process] {
        assert_eq!(
            text(&span.attributes, "mattebox.camera").as_deref(),
            Some("a")
        );
        assert_eq!(
            text(&span.attributes, "mattebox.frame"),
            Some(number.clone())
        );
    }
    assert_eq!(
        text(&capture.attributes, "mattebox.outcome").as_deref(),
        Some("written")
    );
    let mut begun = 0;
    for stage in stages {
        let steps: Vec<_> = trace
            .iter()
            .filter(|told| told.span.name == *stage && told.service == "mattebox-worker")
            .collect();
        assert_eq!(steps.len(), 1, "{stage}");
        let step = &steps[0].span;
        assert!(
            is_within(step, process) && step.end_time_unix_nano <= process.end_time_unix_nano,
            "{stage}"
        );
        assert!(
            step.start_time_unix_nano >= begun,
            "{stage} comes after the stage before it"
        );
        begun = step.start_time_unix_nano;
    }
    let encode: Vec<_> = trace
        .iter()
        .filter(|told| told.span.name == "encode" && told.service == "mattebox-camera")
        .collect();
    assert!(encode.len() == 1 && is_within(&encode[0].span, capture));
}

#[test]
fn a_frame_is_one_trace_from_the_camera_through_the_topic_to_its_file() {
    let broker = Broker::shared();
    for wire in ["binary", "json"] {
        let pipeline = KafkaPipeline::new(&broker, wire);
        let collector = Collector::start();
        let otlp = format!("--otlp={}", collector.address);
        pipeline.fill(&["a"], 5, &["--partitions", "1", "--wire", wire, &otlp]);
        pipeline.report(&["worker", "--until", "end", &otlp]);
        let traces = collector.traces();
        assert_eq!(traces.len(), 5, "{wire}");
        let mut frames: Vec<_> = traces.values().collect();
        frames.sort_by_key(|trace| one(trace, "capture").start_time_unix_nano);
        for (number, trace) in (0..).zip(frames) {
            check_way(wire, trace, number, &STAGES);
            assert_eq!(trace.len(), 4 + STAGES.len(), "nothing else");
            let process = one(trace, &format!("process {wire}"));
            assert_eq!(
                text(&process.attributes, "mattebox.outcome").as_deref(),
                Some("written")
            );
        }
    }
}

#[test]
fn a_result_in_a_topic_carries_the_trace_of_its_frame_on() {
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "to-topic");
    let collector = Collector::start();
    let otlp = format!("--otlp={}", collector.address);
    pipeline.fill(&["a"], 3, &["--partitions", "1", &otlp]);
    pipeline.report(&["worker", "--until", "end", "--out", "topic:matted", &otlp]);
    let results = broker.client().consume_all("matted", Isolation::Committed);
    assert_eq!(results.len(), 3);
    let traces = collector.traces();
    for (number, result) in (0..).zip(&results) {
        let parent = String::from_utf8(result.header("traceparent").expect("a trace").to_vec())
            .expect("text");
        let trace = &traces[parent.split('-').nth(1).expect("an id")];
        check_way("to-topic", trace, number, &STAGES[..5]);
        let send = one(trace, "send matted");
        assert_eq!(
            parent,
            format!("00-{}-{}-01", hex(&send.trace_id), hex(&send.span_id))
        );
        let process = one(trace, "process to-topic");
        assert!(is_within(send, process));
        assert_eq!(
            text(&process.attributes, "mattebox.outcome").as_deref(),
            Some("written")
        );
    }
    // A worker without traces passes on the trace context of the record.
    pipeline.report(&[
        "worker",
        "--until",
        "end",
        "--group",
        "other",
        "--out",
        "topic:passed",
    ]);
    let [frames, passed] = ["to-topic", "passed"]
        .map(|topic| broker.client().consume_all(topic, Isolation::Committed));
    let parents = |records: &[StoredRecord]| {
        records
            .iter()
            .map(|r| r.header("traceparent").map(<[u8]>::to_vec))
            .collect::<Vec<_>>()
    };
    assert_eq!(parents(&frames), parents(&passed));
    assert!(passed.len() == 3 && passed[0].header("traceparent").is_some());
}

#[test]
fn a_dead_letter_says_why_in_its_trace() {
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "hostile");
    let collector = Collector::start();
    broker.client().create_topic("hostile", 1, &[]);
    let known = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let hostile = [
        NewRecord::new("a", "nonsense").header("traceparent", known),
        NewRecord::new("a", "{").header("traceparent", "\u{1}"),
    ];
    broker.client().produce("hostile", &hostile);
    pipeline.run(&[
        "worker",
        "--until",
        "end",
        &format!("--otlp={}", collector.address),
    ]);
    let told = collector.told();
    assert_eq!(told.len(), 2);
    for (told, code) in told.iter().zip(["not-a-frame", "bad-json"]) {
        assert_eq!(
            text(&told.span.attributes, "error.type").as_deref(),
            Some(code)
        );
        let status = told.span.status.as_ref().expect("a status");
        assert!(status.code() == StatusCode::Error && !status.message.is_empty());
    }
    assert_eq!(
        hex(&told[0].span.trace_id),
        "0af7651916cd43dd8448eb211c80319c"
    );
    assert!(
        told[1].span.parent_span_id.is_empty(),
        "what is no trace is left alone"
    );
}

#[test]
fn the_camera_decides_which_frames_are_traced() {
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "sampled");
    let collector = Collector::start();
    let otlp = format!("--otlp={}", collector.address);
    pipeline.fill(
        &["a"],
        20,
        &["--partitions", "1", &otlp, "--otlp-sample", "0"],
    );
    pipeline.report(&["worker", "--until", "end", "--group", "none", &otlp]);
    assert!(collector.told().is_empty());
    pipeline.fill(&["a"], 60, &[&otlp, "--otlp-sample", "0.5"]);
    let from_cameras = collector.traces().len();
    assert!(
        (10..50).contains(&from_cameras),
        "about half of 60: {from_cameras}"
    );
    pipeline.report(&[
        "worker", "--until", "end", "--group", "half", "--out", "half", &otlp,
    ]);
    let traces = collector.traces();
    assert_eq!(
        traces.len(),
        from_cameras,
        "no trace is begun in the middle"
    );
    assert!(
        traces
            .values()
            .all(|trace| trace.iter().any(|told| told.span.name == "write")),
        "each is there as a whole"
    );
}

#[test]
fn without_a_collector_every_frame_is_published_with_one_warning() {
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "alone");
    let closed = format!("http://127.0.0.1:{}", free_port());
    let source = format!("a={}", sample());
    let how = [
        "--realtime",
        "false",
        "--frames",
        "3000",
        "--max-width",
        "64",
        "--partitions",
        "1",
    ];
    let done =
        pipeline.run(&[&["camera", &source, "--json", "--otlp", &closed], &how[..]].concat());
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_eq!(
        done.stderr.matches("traces cannot be sent").count(),
        1,
        "{}",
        done.stderr
    );
    assert!(done.stderr.contains(&closed), "{}", done.stderr);
    let report: serde_json::Value = serde_json::from_slice(&done.stdout).expect("JSON");
    assert_eq!(sum(&report, "written"), 3000);
}

#[test]
fn a_run_without_a_broker_has_traces_too() {
    let workspace = Workspace::new();
    let collector = Collector::start();
    let clip = sample();
    for (out, whole) in [
        ("output", &STAGES[1..]),
        ("out.mp4", &["segment", "refine", "compose", "write"]),
        // no viewer sees them: nothing is made
        ("none", &[]),
    ] {
        let done = workspace.run_with(
            &[
                "run",
                &clip,
                "--frames",
                "4",
                "--out",
                out,
                "--otlp",
                &collector.address,
                "--progress",
                "none",
            ],
            &[("OTEL_SERVICE_NAME", out)],
        );
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        let traces: Vec<_> = collector
            .traces()
            .into_values()
            .filter(|trace| trace[0].service == out)
            .collect();
        assert_eq!(traces.len(), 4, "{out}");
        for trace in traces {
            let frame = one(&trace, "frame");
            assert!(
                whole
                    .iter()
                    .all(|stage| is_within(one(&trace, stage), frame)),
                "{out}"
            );
            assert_eq!(
                trace.len(),
                whole.len() + 1,
                "{out}: {:?}",
                trace.iter().map(|t| &t.span.name).collect::<Vec<_>>()
            );
        }
    }
}

#[test]
fn a_bad_address_is_refused_at_the_start() {
    let workspace = Workspace::new();
    let done = workspace.run(&["run", &sample(), "--otlp", "127.0.0.1:4318"]);
    assert_eq!(done.code, Some(2), "{}", done.stderr);
    assert!(
        done.stderr.contains("http://127.0.0.1:4318"),
        "{}",
        done.stderr
    );
    assert!(workspace.files(".").is_empty());
}
