//! The state that all requests of a live page share.
use super::{
    token::{Token, TokenCheck},
    wrong_tokens::WrongTokens,
};
use crate::settings::ViewSettings;
use axum::http::HeaderMap;
use mattebox_engine::address::Secret;
use mattebox_engine::{cameras::CameraRegistry, metrics::Monitor};
use std::{
    net::SocketAddr,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::SystemTime,
};
use tokio::sync::Semaphore;

/// Uploads at once, at most: each may need the memory of the largest picture.
const UPLOADS: usize = 2;

/// Single pictures that are encoded at once, at most; others wait.
const PICTURES: usize = 4;

/// Why a request was refused before its handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    Host,
    Origin,
    Token,
    Viewers,
    Connections,
}

impl Refusal {
    pub(super) const ALL: [Refusal; 5] = [
        Refusal::Host,
        Refusal::Origin,
        Refusal::Token,
        Refusal::Viewers,
        Refusal::Connections,
    ];

    /// Its name in metrics.
    pub(super) fn name(self) -> &'static str {
        match self {
            Refusal::Host => "host",
            Refusal::Origin => "origin",
            Refusal::Token => "token",
            Refusal::Viewers => "viewers",
            Refusal::Connections => "connections",
        }
    }
}

/// A live page.
pub(super) struct Site {
    pub(super) cameras: Arc<CameraRegistry>,
    pub(super) settings: ViewSettings,
    token: RwLock<Option<Token>>,
    wrong_tokens: WrongTokens,
    /// The command that has the cameras.
    pub(super) command: &'static str,
    /// Settings of frames can be changed.
    pub(super) is_settable: bool,
    pub(super) started: SystemTime,
    /// The metrics of the command.
    pub(super) monitor: Arc<Monitor>,
    /// Streams that may still begin.
    pub(super) free: Arc<Semaphore>,
    pub(super) uploads: Semaphore,
    pub(super) pictures: Semaphore,
    /// Bytes of pictures that were sent.
    pub(super) sent: AtomicU64,
    refused: [AtomicU64; Refusal::ALL.len()],
}

impl Site {
    pub(super) fn new(
        settings: ViewSettings,
        cameras: Arc<CameraRegistry>,
        command: &'static str,
        is_settable: bool,
        monitor: Arc<Monitor>,
    ) -> Self {
        Site {
            token: RwLock::new(
                settings
                    .token
                    .as_ref()
                    .map(|token| Token::new(token.reveal())),
            ),
            wrong_tokens: WrongTokens::default(),
            free: Arc::new(Semaphore::new(settings.max_viewers)),
            uploads: Semaphore::new(UPLOADS),
            pictures: Semaphore::new(PICTURES),
            started: SystemTime::now(),
            sent: AtomicU64::new(0),
            refused: Default::default(),
            cameras,
            settings,
            command,
            is_settable,
            monitor,
        }
    }

    /// Streams that are watched.
    pub(super) fn viewers(&self) -> usize {
        self.settings
            .max_viewers
            .saturating_sub(self.free.available_permits())
    }

    /// Whether a token is needed.
    pub(super) fn has_token(&self) -> bool {
        self.token().is_some()
    }

    /// Checks the token of a request. Without a token every request is right.
    pub(super) fn check_token(&self, headers: &HeaderMap) -> TokenCheck {
        let is_tls = self.settings.tls.is_some();
        match &*self.token() {
            Some(token) => token.check(headers, is_tls),
            None => TokenCheck::Right,
        }
    }

    /// The cookie for a browser that sent the right token; `Some(None)` if none is needed, `None`
    /// if the token is wrong.
    pub(super) fn cookie_for(&self, given: &str) -> Option<Option<String>> {
        let is_tls = self.settings.tls.is_some();
        match &*self.token() {
            Some(token) if token.is(given) => Some(Some(token.set_cookie(is_tls))),
            Some(_) => None,
            None => Some(None),
        }
    }

    /// Logs the address of a client that sent a wrong token.
    pub(super) fn note_wrong_token(&self, peer: Option<SocketAddr>) {
        self.wrong_tokens.note(peer.map(|peer| peer.ip()));
    }

    /// Changes the token. True if it differs from the old one.
    pub(super) fn change_token(&self, new: &Secret) -> bool {
        let new = Some(Token::new(new.reveal()));
        let mut token = self.token.write().unwrap_or_else(PoisonError::into_inner);
        let is_other = *token != new;
        *token = new;
        is_other
    }

    fn token(&self) -> RwLockReadGuard<'_, Option<Token>> {
        self.token.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn refused(&self, reason: Refusal) {
        self.refused[reason as usize].fetch_add(1, Relaxed);
    }

    pub(super) fn refusals(&self, reason: Refusal) -> u64 {
        self.refused[reason as usize].load(Relaxed)
    }
}
