//! How the live page is served.
use mattebox_engine::address::Secret;
use std::{net::SocketAddr, path::PathBuf};

/// How the live page is served.
#[derive(Debug, Clone)]
pub struct ViewSettings {
    /// Where it listens.
    pub address: SocketAddr,
    /// What everyone who looks has to show.
    pub token: Option<Secret>,
    /// Files of the certificate and of its key.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Names by which it may be reached, beside addresses and localhost.
    pub hosts: Vec<String>,
    /// Frames as they came may be seen.
    pub show_raw: bool,
    /// Streams that may be watched at once.
    pub max_viewers: usize,
}
