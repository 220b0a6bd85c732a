//! Errors of commands that need Kafka, and whose fault they are.
use crate::reason;
use mattebox_engine::{ErrorDomain, StartError, address::MASK};
use mattebox_store::{StoreError, journal::JournalError};
use rdkafka::error::KafkaError as ClientError;
use std::time::Duration;
use thiserror::Error;

/// Why something that needs Kafka cannot go on. Every text names the broker or topic, and the
/// remedy if there is one.
#[derive(Debug, Error)]
pub enum KafkaError {
    /// No broker answered in time.
    #[error(
        "no broker answered at {bootstrap} within {}: {problem}",
        humantime::format_duration(*waited)
    )]
    Unreachable {
        /// Its address.
        bootstrap: String,
        /// How long the command waited.
        waited: Duration,
        /// The last problem.
        problem: String,
    },
    /// The broker refuses the connection.
    #[error("no connection to the broker at {bootstrap}: {problem}")]
    Refused {
        /// Its address.
        bootstrap: String,
        /// The reason and the remedy.
        problem: String,
    },
    /// The broker does not allow the user to do something.
    #[error(
        "the broker does not allow this user to {action} ({})",
        reason::words(source)
    )]
    Denied {
        /// The action that failed, as a verb.
        action: String,
        /// librdkafka's error.
        source: ClientError,
    },
    /// librdkafka rejects a setting.
    #[error("{}: check --kafka-option and the other settings of the broker", without_value(.0))]
    Settings(ClientError),
    /// The topic does not exist, cannot be created, or has the wrong settings.
    #[error("topic {topic}: {problem}")]
    Topic {
        /// The topic.
        topic: String,
        /// The problem and the remedy.
        problem: String,
    },
    /// Another process replaced this one, or the broker refuses the action for good.
    #[error("cannot {action}: {}", reason::words(source))]
    Client {
        /// The action that failed, as a verb.
        action: String,
        /// librdkafka's error.
        source: ClientError,
    },
    /// Records are gone, and the settings ask to end then.
    #[error(
        "{problem}. Nothing was skipped. To go on with the oldest record that is left, run the \
         same command with --on-gap continue: mattebox worker ... --on-gap continue"
    )]
    Gap {
        /// The lost records.
        problem: String,
    },
    /// A state is gone, and the settings ask to end then.
    #[error(
        "{problem}. Nothing was written. To go on with a matte that begins again, run the same \
         command with --on-missing-state restart: mattebox worker ... --on-missing-state restart"
    )]
    MissingState {
        /// The missing states.
        problem: String,
    },
    /// No name can be reserved, so that no file may be written.
    #[error("no name can be reserved for frames of camera {camera}: {source}")]
    Names {
        /// The camera.
        camera: String,
        /// Why.
        source: JournalError,
    },
    /// The broker does not begin with transactions.
    #[error(
        "the broker does not begin with transactions, which results in a topic need ({0}): with \
         fewer than three brokers set transaction.state.log.replication.factor=1 and \
         transaction.state.log.min.isr=1 on the broker, or write files (--out FOLDER), which need \
         none"
    )]
    NoTransactions(ClientError),
    /// The network, the background or the output cannot be used, or the metrics or the live page
    /// cannot be served.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Every thread that processes frames has ended after a fault.
    #[error(
        "no thread is left to process frames: each ended because it could not create a new \
         processor after a fault (see the errors above); frames that were not committed are \
         processed again at the next start"
    )]
    NoThreads,
    /// It was asked to stop before it had begun.
    #[error("stopped")]
    Stopped,
}

/// librdkafka's text about a property, without its value: that may be a secret.
fn without_value(error: &ClientError) -> String {
    match error {
        ClientError::ClientConfig(_, description, name, value) => {
            let description = if value.is_empty() {
                description.clone()
            } else {
                description.replace(value.as_str(), MASK)
            };
            format!("librdkafka does not take the property {name}: {description}")
        }
        other => other.to_string(),
    }
}

impl From<StoreError> for KafkaError {
    fn from(error: StoreError) -> Self {
        KafkaError::Start(error.into())
    }
}

impl KafkaError {
    /// For `map_err`: the error names the action that failed.
    pub fn client(action: impl Into<String>) -> impl FnOnce(ClientError) -> KafkaError {
        let action = action.into();
        move |source| match reason::is_denied(&source) {
            true => KafkaError::Denied { action, source },
            false => KafkaError::Client { action, source },
        }
    }

    /// Whose fault it is.
    pub fn domain(&self) -> ErrorDomain {
        match self {
            KafkaError::Unreachable { .. } => ErrorDomain::Outside,
            KafkaError::Settings(_) => ErrorDomain::User,
            KafkaError::Start(error) => error.domain(),
            KafkaError::Stopped => ErrorDomain::Stopped,
            KafkaError::Refused { .. }
            | KafkaError::Denied { .. }
            | KafkaError::Topic { .. }
            | KafkaError::Client { .. }
            | KafkaError::Gap { .. }
            | KafkaError::MissingState { .. }
            | KafkaError::Names { .. }
            | KafkaError::NoTransactions(_)
            | KafkaError::NoThreads => ErrorDomain::Work,
        }
    }
}
