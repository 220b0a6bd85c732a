//! `docs/ref/metrics.md`, written from what the pages tell so that the two cannot drift apart.
use super::{CameraPage, RetentionPage, RunPage, ViewPage, WorkerPage};
use mattebox_engine::Watch;
use mattebox_server::{Page, process, text::Text};
use std::{fmt::Write, sync::Arc};

const HEAD: &str = "\
# Metrics

`mattebox run`, `camera`, `worker` and `prune --every` serve their numbers with `--metrics ADDR` (a port alone means this machine only); the live page (`--view`) has them too:

| path | what |
|---|---|
| `/metrics` | all numbers, in Prometheus' text format |
| `/healthz` | 200 while the process runs |
| `/readyz` | 200 when it does its work: a run has written a frame, a worker has joined its group, a camera has published a frame, a round of `prune` is done. 503 else, with a line for each reason, also later on: \
the broker does not answer, files, states, offsets or dead letters cannot be written, or each of the last 30 frames of a camera is stale, refused or dead; a camera of several has ended with an error. \
Of the Spark job: [its reasons](#the-spark-job) |

The same numbers are printed at the end, with `--json` for machines. Latencies are histograms, in seconds: `_bucket` with
the label `le`, `_sum` and `_count`. Records without a usable camera id count under `camera=\"(others)\"`. Alerts and a dashboard: [operations](../guide/operations.md).
";

const SPARK: &str = "
## The Spark job

`python -m mattebox.spark --metrics ADDR`. Sums are over the batches of this driver; a batch counts when it has ended, in real time every `--checkpoint-interval`.

| metric | what |
|---|---|
| `mattebox_spark_frames_total` | Records by `status`: written, kept, dead. |
| `mattebox_spark_written_bytes_total` | Bytes of the files. |
| `mattebox_spark_batches_total` | Batches with frames that were done. |
| `mattebox_spark_restarts_total` | Times that the query was started again after a failure. |
| `mattebox_spark_lag_records` | Records behind the end of the topic, at the end of the last batch. |
| `mattebox_spark_latency_seconds` | From when a frame was taken until its file was in place, in the last batch, by `quantile`: 0.5, 0.95, 0.99. |
| `mattebox_spark_batch_seconds` | How long the last batch took. |

`/healthz` is 200 while the driver lives. `/readyz` is 503 while no frame can be made, with a line for each reason:

| reason | ends when |
|---|---|
| the query has not begun | it has begun |
| the query failed, and is started again from its checkpoint: the cause, such as an output, state or checkpoint that cannot be written | a batch is done |
| no broker answers | it answers |
| there is no topic yet | it is there |
| Spark has no executors for this job, or fewer cores than real time needs | there are enough |
";

fn section(page: &mut String, title: &str, labels: &str, tell: impl FnOnce(&mut Text)) {
    let mut text = Text::default();
    tell(&mut text);
    let text = text.finish();
    let mut rows: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# HELP ")?.split_once(' '))
        .collect();
    rows.sort();
    assert!(!rows.is_empty(), "{title} tells nothing");
    write!(
        page,
        "\n## {title}\n\n{labels}\n\n| metric | what |\n|---|---|\n"
    )
    .expect("strings grow");
    for (name, help) in rows {
        writeln!(page, "| `{name}` | {help} |").expect("strings grow");
    }
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    let run = RunPage {
        watch: Watch { cameras: vec![] },
        clock: Arc::default(),
        sources: vec![],
    };
    section(&mut page, "Run", "Label: `camera`.", |text| {
        run.metrics(text)
    });
    section(
        &mut page,
        "Worker",
        "Labels: `camera` or `partition`.",
        |text| WorkerPage(Arc::default()).metrics(text),
    );
    section(&mut page, "Camera", "Label: `camera`.", |text| {
        let page = CameraPage {
            watch: Watch { cameras: vec![] },
            troubles: Arc::default(),
        };
        page.metrics(text)
    });
    section(&mut page, "View", "Label: `camera`.", |text| {
        ViewPage(Arc::default()).metrics(text)
    });
    section(
        &mut page,
        "Retention",
        "`mattebox prune --every`, and `run` and `worker` with `--keep` or `--keep-bytes`. Without labels.",
        |text| RetentionPage(Arc::default()).metrics(text),
    );
    section(
        &mut page,
        "The live page",
        "With `--view`. Label: `camera`.",
        mattebox_server::page_metrics,
    );
    section(
        &mut page,
        "Every process",
        "Without labels, but for `version`.",
        process::metrics,
    );
    page + SPARK
}

#[test]
fn the_metrics_reference_is_what_the_pages_tell() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/ref/metrics.md");
    let page = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &page).expect("the page is written");
    }
    let there = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        there == page,
        "docs/ref/metrics.md is out of date: UPDATE_DOCS=1 cargo test --release -p mattebox reference"
    );
}

#[test]
fn every_path_of_the_api_is_in_its_reference() {
    let reference = include_str!("../../../../docs/ref/api.md");
    let description: serde_json::Value =
        serde_json::from_str(&mattebox_server::openapi().expect("a description")).expect("JSON");
    let paths = description["paths"].as_object().expect("paths");
    assert!(paths.len() >= 9);
    for path in paths.keys() {
        assert!(
            reference.contains(&format!("`{path}`")),
            "{path} is missing in docs/ref/api.md"
        );
    }
}
