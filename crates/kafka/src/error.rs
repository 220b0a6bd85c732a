//! What can go wrong with a broker.
use crate::reason;
use mattebox_engine::{ErrorDomain, StartError, address::MASK};
use mattebox_store::{StoreError, journal::JournalError};
use rdkafka::error::KafkaError as ClientError;
use std::time::Duration;
use thiserror::Error;

/// Why something that needs Kafka cannot go on. Every text names the broker or topic and says what
/// to do where something can be done.
#[derive(Debug, Error)]
pub enum KafkaError {
    /// Nobody answered in time.
    #[error("no broker answered at {bootstrap} within {}: {problem}", humantime::format_duration(*waited))]
    Unreachable {
        /// Where.
        bootstrap: String,
        /// How long was waited.
        waited: Duration,
        /// What was heard last.
        problem: String,
    },
    /// The broker does not let us in.
    #[error("no connection to the broker at {bootstrap}: {problem}")]
    Refused {
        /// Where.
        bootstrap: String,
        /// Why, and what to do.
        problem: String,
    },
    /// The broker does not allow the user to do something.
    #[error(
        "the broker does not allow this user to {action} ({})",
        reason::words(source)
    )]
    Denied {
        /// What was tried, as a verb.
        action: String,
        /// What librdkafka said.
        source: ClientError,
    },
    /// librdkafka does not take a setting.
    #[error("{}: check --kafka-option and the other settings of the broker", without_value(.0))]
    Settings(ClientError),
    /// The topic is not there, or cannot be made.
    #[error("topic {topic}: {problem}")]
    Topic {
        /// Which.
        topic: String,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// Another process took this one's place, or the broker refuses its work for good.
    #[error("cannot {action}: {}", reason::words(source))]
    Client {
        /// What was tried, as a verb.
        action: String,
        /// What librdkafka said.
        source: ClientError,
    },
    /// Records are gone, and the settings say to end then.
    #[error(
        "{problem}. Nothing was skipped. To go on with the oldest record that is left, run the same command with \
         --on-gap continue: mattebox worker ... --on-gap continue"
    )]
    Gap {
        /// What is lost.
        problem: String,
    },
    /// A state is gone, and the settings say to end then.
    #[error(
        "{problem}. Nothing was written. To go on with a matte that begins again, run the same command with \
         --on-missing-state restart: mattebox worker ... --on-missing-state restart"
    )]
    MissingState {
        /// What is missing.
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
        "the broker does not begin with transactions, which results in a topic need ({0}): with fewer than three \
         brokers set transaction.state.log.replication.factor=1 and transaction.state.log.min.isr=1 on the broker, or \
         write files (--out FOLDER), which need none"
    )]
    NoTransactions(ClientError),
    /// The network, the background or the output cannot be used, or the numbers or the live page
    /// not be served.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Every thread that makes frames has ended after a fault.
    #[error(
        "no thread is left to make frames: each ended because it could not make new tools after a fault (see the errors above); \
         what was not committed is made again at the next start"
    )]
    NoThreads,
    /// It was asked to stop before it had begun.
    #[error("stopped")]
    Stopped,
}

/// What librdkafka says of a property, without its value: that may be a secret.
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
    /// For `map_err`: says what was tried.
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
