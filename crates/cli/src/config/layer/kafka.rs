//! How to reach the broker.
use clap::Args;
use serde::{Deserialize, Serialize};

const KAFKA: &str = "The broker";

/// The settings of every command that talks to Kafka.
#[derive(Clone, Default, PartialEq, Args, Serialize, Deserialize)]
pub struct KafkaLayer {
    /// The broker, or several with commas: HOST:PORT
    #[arg(long, env = "KAFKA_BOOTSTRAP", value_name = "HOST:PORT", help_heading = KAFKA)]
    pub kafka: Option<String>,

    /// The topic of the frames
    #[arg(long, env = "TOPIC_FRAMES", value_name = "TOPIC", help_heading = KAFKA)]
    pub topic: Option<String>,

    /// plaintext, ssl, sasl_plaintext or sasl_ssl [default: from the settings below]
    #[arg(long, env = "MATTEBOX_KAFKA_SECURITY", value_name = "HOW", help_heading = KAFKA)]
    pub kafka_security: Option<String>,

    /// PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512 [default: PLAIN if there is a user]
    #[arg(long, env = "MATTEBOX_KAFKA_SASL", value_name = "MECHANISM", help_heading = KAFKA)]
    pub kafka_sasl: Option<String>,

    /// Name of the user
    #[arg(long, env = "MATTEBOX_KAFKA_USERNAME", value_name = "NAME", help_heading = KAFKA)]
    pub kafka_username: Option<String>,

    /// Password of the user; better in the variable or in --kafka-password-file, because others can
    /// read command lines
    #[arg(long, env = "MATTEBOX_KAFKA_PASSWORD", value_name = "PASSWORD", help_heading = KAFKA)]
    pub kafka_password: Option<String>,

    /// A file that holds the password
    #[arg(long, env = "MATTEBOX_KAFKA_PASSWORD_FILE", value_name = "FILE", help_heading = KAFKA)]
    pub kafka_password_file: Option<String>,

    /// Certificates of the authorities that may sign the broker's certificate (PEM) [default: the
    /// system's]
    #[arg(long, env = "MATTEBOX_KAFKA_CA", value_name = "FILE", help_heading = KAFKA)]
    pub kafka_ca: Option<String>,

    /// Client certificate (PEM)
    #[arg(long, env = "MATTEBOX_KAFKA_CERT", value_name = "FILE", help_heading = KAFKA)]
    pub kafka_cert: Option<String>,

    /// Key of the client certificate (PEM)
    #[arg(long, env = "MATTEBOX_KAFKA_KEY", value_name = "FILE", help_heading = KAFKA)]
    pub kafka_key: Option<String>,

    /// The password of that key
    #[arg(long, env = "MATTEBOX_KAFKA_KEY_PASSWORD", value_name = "PASSWORD", help_heading = KAFKA)]
    pub kafka_key_password: Option<String>,

    /// Any property of librdkafka, NAME=VALUE; repeat the flag for more
    #[arg(
        long,
        env = "MATTEBOX_KAFKA_OPTION",
        value_name = "NAME=VALUE",
        value_delimiter = ';',
        help_heading = KAFKA
    )]
    pub kafka_option: Option<Vec<String>>,
}
