//! What all requests of a live page share.
use super::{
    Page,
    text::Text,
    token::{Shown, Token},
    wrong_tokens::WrongTokens,
};
use crate::settings::ViewSettings;
use axum::http::HeaderMap;
use mattebox_engine::address::Secret;
use mattebox_engine::cameras::{CameraRegistry, camera::State, quality::Quality};
use std::{
    net::SocketAddr,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::SystemTime,
};
use tokio::sync::Semaphore;

/// Uploads that are looked at at once: each may take as much memory as the largest picture.
const UPLOADS: usize = 2;

/// Single pictures that are encoded at once; others wait for their turn.
const PICTURES: usize = 4;

/// Why a request was refused before anybody looked at it.
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
    pub(super) studio: Arc<CameraRegistry>,
    pub(super) settings: ViewSettings,
    token: RwLock<Option<Token>>,
    wrong_tokens: WrongTokens,
    /// The command whose cameras these are.
    pub(super) command: &'static str,
    /// Settings of frames can be changed.
    pub(super) is_settable: bool,
    pub(super) started: SystemTime,
    /// The command's own numbers.
    pub(super) numbers: Arc<dyn Page>,
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
        studio: Arc<CameraRegistry>,
        command: &'static str,
        is_settable: bool,
        numbers: Arc<dyn Page>,
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
            studio,
            settings,
            command,
            is_settable,
            numbers,
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

    /// Whether a request carries the token. Where none is needed it need not.
    pub(super) fn shown_in(&self, headers: &HeaderMap) -> Shown {
        let is_tls = self.settings.tls.is_some();
        match &*self.token() {
            Some(token) => token.shown_in(headers, is_tls),
            None => Shown::Right,
        }
    }

    /// The cookie for a browser that has sent the right token, or needs none. `None`: it was wrong.
    pub(super) fn cookie_for(&self, given: &str) -> Option<Option<String>> {
        let is_tls = self.settings.tls.is_some();
        match &*self.token() {
            Some(token) if token.is(given) => Some(Some(token.set_cookie(is_tls))),
            Some(_) => None,
            None => Some(None),
        }
    }

    /// Says in the log who sends wrong tokens.
    pub(super) fn note_wrong_token(&self, peer: Option<SocketAddr>) {
        self.wrong_tokens.note(peer.map(|peer| peer.ip()));
    }

    /// Puts a token in force. True if it is another.
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

/// A gauge of a matte's quality: how it is called, what it is, and how to read it.
type Judged = (&'static str, &'static str, fn(&Quality) -> Option<f64>);

impl Site {
    /// What the live page itself tells.
    pub(super) fn own_metrics(&self, text: &mut Text) {
        let cameras: Vec<_> = self
            .studio
            .cameras()
            .into_iter()
            .map(|camera| (camera.id.to_string(), camera))
            .collect();
        text.family(
            "mattebox_camera_state",
            "gauge",
            "1 for the state that the camera is in.",
        );
        for (id, camera) in &cameras {
            let now = camera.standing().state;
            for state in State::ALL {
                let value = if state == now { 1.0 } else { 0.0 };
                text.sample(
                    "mattebox_camera_state",
                    &[("camera", id), ("state", state.name())],
                    value,
                );
            }
        }
        text.family(
            "mattebox_camera_last_frame_age_seconds",
            "gauge",
            "Time since the last frame was made.",
        );
        for (id, camera) in &cameras {
            if let Some(latest) = camera.latest() {
                text.sample(
                    "mattebox_camera_last_frame_age_seconds",
                    &[("camera", id)],
                    latest.age().as_secs_f64(),
                );
            }
        }
        let judged: Vec<_> = cameras
            .iter()
            .filter_map(|(id, camera)| Some((id, camera.quality()?)))
            .collect();
        let rows: [Judged; 4] = [
            (
                "mattebox_matte_coverage_ratio",
                "The share of the picture that is person.",
                |q| Some(q.coverage),
            ),
            (
                "mattebox_matte_flicker_ratio",
                "How much alpha changes where the picture does not, root mean square.",
                |q| q.flicker.map(|percent| percent / 100.0),
            ),
            (
                "mattebox_matte_edge_width_pixels",
                "How many pixels the matte takes from background to person.",
                |q| q.edge_width,
            ),
            (
                "mattebox_matte_no_person_seconds",
                "For how long there has been nobody; 0 if there is somebody.",
                |q| {
                    Some(
                        q.nobody_since
                            .map_or(0.0, |since| since.elapsed().as_secs_f64()),
                    )
                },
            ),
        ];
        for (name, help, read) in rows {
            text.family(name, "gauge", help);
            for (id, quality) in &judged {
                if let Some(value) = read(quality) {
                    text.sample(name, &[("camera", id)], value);
                }
            }
        }
        text.family(
            "mattebox_view_viewers",
            "gauge",
            "Streams that are watched.",
        );
        text.sample("mattebox_view_viewers", &[], self.viewers() as f64);
        text.family(
            "mattebox_view_sent_bytes_total",
            "counter",
            "Bytes of pictures that were sent.",
        );
        text.sample(
            "mattebox_view_sent_bytes_total",
            &[],
            self.sent.load(Relaxed) as f64,
        );
        text.family(
            "mattebox_view_refused_total",
            "counter",
            "Requests that were refused, by reason.",
        );
        for reason in Refusal::ALL {
            text.sample(
                "mattebox_view_refused_total",
                &[("reason", reason.name())],
                self.refusals(reason) as f64,
            );
        }
    }
}

impl Page for Site {
    fn metrics(&self, text: &mut Text) {
        self.numbers.metrics(text);
        self.own_metrics(text);
    }

    fn troubles(&self) -> Vec<String> {
        self.numbers.troubles()
    }
}
