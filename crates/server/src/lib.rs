//! The live page, its API, metrics and health checks.
//!
//! # Layout
//!
//! * here: the routes.
//! * `server`: connections and TLS; `places`: limits of connections.
//! * `guard`: checks of each request; `token`: the token; `wrong_tokens`: log lines about wrong
//!   ones.
//! * `page`: the live page, with its files in the folder `page/`.
//! * `api`: cameras, settings and pictures, for the page and for programs.
//! * `site`: the state that all requests of a live page share.
//! * `metrics`: the metric families of a live page.
//! * `body`: bodies of requests, with limits; `problem`: errors, RFC 9457.
#![forbid(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]
mod api;
mod body;
mod guard;
mod metrics;
mod page;
mod places;
mod problem;
mod server;
pub mod settings;
mod site;
mod token;
mod wrong_tokens;

pub use server::Server;
pub use settings::ViewSettings;

use axum::{
    Router,
    http::{StatusCode, header},
    middleware,
    routing::{get, post},
};
use mattebox_engine::{
    cameras::CameraRegistry,
    metrics::{Family, Metrics, Monitor},
};
use problem::Problem;
use site::Site;
use std::{
    io,
    net::SocketAddr,
    sync::{Arc, PoisonError, RwLock},
};

/// Admitted connections of pages and programs, in addition to one for each stream.
const PAGE_CONNECTIONS: usize = 256;

/// Serves metrics, liveness and readiness. Port 0 means any free port.
pub fn serve(address: SocketAddr, monitor: Arc<Monitor>) -> io::Result<Server> {
    let app = monitoring(monitor).layer(middleware::from_fn(guard::guard_metrics));
    // No request needs a token here, so no connection is admitted.
    let server = server::start(address, app, None, 0)?;
    let address = server.address();
    if !address.ip().is_loopback() {
        tracing::warn!(
            "metrics are served at {address}: everyone who can reach it can read the names and \
             counts of the cameras"
        );
    }
    tracing::info!("metrics at http://{address}/metrics");
    Ok(server)
}

/// Serves the live page of the cameras of `command`. `settable`: their settings can be changed.
pub fn serve_view(
    settings: ViewSettings,
    cameras: Arc<CameraRegistry>,
    command: &'static str,
    settable: bool,
    monitor: Arc<Monitor>,
) -> io::Result<LivePage> {
    let tls = settings
        .tls
        .as_ref()
        .map(|(cert, key)| server::tls(cert, key).map(|tls| Arc::new(RwLock::new(tls))))
        .transpose()?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let address = settings.address;
    let connections = settings.max_viewers + PAGE_CONNECTIONS;
    cameras.open()?;
    let site = Arc::new(Site::new(settings, cameras, command, settable, monitor));
    metrics::register(&site);
    let server = server::start(address, routes(site.clone()), tls.clone(), connections)?;
    let address = server.address();
    if tls.is_none() && !address.ip().is_loopback() {
        tracing::warn!(
            "the live page at {address} is not encrypted: others on the network can read the token \
             and the pictures; use --tls-cert and --tls-key"
        );
    }
    tracing::info!("live page at {scheme}://{address}/");
    let credentials = Credentials {
        site,
        tls,
        places: server.places(),
    };
    Ok(LivePage {
        credentials,
        _server: server,
    })
}

/// A live page that is served until this is dropped.
pub struct LivePage {
    credentials: Credentials,
    _server: Server,
}

impl LivePage {
    /// The token and the certificate, to be changed while the page is served.
    pub fn credentials(&self) -> Credentials {
        self.credentials.clone()
    }
}

/// The token and the certificate of a live page.
#[derive(Clone)]
pub struct Credentials {
    site: Arc<Site>,
    tls: Option<server::Tls>,
    places: Arc<places::Places>,
}

impl Credentials {
    /// Reads the token and the certificate of `settings`. The returned function puts them in force.
    /// A changed token closes all connections, also those of streams.
    pub fn prepare(&self, settings: &ViewSettings) -> io::Result<impl FnOnce() + use<>> {
        let certificate = match (&self.tls, &settings.tls) {
            (Some(tls), Some((cert, key))) => Some((tls.clone(), server::tls(cert, key)?)),
            _ => None,
        };
        // A page keeps its kind: with a token, or open to everyone.
        let token = settings.token.clone().filter(|_| self.site.has_token());
        let (site, places) = (self.site.clone(), self.places.clone());
        Ok(move || {
            if let Some((tls, new)) = certificate {
                *tls.write().unwrap_or_else(PoisonError::into_inner) = new;
                tracing::info!("the certificate of the live page was read again");
            }
            if token.is_some_and(|token| site.change_token(&token)) {
                places.close_all();
                tracing::info!(
                    "the token of the live page was changed: everyone has to log in again"
                );
            }
        })
    }
}

/// The description of the API (OpenAPI 3.1, JSON).
pub fn openapi() -> Result<String, serde_json::Error> {
    api::description()
}

/// The metric families of a live page.
pub fn families() -> &'static [&'static Family] {
    &metrics::FAMILIES
}

fn monitoring(monitor: Arc<Monitor>) -> Router {
    let ready = monitor.clone();
    let media_type = [(header::CONTENT_TYPE, Metrics::MEDIA_TYPE)];
    let metrics = get(async move || (media_type, monitor.metrics.text()));
    Router::new()
        .route("/metrics", metrics)
        .route("/healthz", get(async || "ok\n"))
        .route(
            "/readyz",
            get(async move || match &ready.reasons()[..] {
                [] => (StatusCode::OK, "ready\n".to_owned()),
                reasons => {
                    let lines = reasons.iter().map(|reason| format!("- {reason}\n"));
                    let text = format!("not ready:\n{}", lines.collect::<String>());
                    (StatusCode::SERVICE_UNAVAILABLE, text)
                }
            }),
        )
}

fn routes(site: Arc<Site>) -> Router {
    api::routes()
        .route("/", get(page::index))
        .route("/overlay/{camera}", get(page::overlay))
        .route("/login", post(page::log_in))
        .route("/logout", post(page::log_out))
        .route("/assets/{name}", get(page::asset))
        .with_state(site.clone())
        .merge(monitoring(site.monitor.clone()))
        .fallback(async || Problem::not_found("no such page"))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method not allowed here")
        })
        .layer(middleware::from_fn_with_state(site, guard::guard))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{Read, Write},
        net::TcpStream,
        sync::atomic::{AtomicBool, Ordering::Relaxed},
        thread,
    };

    static FAMILY: Family = Family::counter("a_total", &[], "A number.");
    static FAMILIES: [&Family; 1] = [&FAMILY];

    fn monitor(is_ready: Arc<AtomicBool>) -> Arc<Monitor> {
        let monitor = Monitor::new("run", move || {
            let full = (!is_ready.load(Relaxed)).then(|| "the disk is full".to_owned());
            full.into_iter().collect()
        });
        let metrics = &monitor.metrics;
        metrics.add(&FAMILIES, |samples| samples.add(&FAMILY, &[], 1.0));
        Arc::new(monitor)
    }

    fn ask(address: SocketAddr, path: &str) -> String {
        ask_by(address, "worker", path)
    }

    fn ask_by(address: SocketAddr, host: &str, path: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn metrics_health_and_readiness_are_served_until_the_server_is_dropped() {
        let is_ready = Arc::new(AtomicBool::new(false));
        let server = serve(([127, 0, 0, 1], 0).into(), monitor(is_ready.clone())).unwrap();
        let address = server.address();
        let metrics = ask(address, "/metrics");
        assert!(
            metrics.contains("\na_total 1\n") && metrics.contains("mattebox_build_info{version="),
            "{metrics}"
        );
        assert!(ask(address, "/healthz").starts_with("HTTP/1.1 200"));
        let troubled = ask(address, "/readyz");
        assert!(
            troubled.starts_with("HTTP/1.1 503") && troubled.contains("- the disk is full\n"),
            "{troubled}"
        );
        is_ready.store(true, Relaxed);
        assert!(ask(address, "/readyz").starts_with("HTTP/1.1 200"));
        assert!(ask(address, "/else").starts_with("HTTP/1.1 404"));
        let rebound = ask_by(address, "evil.example", "/metrics");
        assert!(
            rebound.starts_with("HTTP/1.1 403") && !rebound.contains("a_total"),
            "{rebound}"
        );
        drop(server);
        for _ in 0..100 {
            if TcpStream::connect(address).is_err() {
                return;
            }
            thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("it still listens");
    }
}
