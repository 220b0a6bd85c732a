//! Turns messages of librdkafka and the broker into a reason and a remedy in our words.
use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode};

/// The code behind an error.
pub(crate) fn code(error: &ClientError) -> Option<RDKafkaErrorCode> {
    match error {
        ClientError::AdminOp(code) => Some(*code),
        other => other.rdkafka_error_code(),
    }
}

/// Whether an error means that the broker refuses us or this action: waiting does not help.
pub(crate) fn is_refusal(error: &ClientError) -> bool {
    matches!(
        code(error),
        Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed)
    ) || is_denied(error)
}

/// Whether the broker knows the user and denies it a right.
pub(crate) fn is_denied(error: &ClientError) -> bool {
    matches!(
        code(error),
        Some(
            RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::GroupAuthorizationFailed
                | RDKafkaErrorCode::ClusterAuthorizationFailed
                | RDKafkaErrorCode::TransactionalIdAuthorizationFailed
        )
    )
}

/// The text of an error: its code's own text, and the remedy if one is known.
pub(crate) fn words(error: &ClientError) -> String {
    let Some(code) = code(error) else {
        return error.to_string();
    };
    let remedy = match code {
        RDKafkaErrorCode::TopicAuthorizationFailed => {
            "give this user Describe and Write for the topic of a camera, Describe and Read \
             for that of a worker; docs/guide/kafka.md names all rights"
        }
        RDKafkaErrorCode::GroupAuthorizationFailed => {
            "give this user the right Read for the group (--group)"
        }
        RDKafkaErrorCode::ClusterAuthorizationFailed => {
            "give this user the right IdempotentWrite for the cluster, and Create where topics are \
             to be made"
        }
        RDKafkaErrorCode::TransactionalIdAuthorizationFailed => {
            "give this user the rights Write and Describe for the transactional id"
        }
        RDKafkaErrorCode::MessageSizeTooLarge => {
            "raise max.message.bytes of the topic, or make frames smaller: --max-width, \
             --jpeg-quality"
        }
        RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic => {
            "the topic does not exist: check its name, or have it created"
        }
        RDKafkaErrorCode::UnsupportedVersion => "the broker is too old for this",
        _ => return code.to_string(),
    };
    format!("{code}: {remedy}")
}

/// Our text for librdkafka's message about a failed connection; the message itself if it is not
/// known.
pub(crate) fn why(words: &str) -> String {
    match Reason::read(words) {
        Some(reason) => reason.remedy().to_owned(),
        None if words.is_empty() => "it is waited for".to_owned(),
        None => words.to_owned(),
    }
}

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The broker's certificate is not trusted, or is for another name: only another try
    /// distinguishes [`Reason::WrongName`].
    Untrusted,
    /// The certificate is trusted, but it is for another name.
    WrongName,
    /// The broker speaks TLS, and we do not.
    TlsWanted,
    /// We speak TLS, and the broker does not.
    NoTls,
    /// The broker wants a certificate from us, or another one than ours.
    CertificateWanted,
    /// The broker wants a user and a password.
    LoginWanted,
    /// It does not know the user or the password.
    WrongLogin,
    /// It does not know this way to log in, or no way at all.
    Mechanism,
    /// It ended the connection before it answered. It may be starting, or speak TLS.
    Disconnected,
    /// Its name cannot be resolved.
    NoSuchHost,
    /// No program listens there.
    NoListener,
}

impl Reason {
    /// Recognizes a message of librdkafka.
    pub(crate) fn read(words: &str) -> Option<Self> {
        let says = |text: &str| words.contains(text);
        Some(if says("certificate verify failed") {
            Reason::Untrusted
        } else if says("connecting to a PLAINTEXT broker") || says("wrong version number") {
            Reason::NoTls
        } else if says("alert bad certificate") || says("certificate required") {
            Reason::CertificateWanted
        } else if says("SASL authentication error") || says("invalid credentials") {
            Reason::WrongLogin
        } else if says("mechanism handshake failed") {
            Reason::Mechanism
        } else if says("might require SASL authentication") || ended_soon(words) {
            Reason::LoginWanted
        } else if says("requesting ApiVersion")
            || says("in state APIVERSION_QUERY")
            || says("in state SSL_HANDSHAKE")
        {
            Reason::Disconnected
        } else if says("Failed to resolve") {
            Reason::NoSuchHost
        } else if says("Connection refused") {
            Reason::NoListener
        } else {
            return None;
        })
    }

    /// Whether waiting does not help.
    pub(crate) fn is_permanent(self) -> bool {
        !matches!(
            self,
            Reason::Disconnected | Reason::NoSuchHost | Reason::NoListener | Reason::LoginWanted
        )
    }

    /// The reason and the remedy as text.
    pub(crate) fn remedy(self) -> &'static str {
        match self {
            Reason::Untrusted => {
                "its certificate is not signed by an authority that is trusted here, or it has \
                 expired: name the authority's certificate with --kafka-ca FILE"
            }
            Reason::WrongName => {
                "its certificate is for another name than this address: use the name in the \
                 certificate with --kafka, or have a certificate made for this one"
            }
            Reason::TlsWanted => {
                "it speaks TLS, and this is a connection without: name the authority of its \
                 certificate with --kafka-ca FILE (or --kafka-option security.protocol=ssl)"
            }
            Reason::NoTls => {
                "it does not speak TLS at this port: leave out --kafka-ca, --kafka-cert and \
                 --kafka-key, or use the port of its TLS listener"
            }
            Reason::CertificateWanted => {
                "it does not accept our certificate, or wants one: --kafka-cert FILE and \
                 --kafka-key FILE"
            }
            Reason::LoginWanted => {
                "it ends the connection, as a broker does that wants a user and a password: \
                 --kafka-username, --kafka-password-file and --kafka-sasl"
            }
            Reason::WrongLogin => {
                "it does not know the user or the password: check --kafka-username, \
                 --kafka-password-file and --kafka-sasl"
            }
            Reason::Mechanism => {
                "it does not take this kind of login at this port: check --kafka-sasl, or leave \
                 out --kafka-username where it wants none"
            }
            Reason::Disconnected => {
                "it ends the connection at once, as one does that is still starting, or that \
                 is no Kafka broker"
            }
            Reason::NoSuchHost => "there is no host of this name: check --kafka",
            Reason::NoListener => {
                "no program listens there: start the broker, or check the port in --kafka"
            }
        }
    }
}

/// Whether the broker ended a connection within two seconds after it was established: it refused
/// the first request.
fn ended_soon(words: &str) -> bool {
    let after = words.rsplit_once("(after ").map(|(_, rest)| rest);
    let ms = after.and_then(|rest| rest.split_once("ms in state UP"));
    ms.and_then(|(ms, _)| ms.parse().ok())
        .is_some_and(|ms: u32| ms < 2000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denied_right_is_a_refusal_in_every_call() {
        let code = RDKafkaErrorCode::TopicAuthorizationFailed;
        for error in [
            ClientError::AdminOp(code),
            ClientError::MetadataFetch(code),
            ClientError::MessageConsumption(code),
        ] {
            assert!(is_denied(&error) && is_refusal(&error));
            assert!(words(&error).contains("give this user Describe"));
        }
        assert!(!is_refusal(&ClientError::AdminOp(
            RDKafkaErrorCode::OperationTimedOut
        )));
    }

    #[test]
    fn an_unknown_message_has_no_reason() {
        assert_eq!(Reason::read(""), None);
        assert_eq!(Reason::read("1/1 brokers are down"), None);
        assert_eq!(
            Reason::read("x: Connect to ipv4#127.0.0.1:1 failed: Connection refused"),
            Some(Reason::NoListener)
        );
        let ended = |ms| format!("x: Disconnected: closed by peer (after {ms}ms in state UP)");
        assert_eq!(Reason::read(&ended(1)), Some(Reason::LoginWanted));
        assert_eq!(Reason::read(&ended(60_000)), None, "it stood for long");
    }
}
