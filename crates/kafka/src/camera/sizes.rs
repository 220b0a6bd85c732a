//! Whether frames fit: what the topic and the client take is compared with what the cameras give.
use super::CaptureCounters;
use crate::{KafkaError, client::Context, settings::BrokerSettings, topics};
use mattebox_core::frame::CameraId;
use rdkafka::admin::AdminClient;
use std::sync::atomic::Ordering::Relaxed;

/// The client's limit where the topic has none that is known: librdkafka's own is 1,000,000, as
/// much as a topic takes by default.
const CLIENTS_OWN: usize = 64 << 20;
/// A batch of librdkafka as it is without being told.
const USUAL_BATCH: usize = 1_000_000;
/// Frames of more than this part of the limit are warned of, in percent.
const NEAR: usize = 80;

/// The largest records that can be published, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sizes {
    topic: String,
    /// `max.message.bytes` of the topic, where the broker tells.
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
        // The topic's limit is the one that counts, so the client's is out of its way.
        let of_client =
            users_own.unwrap_or(CLIENTS_OWN.max(of_topic.unwrap_or(0)).min(1_000_000_000));
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

    /// For the client: `batch.size`. The broker measures whole batches, so that several frames that
    /// fit alone must not go together in one that does not.
    pub(super) fn batch(&self) -> usize {
        self.of_topic
            .map_or(USUAL_BATCH, |limit| (limit / 10 * 9).clamp(1, USUAL_BATCH))
    }

    /// Whether a record fits, as far as that is known. Says once per camera what to do where it
    /// does not, or nearly not.
    pub(super) fn check(
        &self,
        camera: &CameraId,
        counters: &CaptureCounters,
        bytes: usize,
    ) -> bool {
        let limit = self.of_client.min(self.of_topic.unwrap_or(usize::MAX));
        let fits = bytes <= limit;
        let near = bytes as u128 * 100 > limit as u128 * NEAR as u128;
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
            "a frame of {bytes} bytes is {what}: {holder}. Raise that with {remedy} and start again, or make frames smaller: --max-width, --jpeg-quality"
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
    fn the_smaller_limit_counts_and_is_named_with_what_to_do() {
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
    fn a_limit_that_nobody_tells_refuses_nothing() {
        assert!(sizes(None, CLIENTS_OWN).check(
            &"a".parse().unwrap(),
            &CaptureCounters::new(&"cam".parse().unwrap()),
            30 << 20
        ));
        assert_eq!(
            (sizes(None, 1).batch(), sizes(Some(1000), 1).batch()),
            (USUAL_BATCH, 900)
        );
    }
}
