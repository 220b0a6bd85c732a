//! Compares the size of frames with the limits of the topic and the client.
use super::CaptureCounters;
use crate::{KafkaError, client::Context, settings::BrokerSettings, topics};
use mattebox_core::frame::CameraId;
use rdkafka::admin::AdminClient;
use std::sync::atomic::Ordering::Relaxed;

/// The client's limit if the topic's limit is not known: librdkafka's own is 1,000,000, a topic's
/// default.
const DEFAULT_CLIENT_LIMIT: usize = 64 << 20;
/// librdkafka's default size of a batch.
const DEFAULT_BATCH: usize = 1_000_000;
/// Frames above this percentage of the limit cause a warning.
const WARNING_PERCENT: usize = 80;

/// The largest records that can be published, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sizes {
    topic: String,
    /// `max.message.bytes` of the topic, if the broker reports it.
    of_topic: Option<usize>,
    /// `message.max.bytes` of the client.
    of_client: usize,
}

impl Sizes {
    /// Asks the broker.
    pub(super) fn ask(
        admin: &AdminClient<Context>,
        broker: &BrokerSettings,
    ) -> Result<Self, KafkaError> {
        let of_topic = topics::setting(admin, &broker.topic, "max.message.bytes")?
            .and_then(|text| text.parse().ok());
        let users_own = broker
            .option("message.max.bytes")
            .and_then(|text| text.trim().parse().ok());
        // Only the topic's limit counts, so the client's is set at least as high.
        let of_client = users_own.unwrap_or(
            DEFAULT_CLIENT_LIMIT
                .max(of_topic.unwrap_or(0))
                .min(1_000_000_000),
        );
        Ok(Sizes {
            topic: broker.topic.clone(),
            of_topic,
            of_client,
        })
    }

    /// For the client: `message.max.bytes`.
    pub(super) fn of_client(&self) -> usize {
        self.of_client
    }

    /// For the client: `batch.size`. The broker compares whole batches with its limit, so frames
    /// that fit alone must not form a batch that does not.
    pub(super) fn batch(&self) -> usize {
        self.of_topic.map_or(DEFAULT_BATCH, |limit| {
            (limit / 10 * 9).clamp(1, DEFAULT_BATCH)
        })
    }

    /// Whether a record fits, as far as the limits are known. Logs a remedy once per camera if it
    /// does not, or nearly not.
    pub(super) fn check(
        &self,
        camera: &CameraId,
        counters: &CaptureCounters,
        bytes: usize,
    ) -> bool {
        let limit = self.of_client.min(self.of_topic.unwrap_or(usize::MAX));
        let fits = bytes <= limit;
        let near = bytes as u128 * 100 > limit as u128 * WARNING_PERCENT as u128;
        if near && !counters.warned_of_size.swap(true, Relaxed) {
            tracing::warn!(%camera, "{}", self.advice(bytes, limit));
        }
        fits
    }

    fn advice(&self, bytes: usize, limit: usize) -> String {
        let Sizes {
            topic,
            of_topic,
            of_client,
        } = self;
        let what = if bytes > limit {
            "too large, and is not published"
        } else {
            "nearly too large"
        };
        let wanted = (bytes * 2).next_multiple_of(1 << 20);
        let (holder, remedy) = if of_topic.is_some_and(|of_topic| of_topic <= *of_client) {
            let set = format!(
                "kafka-configs.sh --alter --entity-type topics --entity-name {topic} --add-config"
            );
            (
                format!("topic {topic} takes {limit} (max.message.bytes)"),
                format!("`{set} max.message.bytes={wanted}`"),
            )
        } else {
            let set = format!("--kafka-option message.max.bytes={wanted}");
            (
                format!("the client takes {limit} (message.max.bytes)"),
                format!("`{set}`"),
            )
        };
        format!(
            "a frame of {bytes} bytes is {what}: {holder}. Raise that with {remedy} and start \
             again, or make frames smaller: --max-width, --jpeg-quality"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(of_topic: Option<usize>, of_client: usize) -> Sizes {
        Sizes {
            topic: "t".into(),
            of_topic,
            of_client,
        }
    }

    #[test]
    fn the_smaller_limit_counts_and_is_named_with_a_remedy() {
        let camera = "cam01".parse().unwrap();
        let counters = CaptureCounters::new(&camera);
        let small_topic = sizes(Some(1000), 5000);
        assert!(
            small_topic.check(&camera, &counters, 500) && !counters.warned_of_size.load(Relaxed)
        );
        assert!(
            small_topic.check(&camera, &counters, 900) && counters.warned_of_size.load(Relaxed)
        );
        assert!(!small_topic.check(&camera, &counters, 1001));
        let text = small_topic.advice(1001, 1000);
        assert!(
            [
                "1001",
                "takes 1000",
                "max.message.bytes=1048576",
                "--max-width"
            ]
            .iter()
            .all(|w| text.contains(w)),
            "{text}"
        );
        let text = sizes(Some(9000), 5000).advice(4900, 5000);
        assert!(
            [
                "4900",
                "takes 5000",
                "nearly",
                "--kafka-option message.max.bytes="
            ]
            .iter()
            .all(|w| text.contains(w)),
            "{text}"
        );
    }

    #[test]
    fn an_unknown_limit_refuses_nothing() {
        assert!(sizes(None, DEFAULT_CLIENT_LIMIT).check(
            &"a".parse().unwrap(),
            &CaptureCounters::new(&"cam".parse().unwrap()),
            30 << 20
        ));
        assert_eq!(
            (sizes(None, 1).batch(), sizes(Some(1000), 1).batch()),
            (DEFAULT_BATCH, 900)
        );
    }
}
