//! Reaching a broker, and what librdkafka says on the way.
use super::KafkaError;
use crate::settings::BrokerSettings;
use mattebox_engine::stop::Stop;
use rdkafka::{
    ClientContext, Statistics,
    admin::AdminClient,
    config::RDKafkaLogLevel,
    error::{KafkaError as ClientError, KafkaResult, RDKafkaErrorCode},
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

/// What the last trouble was, kept for the message when the time is up.
#[derive(Debug, Clone, Default)]
pub struct Trouble(Arc<Mutex<Option<(ClientError, String)>>>);

impl Trouble {
    /// Notes what librdkafka reported.
    pub fn note(&self, error: ClientError, reason: &str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((error, reason.to_owned()));
    }

    fn last(&self) -> Option<(ClientError, String)> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Says what librdkafka says, in our log, and remembers the last trouble.
#[derive(Debug, Clone, Default)]
pub struct Context {
    trouble: Trouble,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        log(level, fac, message);
    }

    fn error(&self, error: ClientError, reason: &str) {
        tracing::debug!("kafka: {error}: {reason}");
        self.trouble.note(error, reason);
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

/// librdkafka's lines in our log. It repeats what we say ourselves, so that most of it is for those who look closely.
pub fn log(level: RDKafkaLogLevel, fac: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!("kafka {fac}: {message}")
        }
        _ => tracing::debug!("kafka {fac}: {message}"),
    }
}

/// Whether an error means that we are not let in, which no waiting mends.
pub fn is_refusal(error: &ClientError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::Authentication
                | RDKafkaErrorCode::SaslAuthenticationFailed
                | RDKafkaErrorCode::SSL
                | RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::GroupAuthorizationFailed
                | RDKafkaErrorCode::ClusterAuthorizationFailed
                | RDKafkaErrorCode::TransactionalIdAuthorizationFailed
        )
    )
}

/// A client for questions, connected: waits for the broker up to `timeout`.
pub fn connect(
    broker: &BrokerSettings,
    timeout: Duration,
    stop: &Stop,
) -> Result<AdminClient<Context>, KafkaError> {
    let context = Context::default();
    let trouble = context.trouble.clone();
    // An admin client does not tell why it has no connection; a producer does.
    let probe: BaseProducer<Context> = broker
        .client(&[])
        .create_with_context(context)
        .map_err(KafkaError::Settings)?;
    let begun = Instant::now();
    let mut said = false;
    loop {
        let left = timeout.saturating_sub(begun.elapsed());
        let error = match probe
            .client()
            .fetch_metadata(None, PATIENCE.min(left.max(PAUSE)))
        {
            Ok(_) => {
                return broker
                    .client(&[])
                    .create_with_context(Context::default())
                    .map_err(KafkaError::Settings);
            }
            Err(error) => error,
        };
        probe.poll(Duration::ZERO);
        let (error, problem) = trouble
            .last()
            .unwrap_or_else(|| (error.clone(), error.to_string()));
        let bootstrap = broker.bootstrap.clone();
        if is_refusal(&error) {
            return Err(KafkaError::Refused { bootstrap, problem });
        }
        if begun.elapsed() + PAUSE >= timeout {
            return Err(KafkaError::Unreachable {
                bootstrap,
                waited: timeout,
                problem,
            });
        }
        if !said {
            said = true;
            tracing::info!("waiting for the broker at {bootstrap} ({problem})");
        }
        if stop.wait(PAUSE) {
            return Err(KafkaError::Stopped);
        }
    }
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
                if begun.elapsed() <= patience && !is_refusal(&source) =>
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
