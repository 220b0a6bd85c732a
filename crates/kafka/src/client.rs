//! Connects to a broker, and writes librdkafka's messages into our log.
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

/// How long one request to a broker may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// The wait between two tries.
const PAUSE: Duration = Duration::from_millis(250);

/// librdkafka's last message about a failed connection.
#[derive(Debug, Clone, Default)]
pub struct LastFailure(Arc<Mutex<Option<String>>>);

impl LastFailure {
    /// Keeps a line of librdkafka's log if it is about a failed connection. librdkafka's errors
    /// have only the number of brokers that are down.
    pub fn note(&self, fac: &str, message: &str) {
        if fac == "FAIL" {
            let message = message.rsplit_once("]: ").map_or(message, |(_, rest)| rest);
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(message.to_owned());
        }
    }

    /// The message.
    pub fn words(&self) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Writes librdkafka's messages into our log, and keeps the last one about a failed connection.
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

    /// A transaction reports the result for all its records.
    fn delivery(&self, _: &DeliveryResult<'_>, _: ()) {}
}

/// Reports the offset of each record that was sent, or the error.
pub struct OnDelivery<O>(Box<DeliveryReport<O>>);

type DeliveryReport<O> = dyn Fn(O, Result<i64, ClientError>) + Send + Sync;

impl<O> OnDelivery<O> {
    /// librdkafka calls `report` with the value that was sent along with a record, and the record's
    /// offset.
    pub fn new(report: impl Fn(O, Result<i64, ClientError>) + Send + Sync + 'static) -> Self {
        OnDelivery(Box::new(report))
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

/// Writes a line of librdkafka into our log. Most lines repeat our own messages, so they are debug
/// lines.
pub fn log(level: RDKafkaLogLevel, fac: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!("kafka {fac}: {message}")
        }
        _ => tracing::debug!("kafka {fac}: {message}"),
    }
}

/// A connected client for requests. Waits up to `timeout` for the broker.
pub fn connect(
    broker: &BrokerSettings,
    timeout: Duration,
    stop: &Stop,
) -> Result<AdminClient<Context>, KafkaError> {
    connect_with_waits(broker, timeout, stop, &Waits::default())
}

/// Like [`connect`], and writes the reason of the wait to `waits`.
pub fn connect_with_waits(
    broker: &BrokerSettings,
    timeout: Duration,
    stop: &Stop,
    waits: &Waits,
) -> Result<AdminClient<Context>, KafkaError> {
    let probe = Probe::new(broker, &[])?;
    let begun = Instant::now();
    let mut is_logged = false;
    let mut was_distinguished = false;
    loop {
        let left = timeout.saturating_sub(begun.elapsed());
        let Err(error) = probe.try_once(left.clamp(PAUSE, REQUEST_TIMEOUT / 2)) else {
            return broker
                .client(&[])
                .create_with_context(Context::default())
                .map_err(KafkaError::Settings);
        };
        let words = probe.failure.words();
        let mut reason = words.as_deref().and_then(Reason::read);
        // Only once: it costs a second, and the answer does not change.
        let is_news = reason == Some(Reason::Untrusted)
            || reason == Some(Reason::Disconnected)
                && !std::mem::replace(&mut was_distinguished, true);
        if is_news {
            reason = reason.map(|reason| distinguish(broker, reason));
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
        if !is_logged {
            is_logged = true;
            tracing::info!("{what}");
        }
        waits.set(what);
        if stop.wait(PAUSE) {
            return Err(KafkaError::Stopped);
        }
    }
}

/// A test connection. An admin client does not report why it cannot connect; a producer does.
struct Probe {
    client: BaseProducer<Context>,
    failure: LastFailure,
}

impl Probe {
    /// `others` replace the user's own options.
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

    /// Asks the broker for its metadata. librdkafka logs the reason of a failure soon after it.
    fn try_once(&self, timeout: Duration) -> Result<(), ClientError> {
        let answer = self.client.client().fetch_metadata(None, timeout);
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

/// Connects once more to distinguish reasons for which librdkafka has one message. Sends no
/// password: it needs only the handshake.
fn distinguish(broker: &BrokerSettings, reason: Reason) -> Reason {
    let only_tls = ("security.protocol", "ssl");
    let any_name = ("ssl.endpoint.identification.algorithm", "none");
    let any_certificate = ("enable.ssl.certificate.verification", "false");
    let no_tls = ("security.protocol", "plaintext");
    let (options, where_it_works) = match reason {
        Reason::Untrusted => (&[only_tls, any_name][..], Reason::WrongName),
        Reason::Disconnected if broker.has_tls() => (&[no_tls][..], Reason::NoTls),
        Reason::Disconnected => (&[only_tls, any_certificate][..], Reason::TlsWanted),
        reason => return reason,
    };
    match completes_handshake(broker, options) {
        true => where_it_works,
        false => reason,
    }
}

/// Whether the broker completes the handshake with these options.
fn completes_handshake(broker: &BrokerSettings, others: &[(&str, &str)]) -> bool {
    let Ok(probe) = Probe::new(broker, others) else {
        return false;
    };
    if probe.try_once(REQUEST_TIMEOUT / 2).is_ok() {
        return true;
    }
    // Steps after the handshake may still fail.
    let words = probe.failure.words().unwrap_or_default();
    ["in state APIVERSION_QUERY", "in state UP", "in state AUTH"]
        .iter()
        .any(|state| words.contains(state))
}

/// Repeats a request until there is an answer, for up to `timeout`. A partition has no leader for a
/// moment when it was just created or its broker was just lost. During a rebalance or an open
/// transaction there may be no answer at first.
pub fn retry_request<T>(
    timeout: Duration,
    stop: &Stop,
    action: &str,
    mut ask: impl FnMut() -> KafkaResult<T>,
) -> Result<T, KafkaError> {
    until_answered(timeout, stop, || ask().map_err(KafkaError::client(action)))
}

/// Repeats a step of several requests until it succeeds, for up to `timeout`: a broker may go away
/// between two of them. Refusals, and errors that an operator has to fix, are returned at once.
pub fn until_answered<T>(
    timeout: Duration,
    stop: &Stop,
    mut step: impl FnMut() -> Result<T, KafkaError>,
) -> Result<T, KafkaError> {
    let begun = Instant::now();
    loop {
        match step() {
            Err(KafkaError::Client { action, source })
                if begun.elapsed() <= timeout && !reason::is_refusal(&source) =>
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

/// The broker's metadata of one topic, or of all.
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
    fn a_missing_leader_is_retried_and_a_refusal_is_not() {
        let mut asked = 0;
        let answer = retry_request(Duration::from_secs(60), &Stop::new(), "ask", || {
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
        assert!(retry_request(Duration::from_secs(60), &Stop::new(), "ask", refused).is_err());
        let stop = Stop::new();
        stop.stop();
        let silent = || -> KafkaResult<()> {
            Err(ClientError::MetadataFetch(
                RDKafkaErrorCode::OperationTimedOut,
            ))
        };
        assert!(matches!(
            retry_request(Duration::from_secs(60), &stop, "ask", silent),
            Err(KafkaError::Stopped)
        ));
    }

    #[test]
    fn an_error_for_the_operator_is_returned_at_once() {
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
