//! Connections: a bounded number of them, none of which can hold the server up or stay for ever without a word.
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

/// How long the head of a request may take, and how long a connection may be without one.
const HEAD: Duration = Duration::from_secs(10);
/// How long a peer may take nothing of what it is sent.
const WRITE: Duration = Duration::from_secs(15);
/// How much the system holds for a peer that is slow to read. More would only be pictures of the past.
#[cfg(target_os = "linux")]
const SEND_BUFFER: usize = 256 << 10;

/// The name of HTTP/2 when a client and we choose a protocol.
const HTTP2: &[u8] = b"h2";
/// How much of an answer by HTTP/2 waits for a peer, for each of its requests.
const HTTP2_BUFFER: usize = 64 << 10;
/// Requests of one connection that may be answered at once by HTTP/2.
const HTTP2_REQUESTS: u32 = 100;
/// How long a connection by HTTP/2 may be without a request.
const HTTP2_IDLE: Duration = Duration::from_secs(60);
/// How often it is looked whether a peer by HTTP/2 takes what it is sent.
const LOOK: Duration = Duration::from_secs(1);
/// What a file of a certificate may have.
const MAX_PEM: u64 = 1 << 20;
/// Places of connections that have not shown that they may see anything.
const PENDING: usize = 128;
/// Of those, of one address: more than a browser opens.
const PENDING_PER_ADDRESS: usize = 16;
/// How long a server waits after the system could not give it a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Certificates in force; they can be exchanged while connections come.
pub(super) type Tls = Arc<RwLock<TlsAcceptor>>;

/// A server that runs until this is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    places: Arc<Places>,
    _stop: oneshot::Sender<()>,
}

impl Server {
    /// Where it listens.
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

/// Serves `app` on a thread of its own; `admitted` connections may see the cameras at once. Port 0
/// takes a free one.
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
                            tracing::error!("http is not served any more: {error}");
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
                // Mostly there are too many open files: another will be closed soon.
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
                () = place.closed() => tracing::debug!(%peer, "this connection made room"),
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
    // A peer that vanished without a word is noticed, also where nothing is sent. (TCP_USER_TIMEOUT would end those, too, that are only slow to read.)
    rustix::net::sockopt::set_socket_keepalive(&stream, true)?;
    rustix::net::sockopt::set_tcp_keepidle(&stream, WRITE)?;
    rustix::net::sockopt::set_tcp_keepintvl(&stream, WRITE)?;
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE));
    let stream = Box::pin(stream);
    let Some(tls) = tls else {
        return Ok(serve_http1(stream, app, place).await?);
    };
    let stream = tokio::time::timeout(HEAD, tls.accept(stream)).await??;
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
        .header_read_timeout(HEAD)
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
        .keep_alive_interval(WRITE)
        .keep_alive_timeout(WRITE)
        .max_concurrent_streams(HTTP2_REQUESTS)
        .max_send_buf_size(HTTP2_BUFFER)
        .max_header_list_size(16 << 10);
    let connection = http.serve_connection(TokioIo::new(io), answering(app, place.clone()));
    tokio::select! {
        result = connection => result,
        () = unused(&place) => Ok(()),
    }
}

/// Waits until the peer of a connection by HTTP/2 takes nothing of what it is sent, or has asked for
/// nothing for long. It says when it has room for more, so that nothing is written to it, and no
/// write can time out.
async fn unused(place: &Place) {
    let mut look = tokio::time::interval(LOOK);
    while place.stalled_for() < WRITE && place.idle_for() < HTTP2_IDLE {
        look.tick().await;
    }
}

/// The application for one connection: its requests know the connection's place, which knows how
/// many of them are being answered.
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

/// An answer's body, until whose end its request counts as being answered.
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
        self.answering.is_asked();
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
