//! The families of a process, collected when a scrape asks.
use super::family::{Family, FamilyKind};
use crate::latency::Times;
use prometheus::{
    Registry, TEXT_FORMAT, TextEncoder,
    core::{Collector, Desc},
    proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType},
};
use std::{collections::HashMap, time::Duration};

/// Upper bounds of the histograms' buckets in milliseconds, with the latency budgets of
/// docs/guide/operations.md.
const BUCKETS_MS: [u64; 14] = [
    2, 5, 10, 20, 33, 50, 100, 200, 250, 500, 1000, 2000, 5000, 10_000,
];

/// The metrics of a process.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Registry);

impl Metrics {
    /// Adds families. Each scrape calls `collect`, which adds their samples.
    pub fn add(
        &self,
        families: &'static [&'static Family],
        collect: impl Fn(&mut Samples) + Send + Sync + 'static,
    ) {
        let added = describe(families).and_then(|descriptions| {
            self.0.register(Box::new(ScrapeCollector {
                families,
                descriptions,
                collect: Box::new(collect),
            }))
        });
        // The families are constants: a test registers those of every command.
        if let Err(error) = added {
            tracing::error!("metrics cannot be served: {error}");
        }
    }

    /// All samples in Prometheus' text format
    /// (<https://prometheus.io/docs/instrumenting/exposition_formats/>), version 0.0.4.
    pub fn text(&self) -> String {
        let encoded = TextEncoder::new().encode_to_string(&self.0.gather());
        encoded.unwrap_or_else(|error| {
            tracing::error!("metrics cannot be encoded: {error}");
            String::new()
        })
    }

    /// The media type of [`Metrics::text`].
    pub const MEDIA_TYPE: &'static str = TEXT_FORMAT;
}

fn describe(families: &[&'static Family]) -> prometheus::Result<Vec<Desc>> {
    let describe = |family: &&Family| {
        let labels = family.labels.iter().map(|label| label.to_string());
        Desc::new(
            family.name.to_owned(),
            family.help.to_owned(),
            labels.collect(),
            HashMap::new(),
        )
    };
    families.iter().map(describe).collect()
}

struct ScrapeCollector {
    families: &'static [&'static Family],
    descriptions: Vec<Desc>,
    collect: Box<dyn Fn(&mut Samples) + Send + Sync>,
}

impl Collector for ScrapeCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut samples = Samples {
            families: self.families,
            metrics: self.families.iter().map(|_| Vec::new()).collect(),
        };
        (self.collect)(&mut samples);
        samples.finish()
    }
}

/// The samples of one scrape.
#[derive(Debug)]
pub struct Samples {
    families: &'static [&'static Family],
    metrics: Vec<Vec<Metric>>,
}

impl Samples {
    /// Adds the value of a counter or gauge. Label values are in the family's order.
    pub fn add(&mut self, family: &'static Family, labels: &[&str], value: f64) {
        let mut metric = metric(family, labels);
        match family.kind {
            FamilyKind::Counter => {
                let mut counter = Counter::default();
                counter.set_value(value);
                metric.set_counter(counter);
            }
            FamilyKind::Gauge | FamilyKind::Histogram => {
                let mut gauge = Gauge::default();
                gauge.set_value(value);
                metric.set_gauge(gauge);
            }
        }
        self.push(family, metric);
    }

    /// Adds the times of a histogram.
    pub fn add_times(&mut self, family: &'static Family, labels: &[&str], times: &Times) {
        let buckets = BUCKETS_MS.iter().map(|&ms| {
            let limit = Duration::from_millis(ms);
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(limit.as_secs_f64());
            bucket.set_cumulative_count(times.up_to(limit));
            bucket
        });
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(times.count());
        histogram.set_sample_sum(times.sum().as_secs_f64());
        let mut metric = metric(family, labels);
        metric.set_histogram(histogram);
        self.push(family, metric);
    }

    fn push(&mut self, family: &'static Family, metric: Metric) {
        let index = self.families.iter().position(|f| f.name == family.name);
        debug_assert!(index.is_some(), "{} is not registered", family.name);
        if let Some(metrics) = index.and_then(|index| self.metrics.get_mut(index)) {
            metrics.push(metric);
        }
    }

    fn finish(self) -> Vec<MetricFamily> {
        let all = self.families.iter().zip(self.metrics);
        all.map(|(family, metrics)| {
            let mut made = MetricFamily::default();
            made.set_name(family.name.to_owned());
            made.set_help(family.help.to_owned());
            made.set_field_type(match family.kind {
                FamilyKind::Counter => MetricType::COUNTER,
                FamilyKind::Gauge => MetricType::GAUGE,
                FamilyKind::Histogram => MetricType::HISTOGRAM,
            });
            made.set_metric(metrics);
            made
        })
        .collect()
    }
}

fn metric(family: &Family, labels: &[&str]) -> Metric {
    debug_assert_eq!(family.labels.len(), labels.len(), "{}", family.name);
    let pairs = family.labels.iter().zip(labels).map(|(name, value)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    });
    let mut metric = Metric::default();
    metric.set_label(pairs.collect());
    metric
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::Latency;

    static CAMERAS: Family = Family::gauge("x_cameras", &["camera", "n"], "Cameras.");
    static SECONDS: Family = Family::histogram("x_seconds", &["camera"], "Time.");
    static NEVER: Family = Family::counter("x_never_total", &[], "Without samples.");

    fn text(collect: impl Fn(&mut Samples) + Send + Sync + 'static) -> String {
        static FAMILIES: [&Family; 3] = [&CAMERAS, &SECONDS, &NEVER];
        let metrics = Metrics::default();
        metrics.add(&FAMILIES, collect);
        metrics.text()
    }

    #[test]
    fn labels_are_escaped_and_numbers_are_plain() {
        let text = text(|samples| {
            samples.add(&CAMERAS, &["a\"b\\c\nd", "1"], 12345678901.0);
            samples.add(&CAMERAS, &["e", "1"], 0.5);
        });
        let wanted = "# HELP x_cameras Cameras.\n# TYPE x_cameras gauge\n\
             x_cameras{camera=\"a\\\"b\\\\c\\nd\",n=\"1\"} 12345678901\n\
             x_cameras{camera=\"e\",n=\"1\"} 0.5\n";
        assert_eq!(text, wanted);
    }

    #[test]
    fn a_histogram_has_its_buckets_its_sum_and_its_count() {
        let text = text(|samples| {
            let latency = Latency::default();
            for _ in 0..4 {
                latency.add(Duration::from_millis(25));
            }
            samples.add_times(&SECONDS, &["a"], &latency.times());
            samples.add_times(&SECONDS, &["b"], &Times::default());
        });
        for line in [
            "x_seconds_bucket{camera=\"a\",le=\"0.02\"} 0",
            "x_seconds_bucket{camera=\"a\",le=\"0.033\"} 4",
            "x_seconds_bucket{camera=\"a\",le=\"+Inf\"} 4",
            "x_seconds_sum{camera=\"a\"} 0.1",
            "x_seconds_count{camera=\"a\"} 4",
            "x_seconds_count{camera=\"b\"} 0",
        ] {
            assert!(text.contains(&format!("{line}\n")), "{line} in {text}");
        }
    }
}
