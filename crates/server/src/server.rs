//! Connections: their number is limited, and a silent or slow one is closed.
use super::places::{Answering, Place, PlaceLimits, Places};
use axum::{
    Router,
    body::{Body, Bytes, HttpBody},
};
use hyper::{
    Request, Response,
    body::{Frame, Incoming, SizeHint},
    server::conn::{http1, http2},
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use mattebox_engine::files;
use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    path::Path,
    pin::Pin,
    sync::{Arc, PoisonError, RwLock},
    task::{Context, Poll},
    thread,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::oneshot,
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

/// The time limit for the head of a request, and for a connection without a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// A peer that accepts no data for this long is disconnected.
const WRITE_TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes that the system buffers for a slow peer. More would only be old pictures.
#[cfg(target_os = "linux")]
const SEND_BUFFER: usize = 256 << 10;

/// The name of HTTP/2 in the negotiation of the protocol (ALPN).
const HTTP2: &[u8] = b"h2";
/// Bytes of an HTTP/2 answer that wait for the peer, for each request.
const HTTP2_BUFFER: usize = 64 << 10;
/// Requests at once on one HTTP/2 connection, at most.
const HTTP2_REQUESTS: u32 = 100;
/// An HTTP/2 connection without a request for this long is closed.
const HTTP2_IDLE: Duration = Duration::from_secs(60);
/// The time between two checks of an HTTP/2 connection.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// The size of a certificate's file in bytes, at most.
const MAX_PEM: u64 = 1 << 20;
/// Pending connections, at most.
const PENDING: usize = 128;
/// Pending connections of one address, at most: more than a browser opens.
const PENDING_PER_ADDRESS: usize = 16;
/// The pause after the system could not accept a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The certificate, which can be changed while the server runs.
pub(super) type Tls = Arc<RwLock<TlsAcceptor>>;

/// A server that runs until this is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    places: Arc<Places>,
    _stop: oneshot::Sender<()>,
}

impl Server {
    /// The address at which it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its connections.
    pub(super) fn places(&self) -> Arc<Places> {
        self.places.clone()
    }
}

/// Reads a certificate with its chain and its key.
pub(super) fn tls(cert: &Path, key: &Path) -> io::Result<TlsAcceptor> {
    let bad = |path: &Path, e: &dyn std::fmt::Display| {
        io::Error::other(format!("{}: {e}", path.display()))
    };
    let read = |path: &Path| files::read(path, MAX_PEM).map_err(|e| bad(path, &e));
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&read(cert)?)
        .collect::<Result<_, _>>()
        .map_err(|e| bad(cert, &e))?;
    if chain.is_empty() {
        return Err(bad(cert, &"there is no certificate in it (PEM)"));
    }
    let private = files::read_secret(key).map_err(|e| bad(key, &e))?;
    let private = PrivateKeyDer::from_pem_slice(private.as_bytes()).map_err(|e| bad(key, &e))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|config| {
            config
                .with_no_client_auth()
                .with_single_cert(chain, private)
        })
        .map_err(|e| bad(cert, &e))?;
    config.alpn_protocols = vec![HTTP2.to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Serves `app` on a new thread, with at most `admitted` connections that may see the cameras. Port
/// 0 means any free port.
pub(super) fn start(
    address: SocketAddr,
    app: Router,
    tls: Option<Tls>,
    admitted: usize,
) -> io::Result<Server> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    #[cfg(target_os = "linux")]
    rustix::net::sockopt::set_socket_send_buffer_size(&listener, SEND_BUFFER)?;
    let address = listener.local_addr()?;
    let places = Places::new(PlaceLimits {
        pending: PENDING,
        pending_per_address: PENDING_PER_ADDRESS,
        admitted,
        admitted_per_address: admitted.div_ceil(2),
    });
    let (stop, stopped) = oneshot::channel::<()>();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()?;
    let entrance = places.clone();
    thread::Builder::new()
        .name("http".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    result = accept(listener, app, tls, &entrance) => {
                        if let Err(error) = result {
                            tracing::error!("the HTTP server has stopped: {error}");
                        }
                    }
                    _ = stopped => {}
                }
            });
        })?;
    Ok(Server {
        address,
        places,
        _stop: stop,
    })
}

async fn accept(
    listener: std::net::TcpListener,
    app: Router,
    tls: Option<Tls>,
    places: &Arc<Places>,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Mostly because of too many open files: one of them will be closed soon.
                tracing::debug!("a connection cannot be accepted: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let place = places.enter(peer);
        let app = app.clone();
        let tls = tls
            .as_ref()
            .map(|tls| tls.read().unwrap_or_else(PoisonError::into_inner).clone());
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = place.closed() => {
                    tracing::debug!(%peer, "this connection was closed to make room for another");
                }
                result = converse(stream, app, tls, place.clone()) => {
                    if let Err(error) = result {
                        tracing::debug!("a connection has ended: {error}");
                    }
                }
            }
        });
    }
}

async fn converse(
    stream: TcpStream,
    app: Router,
    tls: Option<TlsAcceptor>,
    place: Arc<Place>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    stream.set_nodelay(true)?;
    // Finds a peer that has vanished, also while nothing is sent. (TCP_USER_TIMEOUT would also
    // disconnect peers that only read slowly.)
    rustix::net::sockopt::set_socket_keepalive(&stream, true)?;
    rustix::net::sockopt::set_tcp_keepidle(&stream, WRITE_TIMEOUT)?;
    rustix::net::sockopt::set_tcp_keepintvl(&stream, WRITE_TIMEOUT)?;
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_TIMEOUT));
    let stream = Box::pin(stream);
    let Some(tls) = tls else {
        return Ok(serve_http1(stream, app, place).await?);
    };
    let stream = tokio::time::timeout(HEAD_TIMEOUT, tls.accept(stream)).await??;
    match stream.get_ref().1.alpn_protocol() {
        Some(HTTP2) => Ok(serve_http2(stream, app, place).await?),
        _ => Ok(serve_http1(stream, app, place).await?),
    }
}

async fn serve_http1(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    app: Router,
    place: Arc<Place>,
) -> hyper::Result<()> {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(64 << 10);
    http.serve_connection(TokioIo::new(io), answering(app, place))
        .await
}

async fn serve_http2(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    app: Router,
    place: Arc<Place>,
) -> hyper::Result<()> {
    let mut http = http2::Builder::new(TokioExecutor::new());
    http.timer(TokioTimer::new())
        .keep_alive_interval(WRITE_TIMEOUT)
        .keep_alive_timeout(WRITE_TIMEOUT)
        .max_concurrent_streams(HTTP2_REQUESTS)
        .max_send_buf_size(HTTP2_BUFFER)
        .max_header_list_size(16 << 10);
    let connection = http.serve_connection(TokioIo::new(io), answering(app, place.clone()));
    tokio::select! {
        result = connection => result,
        () = stalled_or_idle(&place) => Ok(()),
    }
}

/// Waits until the peer of an HTTP/2 connection accepts no data, or has sent no request, for too
/// long. A write timeout cannot notice this, because with HTTP/2 nothing is written until the peer
/// announces room.
async fn stalled_or_idle(place: &Place) {
    let mut checks = tokio::time::interval(CHECK_INTERVAL);
    while place.stalled_for() < WRITE_TIMEOUT && place.idle_for() < HTTP2_IDLE {
        checks.tick().await;
    }
}

/// The application for one connection. Each request has the connection's place, which counts the
/// open requests.
fn answering(
    app: Router,
    place: Arc<Place>,
) -> impl Service<
    Request<Incoming>,
    Response = Response<Body>,
    Error = Infallible,
    Future = impl Future<Output = Result<Response<Body>, Infallible>> + Send + 'static,
> {
    let app = TowerToHyperService::new(app);
    service_fn(move |mut request| {
        let answering = place.begin();
        request.extensions_mut().insert(place.clone());
        let response = app.call(request);
        async move {
            let response = response.await?;
            answering.has_part();
            Ok(response.map(|body| Body::new(WatchedBody { body, answering })))
        }
    })
}

/// An answer's body. Its request counts as open until the body ends.
struct WatchedBody {
    body: Body,
    answering: Answering,
}

impl HttpBody for WatchedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.answering.asks_next();
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(_))) = frame {
            self.answering.has_part();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
