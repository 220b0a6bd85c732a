//! How the live page is served.
use clap::Args;
use serde::{Deserialize, Serialize};

const VIEW: &str = "The live page";

/// What every command that has a live page can be told about it.
#[derive(Clone, Default, PartialEq, Args, Serialize, Deserialize)]
pub struct ViewLayer {
    /// Serve a page that shows every camera live, at this address [default address: 127.0.0.1:9480]
    #[arg(long, env = "MATTEBOX_VIEW", value_name = "ADDR", num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = VIEW)]
    pub view: Option<String>,

    /// Password for the page; needed for any address but this machine's own
    #[arg(long, env = "MATTEBOX_TOKEN", value_name = "TOKEN", help_heading = VIEW)]
    pub token: Option<String>,

    /// A file that holds the token; better than --token, because others can read command lines
    #[arg(long, env = "MATTEBOX_TOKEN_FILE", value_name = "FILE", help_heading = VIEW)]
    pub token_file: Option<String>,

    /// A certificate (PEM, with its chain): the page is then served by HTTPS
    #[arg(long, env = "MATTEBOX_TLS_CERT", value_name = "FILE", help_heading = VIEW)]
    pub tls_cert: Option<String>,

    /// The key of the certificate (PEM)
    #[arg(long, env = "MATTEBOX_TLS_KEY", value_name = "FILE", help_heading = VIEW)]
    pub tls_key: Option<String>,

    /// A name by which the page is reached, as often as needed; addresses and localhost need none
    #[arg(long, env = "MATTEBOX_VIEW_HOST", value_name = "NAME", value_delimiter = ',', help_heading = VIEW)]
    pub view_host: Option<Vec<String>>,

    /// Also show frames as they came, with the room
    #[arg(long, env = "MATTEBOX_SHOW_RAW", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = VIEW)]
    pub show_raw: Option<bool>,

    /// Streams that may be watched at once
    #[arg(long, env = "MATTEBOX_MAX_VIEWERS", value_name = "N", allow_negative_numbers = true, help_heading = VIEW)]
    pub max_viewers: Option<i64>,
}

/// What commands can be told whose cameras come from a topic.
#[derive(Clone, Default, PartialEq, Args, Serialize, Deserialize)]
pub struct TopicViewLayer {
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub page: ViewLayer,

    /// Take a camera of a topic off the page when it had no frame for so long
    #[arg(long, env = "MATTEBOX_FORGET", value_name = "TIME", help_heading = VIEW)]
    pub forget: Option<String>,
}
