//! Reaching a broker, and what librdkafka says on the way.
use super::KafkaError;
use crate::Waits;
use crate::{
    reason::{self, Reason},
    settings::BrokerSettings,
};
use mattebox_engine::stop::Stop;
use rdkafka::{
    ClientContext, Statistics,
    admin::AdminClient,
    config::RDKafkaLogLevel,
    error::{KafkaError as ClientError, KafkaResult},
    message::{DeliveryResult, Message},
    metadata::Metadata,
    producer::{BaseProducer, Producer, ProducerContext},
    util::IntoOpaque,
};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long one question to a broker may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The wait between two tries.
const PAUSE: Duration = Duration::from_millis(250);

/// What librdkafka said last of a connection that failed.
#[derive(Debug, Clone, Default)]
pub struct LastFailure(Arc<Mutex<Option<String>>>);

impl LastFailure {
    /// Notes a line of librdkafka's log, if it is about a connection that failed. Its errors name
    /// only the number of brokers that are down.
    pub fn note(&self, fac: &str, message: &str) {
        if fac == "FAIL" {
            let message = message.rsplit_once("]: ").map_or(message, |(_, rest)| rest);
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(message.to_owned());
        }
    }

    /// Its words.
    pub fn words(&self) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Says what librdkafka says, in our log, and remembers the last failure.
#[derive(Debug, Clone, Default)]
pub struct Context {
    failure: LastFailure,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        log(level, fac, message);
        self.failure.note(fac, message);
    }

    fn error(&self, error: ClientError, reason: &str) {
        tracing::debug!("kafka: {error}: {reason}");
    }

    fn stats(&self, _: Statistics) {}
}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    /// What a transaction holds is answered for by the transaction.
    fn delivery(&self, _: &DeliveryResult<'_>, _: ()) {}
}

/// Tells where each record that was sent lies, or why it does not.
pub struct OnDelivery<O>(Box<Tell<O>>);

type Tell<O> = dyn Fn(O, Result<i64, ClientError>) + Send + Sync;

impl<O> OnDelivery<O> {
    /// `tell` gets what was sent along with a record, and the record's offset. librdkafka calls it.
    pub fn new(tell: impl Fn(O, Result<i64, ClientError>) + Send + Sync + 'static) -> Self {
        OnDelivery(Box::new(tell))
    }
}

impl<O: 'static> ClientContext for OnDelivery<O> {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        log(level, fac, message);
    }

    fn error(&self, error: ClientError, reason: &str) {
        tracing::debug!("kafka: {error}: {reason}");
    }
}

impl<O: IntoOpaque + 'static> ProducerContext for OnDelivery<O> {
    type DeliveryOpaque = O;

    fn delivery(&self, result: &DeliveryResult<'_>, sent_along: O) {
        let answer = match result {
            Ok(message) => Ok(message.offset()),
            Err((error, _)) => Err(error.clone()),
        };
        (self.0)(sent_along, answer);
    }
}

/// librdkafka's lines in our log. It repeats what we say ourselves, so that most of it is for those
/// who look closely.
pub fn log(level: RDKafkaLogLevel, fac: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!("kafka {fac}: {message}")
        }
        _ => tracing::debug!("kafka {fac}: {message}"),
    }
}

/// A client for questions, connected: waits for the broker up to `timeout`.
pub fn connect(
    broker: &BrokerSettings,
    timeout: Duration,
    stop: &Stop,
) -> Result<AdminClient<Context>, KafkaError> {
    connect_telling(broker, timeout, stop, &Waits::default())
}

/// The same, and tells what it waits for.
pub fn connect_telling(
    broker: &BrokerSettings,
    timeout: Duration,
    stop: &Stop,
    waits: &Waits,
) -> Result<AdminClient<Context>, KafkaError> {
    let probe = Probe::new(broker, &[])?;
    let begun = Instant::now();
    let mut said = false;
    let mut hung_up = false;
    loop {
        let left = timeout.saturating_sub(begun.elapsed());
        let Err(error) = probe.try_once(left.clamp(PAUSE, PATIENCE / 2)) else {
            return broker
                .client(&[])
                .create_with_context(Context::default())
                .map_err(KafkaError::Settings);
        };
        let words = probe.failure.words();
        let mut reason = words.as_deref().and_then(Reason::read);
        // Only at the first time: it costs a second, and the answer does not change.
        let is_news = reason == Some(Reason::Untrusted)
            || reason == Some(Reason::HungUp) && !std::mem::replace(&mut hung_up, true);
        if is_news {
            reason = reason.map(|reason| look_closer(broker, reason));
        }
        let bootstrap = broker.bootstrap.clone();
        let problem = match reason {
            Some(reason) => reason.remedy().to_owned(),
            None => words.unwrap_or_else(|| reason::words(&error)),
        };
        if reason.is_some_and(Reason::is_permanent) || reason::is_refusal(&error) {
            return Err(KafkaError::Refused { bootstrap, problem });
        }
        if begun.elapsed() + PAUSE >= timeout {
            return Err(KafkaError::Unreachable {
                bootstrap,
                waited: timeout,
                problem,
            });
        }
        let what = format!("waiting for the broker at {bootstrap} ({problem})");
        if !said {
            said = true;
            tracing::info!("{what}");
        }
        waits.set(what);
        if stop.wait(PAUSE) {
            return Err(KafkaError::Stopped);
        }
    }
}

/// A connection that is tried. An admin client does not tell why it has none; a producer does.
struct Probe {
    client: BaseProducer<Context>,
    failure: LastFailure,
}

impl Probe {
    /// With `others` in the place of the user's own options.
    fn new(broker: &BrokerSettings, others: &[(&str, &str)]) -> Result<Self, KafkaError> {
        let context = Context::default();
        let failure = context.failure.clone();
        let mut config = broker.client(&[]);
        for (name, value) in others {
            config.set(*name, *value);
        }
        let client = config
            .create_with_context(context)
            .map_err(KafkaError::Settings)?;
        Ok(Probe { client, failure })
    }

    /// Asks the broker for what it has. Where that fails, the reason comes soon after.
    fn try_once(&self, patience: Duration) -> Result<(), ClientError> {
        let answer = self.client.client().fetch_metadata(None, patience);
        if let Err(error) = answer {
            let begun = Instant::now();
            while self.failure.words().is_none() && begun.elapsed() < PAUSE {
                self.client.poll(Duration::from_millis(20));
            }
            self.client.poll(Duration::ZERO);
            return Err(error);
        }
        Ok(())
    }
}

/// Tells reasons apart for which librdkafka has the same words, by another try. It sends no
/// password: it only shakes hands.
fn look_closer(broker: &BrokerSettings, reason: Reason) -> Reason {
    let only_tls = ("security.protocol", "ssl");
    let any_name = ("ssl.endpoint.identification.algorithm", "none");
    let any_certificate = ("enable.ssl.certificate.verification", "false");
    let no_tls = ("security.protocol", "plaintext");
    let (options, where_it_works) = match reason {
        Reason::Untrusted => (&[only_tls, any_name][..], Reason::WrongName),
        Reason::HungUp if broker.has_tls() => (&[no_tls][..], Reason::NoTls),
        Reason::HungUp => (&[only_tls, any_certificate][..], Reason::TlsWanted),
        reason => return reason,
    };
    match shakes_hands(broker, options) {
        true => where_it_works,
        false => reason,
    }
}

/// Whether the broker speaks with us with these options.
fn shakes_hands(broker: &BrokerSettings, others: &[(&str, &str)]) -> bool {
    let Ok(probe) = Probe::new(broker, others) else {
        return false;
    };
    if probe.try_once(PATIENCE / 2).is_ok() {
        return true;
    }
    // What comes after the handshake may fail: that is another question.
    let words = probe.failure.words().unwrap_or_default();
    ["in state APIVERSION_QUERY", "in state UP", "in state AUTH"]
        .iter()
        .any(|state| words.contains(state))
}

/// Asks librdkafka until there is an answer, up to `patience`. A partition that was just made, or
/// whose broker was just lost, has no leader for a moment; in the middle of a rebalance, or with a
/// transaction open, there may be no answer at first.
pub fn again<T>(
    patience: Duration,
    stop: &Stop,
    action: &str,
    mut ask: impl FnMut() -> KafkaResult<T>,
) -> Result<T, KafkaError> {
    until_answered(patience, stop, || ask().map_err(KafkaError::client(action)))
}

/// Tries a step of several questions until none fails, up to `patience`. A broker may go away
/// between two of them. What a broker refuses, and what an operator has to mend, is told at once.
pub fn until_answered<T>(
    patience: Duration,
    stop: &Stop,
    mut step: impl FnMut() -> Result<T, KafkaError>,
) -> Result<T, KafkaError> {
    let begun = Instant::now();
    loop {
        match step() {
            Err(KafkaError::Client { action, source })
                if begun.elapsed() <= patience && !reason::is_refusal(&source) =>
            {
                tracing::debug!("cannot {action} yet: {source}");
            }
            answer => return answer,
        }
        if stop.wait(Duration::from_millis(100)) {
            return Err(KafkaError::Stopped);
        }
    }
}

/// What the broker says of one topic, or of all. Asked through any client.
pub fn metadata(
    admin: &AdminClient<Context>,
    topic: Option<&str>,
    timeout: Duration,
) -> Result<Metadata, ClientError> {
    admin.inner().fetch_metadata(topic, timeout)
}

/// Waits for a future of an admin client: its own thread completes it.
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    struct Wake(std::thread::Thread);
    impl std::task::Wake for Wake {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Wake(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(value) => return value,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::error::RDKafkaErrorCode;

    #[test]
    fn a_partition_without_a_leader_is_asked_again_and_a_refusal_is_not() {
        let mut asked = 0;
        let answer = again(Duration::from_secs(60), &Stop::new(), "ask", || {
            asked += 1;
            if asked < 3 {
                Err(ClientError::MetadataFetch(
                    RDKafkaErrorCode::NotLeaderForPartition,
                ))
            } else {
                Ok(asked)
            }
        });
        assert_eq!(answer.unwrap(), 3);
        let refused = || -> KafkaResult<()> {
            Err(ClientError::MetadataFetch(
                RDKafkaErrorCode::TopicAuthorizationFailed,
            ))
        };
        assert!(again(Duration::from_secs(60), &Stop::new(), "ask", refused).is_err());
        let stop = Stop::new();
        stop.stop();
        let silent = || -> KafkaResult<()> {
            Err(ClientError::MetadataFetch(
                RDKafkaErrorCode::OperationTimedOut,
            ))
        };
        assert!(matches!(
            again(Duration::from_secs(60), &stop, "ask", silent),
            Err(KafkaError::Stopped)
        ));
    }

    #[test]
    fn what_an_operator_has_to_mend_is_told_at_once() {
        let mut asked = 0;
        let answer: Result<(), _> = until_answered(Duration::from_secs(60), &Stop::new(), || {
            asked += 1;
            Err(KafkaError::Topic {
                topic: "frames".to_owned(),
                problem: "it is compacted".to_owned(),
            })
        });
        assert!(matches!(answer, Err(KafkaError::Topic { .. })));
        assert_eq!(asked, 1);
    }
}
