//! Settings of the live page.
use mattebox_engine::address::Secret;
use std::{net::SocketAddr, path::PathBuf};

/// Settings of the live page.
#[derive(Debug, Clone)]
pub struct ViewSettings {
    /// The address at which it listens.
    pub address: SocketAddr,
    /// The token that every viewer needs.
    pub token: Option<Secret>,
    /// The files of the certificate and its key.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Host names that are allowed in addition to IP addresses and localhost.
    pub hosts: Vec<String>,
    /// The original frames may be seen.
    pub show_raw: bool,
    /// Streams at once, at most.
    pub max_viewers: usize,
}
