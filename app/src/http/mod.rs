//! Numbers for machines, over HTTP: `/metrics` for Prometheus, `/healthz` and `/readyz` for whoever starts processes.
//!
//! # Layout
//!
//! * here: the server, on a thread of its own.
//! * [`text`]: the text format of Prometheus.
//! * [`pages`]: what cameras and workers tell.
pub mod pages;
pub mod text;

use axum::{
    Router,
    http::{StatusCode, header},
    routing::get,
};
use std::{io, net::SocketAddr, sync::Arc, thread};
use tokio::sync::oneshot;

/// What a process tells.
pub trait Page: Send + Sync + 'static {
    /// Its numbers in Prometheus' text format.
    fn metrics(&self) -> String;

    /// Whether it does its work.
    fn is_ready(&self) -> bool;
}

/// A server that runs until this is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    _stop: oneshot::Sender<()>,
}

impl Server {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Serves a page. Port 0 takes a free one.
pub fn serve(address: SocketAddr, page: Arc<dyn Page>) -> io::Result<Server> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let app = routes(page);
    thread::Builder::new().name("metrics".to_owned()).spawn(move || {
        runtime.block_on(async {
            let served = async {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                axum::serve(listener, app).await
            };
            tokio::select! {
                result = served => if let Err(error) = result { tracing::error!("metrics are not served any more: {error}") },
                _ = stopped => {}
            }
        });
    })?;
    if !address.ip().is_loopback() {
        tracing::warn!("metrics are served at {address}: whoever reaches it can read the names of the cameras and their numbers");
    }
    tracing::info!("metrics at http://{address}/metrics");
    Ok(Server { address, _stop: stop })
}

fn routes(page: Arc<dyn Page>) -> Router {
    let ready = page.clone();
    let text = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    Router::new().route("/metrics", get(async move || (text, page.metrics()))).route("/healthz", get(async || "ok\n")).route(
        "/readyz",
        get(async move || match ready.is_ready() {
            true => (StatusCode::OK, "ready\n"),
            false => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{Read, Write},
        net::TcpStream,
        sync::atomic::{AtomicBool, Ordering::Relaxed},
    };

    struct Always(AtomicBool);
    impl Page for Always {
        fn metrics(&self) -> String {
            "a_total 1\n".to_owned()
        }
        fn is_ready(&self) -> bool {
            self.0.load(Relaxed)
        }
    }

    fn ask(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn numbers_health_and_readiness_are_served_until_it_is_dropped() {
        let page = Arc::new(Always(AtomicBool::new(false)));
        let server = serve(([127, 0, 0, 1], 0).into(), page.clone()).unwrap();
        let address = server.address();
        assert!(ask(address, "/metrics").ends_with("a_total 1\n"));
        assert!(ask(address, "/healthz").starts_with("HTTP/1.1 200"));
        assert!(ask(address, "/readyz").starts_with("HTTP/1.1 503"));
        page.0.store(true, Relaxed);
        assert!(ask(address, "/readyz").starts_with("HTTP/1.1 200"));
        assert!(ask(address, "/else").starts_with("HTTP/1.1 404"));
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
