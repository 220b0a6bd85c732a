//! Connections: a bounded number of them, none of which can hold the server up or stay for ever without a word.
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{
    fs, future::Future, io, net::SocketAddr, path::Path, pin::pin, sync::Arc, thread,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::{Semaphore, oneshot},
};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

/// How long the head of a request may take, and how long a connection may be without one.
const HEAD: Duration = Duration::from_secs(10);
/// How long a peer may take nothing of what it is sent.
const WRITE: Duration = Duration::from_secs(15);
/// How much the system holds for a peer that is slow to read. More would only be pictures of the past.
#[cfg(target_os = "linux")]
const SEND_BUFFER: usize = 256 << 10;

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

/// Reads a certificate with its chain and its key.
pub(super) fn tls(cert: &Path, key: &Path) -> io::Result<TlsAcceptor> {
    let bad = |path: &Path, e: &dyn std::fmt::Display| {
        io::Error::other(format!("{}: {e}", path.display()))
    };
    let read = |path: &Path| fs::read(path).map_err(|e| bad(path, &e));
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&read(cert)?)
        .collect::<Result<_, _>>()
        .map_err(|e| bad(cert, &e))?;
    if chain.is_empty() {
        return Err(bad(cert, &"there is no certificate in it (PEM)"));
    }
    let private = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|e| bad(key, &e))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|config| {
            config
                .with_no_client_auth()
                .with_single_cert(chain, private)
        })
        .map_err(|e| bad(cert, &e))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Serves `app` on a thread of its own, with at most so many connections at once. Port 0 takes a free one.
pub(super) fn start(
    address: SocketAddr,
    app: Router,
    tls: Option<TlsAcceptor>,
    connections: usize,
) -> io::Result<Server> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    #[cfg(target_os = "linux")]
    rustix::net::sockopt::set_socket_send_buffer_size(&listener, SEND_BUFFER)?;
    let address = listener.local_addr()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()?;
    thread::Builder::new()
        .name("http".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    result = accept(listener, app, tls, connections) => {
                        if let Err(error) = result {
                            tracing::error!("http is not served any more: {error}");
                        }
                    }
                    _ = stopped => {}
                }
            });
        })?;
    Ok(Server {
        address,
        _stop: stop,
    })
}

async fn accept(
    listener: std::net::TcpListener,
    app: Router,
    tls: Option<TlsAcceptor>,
    connections: usize,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let free = Arc::new(Semaphore::new(connections));
    loop {
        // Whoever comes while all are taken waits in the system's queue.
        let permit = free
            .clone()
            .acquire_owned()
            .await
            .map_err(io::Error::other)?;
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Mostly there are too many open files: another will be closed soon.
                tracing::debug!("a connection cannot be accepted: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let app = app.clone();
        let tls = tls.clone();
        tokio::spawn(async move {
            if let Err(error) = converse(stream, app, tls).await {
                tracing::debug!("a connection has ended: {error}");
            }
            drop(permit);
        });
    }
}

async fn converse(
    stream: TcpStream,
    app: Router,
    tls: Option<TlsAcceptor>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    stream.set_nodelay(true)?;
    // A peer that vanished without a word is noticed, also where nothing is sent. (TCP_USER_TIMEOUT would end those, too, that are only slow to read.)
    rustix::net::sockopt::set_socket_keepalive(&stream, true)?;
    rustix::net::sockopt::set_tcp_keepidle(&stream, WRITE)?;
    rustix::net::sockopt::set_tcp_keepintvl(&stream, WRITE)?;
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE));
    let stream = Box::pin(stream);
    match tls {
        Some(tls) => Ok(serve(tokio::time::timeout(HEAD, tls.accept(stream)).await??, app).await?),
        None => Ok(serve(stream, app).await?),
    }
}

fn serve(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    app: Router,
) -> impl Future<Output = hyper::Result<()>> {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(64 << 10);
    let connection = http.serve_connection(TokioIo::new(io), TowerToHyperService::new(app));
    async move { pin!(connection).await }
}
