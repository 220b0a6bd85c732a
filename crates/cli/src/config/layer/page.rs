//! The settings of the live page as one place gives them.
use clap::Args;
use serde::{Deserialize, Serialize};

const VIEW: &str = "The live page";

/// The settings of the live page, for every command that has one.
#[derive(Clone, Default, PartialEq, Args, Serialize, Deserialize)]
pub struct PageLayer {
    /// Serve a page that shows every camera live, at this address [default address: 127.0.0.1:9480]
    #[arg(
        long,
        env = "MATTEBOX_VIEW",
        value_name = "ADDR",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        help_heading = VIEW
    )]
    pub view: Option<String>,

    /// Password for the page; required for every address that other machines can reach
    #[arg(long, env = "MATTEBOX_TOKEN", value_name = "TOKEN", help_heading = VIEW)]
    pub token: Option<String>,

    /// A file that holds the token; better than --token, because others can read command lines
    #[arg(long, env = "MATTEBOX_TOKEN_FILE", value_name = "FILE", help_heading = VIEW)]
    pub token_file: Option<String>,

    /// Serve the page by HTTPS with this certificate (PEM, with its chain)
    #[arg(long, env = "MATTEBOX_TLS_CERT", value_name = "FILE", help_heading = VIEW)]
    pub tls_cert: Option<String>,

    /// The key of the certificate (PEM)
    #[arg(long, env = "MATTEBOX_TLS_KEY", value_name = "FILE", help_heading = VIEW)]
    pub tls_key: Option<String>,

    /// A host name of the page; repeat the flag for more. Addresses and localhost need none
    #[arg(
        long,
        env = "MATTEBOX_VIEW_HOST",
        value_name = "NAME",
        value_delimiter = ',',
        help_heading = VIEW
    )]
    pub view_host: Option<Vec<String>>,

    /// Also show the original frames, with the room
    #[arg(
        long,
        env = "MATTEBOX_SHOW_RAW",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        help_heading = VIEW
    )]
    pub show_raw: Option<bool>,

    /// Streams that can be watched at once
    #[arg(
        long,
        env = "MATTEBOX_MAX_VIEWERS",
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = VIEW
    )]
    pub max_viewers: Option<i64>,
}

/// The settings of the live page, for commands whose cameras come from a topic.
#[derive(Clone, Default, PartialEq, Args, Serialize, Deserialize)]
pub struct TopicPageLayer {
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub page: PageLayer,

    /// Take a camera of a topic off the page after this long without a frame
    #[arg(long, env = "MATTEBOX_FORGET", value_name = "TIME", help_heading = VIEW)]
    pub forget: Option<String>,
}
