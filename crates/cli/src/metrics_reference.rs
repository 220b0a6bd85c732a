//! docs/ref/metrics.md, generated from the declarations of the metric families.
use crate::{retention, run::stats};
use mattebox_engine::metrics::{Family, frames, process};
use mattebox_kafka::{camera, watch, worker};
use std::fmt::Write;

const HEAD: &str = "\
# Metrics

`mattebox run`, `camera`, `worker` and `prune --every` serve metrics with `--metrics ADDR` (a port
alone listens on this machine only). The live page (`--view`) serves them too:

| path | content |
|---|---|
| `/metrics` | all metrics, in Prometheus' text format |
| `/healthz` | 200 while the process runs |
| `/readyz` | 200 while the command does its work, else 503 with a line for each reason |

A command is ready when `run` has written a frame, `worker` has joined its group, `camera` has
published a frame, `view` reads its topic, or a round of `prune` is done. It is not ready while the
broker does not answer; while files, states, offsets or dead letters cannot be written; while each
of the last 30 frames of a camera was dropped as stale, refused or dead; and once a camera of
several has ended with an error. The Spark job has [its own reasons](#the-spark-job).

The summary at the end has the same counts under the same names, with `--json` for machines.
Latencies are histograms in seconds: `_bucket` with the label `le`, `_sum` and `_count`. Records
without a usable camera id count under `camera=\"(others)\"`.
[Operations](../guide/operations.md) has alerts and a dashboard.
";

const SPARK: &str = "
## The Spark job

`python -m mattebox.spark --metrics ADDR`. Counts are over the batches of this driver. A batch
counts when it has ended, in real time every `--checkpoint-interval`.

| metric | labels | meaning |
|---|---|---|
| `mattebox_frames_total` | `camera`, `outcome` | Frames by outcome: read, written, skipped, dead. |
| `mattebox_spark_written_bytes_total` | | Bytes of the files. |
| `mattebox_spark_dead_letters_total` | | Dead letters of all cameras. |
| `mattebox_spark_batches_total` | | Batches with frames that are done. |
| `mattebox_spark_restarts_total` | | Times that the query was started again after a failure. |
| `mattebox_spark_lag_records` | | Records behind the end of the topic, at the end of the last \
batch. |
| `mattebox_spark_latency_seconds` | `quantile` | From when a frame was captured to when \
its file was in place, in the last batch: 0.5, 0.95, 0.99. |
| `mattebox_spark_batch_seconds` | | How long the last batch took. |

`/healthz` is 200 while the driver lives. `/readyz` is 503 while no frame can be made, with a line
for each reason:

| reason | ends when |
|---|---|
| the query has not begun | it has begun |
| the query failed and is started again from its checkpoint; the cause is named, such as an \
output, state or checkpoint that cannot be written | a batch is done |
| no broker answers | it answers |
| there is no topic yet | it is there |
| Spark has no executors for this job, or fewer cores than real time needs | there are enough |
";

fn section(page: &mut String, title: &str, note: &str, families: &[&Family]) {
    let mut families = families.to_vec();
    families.sort_by_key(|family| family.name);
    write!(
        page,
        "\n## {title}\n\n{note}\n\n| metric | labels | meaning |\n|---|---|---|\n"
    )
    .expect("strings grow");
    for family in families {
        let labels = family.labels.iter().map(|label| format!("`{label}`"));
        let labels = labels.collect::<Vec<_>>().join(", ");
        let (name, help) = (family.name, family.help);
        writeln!(page, "| `{name}` | {labels} | {help} |").expect("strings grow");
    }
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    let all = "`run`, `camera`, `worker` and `view` have them with the same meaning: \
               [the counts of a frame](../design/events.md#the-counts-of-a-frame).";
    section(&mut page, "Frames", all, &frames::FAMILIES);
    let only = |command: &str| format!("Of `mattebox {command}`.");
    section(&mut page, "Run", &only("run"), &stats::FAMILIES);
    section(
        &mut page,
        "Camera",
        &only("camera"),
        &camera::metrics::FAMILIES,
    );
    section(
        &mut page,
        "Worker",
        &only("worker"),
        &worker::metrics::FAMILIES,
    );
    section(&mut page, "View", &only("view"), &watch::counters::FAMILIES);
    section(
        &mut page,
        "Retention",
        "`mattebox prune --every`, and `run` and `worker` with `--keep` or `--keep-bytes`.",
        &retention::FAMILIES,
    );
    section(
        &mut page,
        "The live page",
        "`run`, `worker` and `view` with `--view`.",
        mattebox_server::families(),
    );
    let process = "All commands.";
    section(&mut page, "Every process", process, &process::FAMILIES);
    page + SPARK
}

#[test]
fn the_metrics_reference_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/ref/metrics.md");
    let page = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &page).expect("the page is written");
    }
    let there = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        there == page,
        "docs/ref/metrics.md is out of date: UPDATE_DOCS=1 cargo test --release -p mattebox --lib"
    );
}

#[test]
fn every_path_of_the_api_is_in_its_reference() {
    let reference = include_str!("../../../docs/ref/api.md");
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
