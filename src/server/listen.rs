//! TCP and TLS, bounded connections, a graceful stop.

use super::body::in_time;
use super::bounds::Bounds;
use super::places::{Place, Places};
use crate::extract::peer::Peer;
use axum::body::Body;
use axum::http::header::{CONNECTION, GetAll, HOST, TRANSFER_ENCODING};
use axum::http::{HeaderValue, StatusCode, Version};
use axum::response::{IntoResponse, Response};
use futures_util::future::Either;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustls::ServerConfig;
use std::convert::Infallible;
use std::future::{Future, ready};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tower::Service;

/// What the system has accepted is taken for so long after the stop was asked for.
const LAST_CALL: Duration = Duration::from_millis(100);

/// Connections that have asked nothing yet get so long to say what they want before idle ones are closed.
const FIRST_REQUEST: Duration = Duration::from_secs(1);

/// An answer that took no longer waits until the other requests that are there already were answered too, and all are
/// written one after the other: each write wakes whoever waits for it, and a peer with many connections is woken once and
/// not for every single answer.
const QUICK: Duration = Duration::from_micros(100);

/// Answers that leave a body unread, which the connection cannot go on behind (RFC 9110 §15.5.9).
const UNREAD: [StatusCode; 2] = [StatusCode::REQUEST_TIMEOUT, StatusCode::PAYLOAD_TOO_LARGE];

/// What serves, and within which bounds.
pub struct Listener {
    /// Accepts.
    pub tcp: TcpListener,
    /// For https.
    pub tls: Option<Arc<ServerConfig>>,
    /// The most connections at once. When there is one more, the one that was longest without a request is closed;
    /// where none is, it waits.
    pub connections: usize,
    /// Bounds on each.
    pub bounds: Bounds,
    /// Once true, each HTTP/1 answer ends its connection: what is closed after an answer loses no request.
    pub stopping: Arc<AtomicBool>,
}

impl Listener {
    /// Serves until `stop` is ready, then lets running requests finish.
    pub async fn serve<S>(self, service: S, stop: impl Future<Output = ()>)
    where
        S: Service<Request<Body>, Response = Response, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
    {
        let Self { tcp, tls, connections, bounds, stopping } = self;
        let tls = tls.map(TlsAcceptor::from);
        let places = Places::new(connections);
        let graceful = GracefulShutdown::new();
        let open = async |(stream, peer): (TcpStream, SocketAddr)| {
            let (service, stopping, place) = (service.clone(), stopping.clone(), places.take().await);
            let connection = Connection { service, peer, bounds, stopping, watcher: graceful.watcher(), place };
            tokio::spawn(connection.run(stream, tls.clone()));
        };
        tokio::pin!(stop);
        loop {
            let accepted = tokio::select! {
                accepted = tcp.accept() => accepted,
                () = &mut stop => break,
            };
            match accepted {
                Ok(accepted) => {
                    let mut opening = std::pin::pin!(open(accepted));
                    tokio::select! {
                        biased;
                        () = &mut opening => {}
                        () = &mut stop => {
                            // It has its last call, as those have that are not accepted yet.
                            let _ = tokio::time::timeout(LAST_CALL, opening).await;
                            break;
                        }
                    }
                }
                Err(error) => {
                    // Out of file descriptors, mostly; a moment later some are free again.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        // Those that the system took already would be reset, with the requests that they brought.
        let take_them = async {
            while let Ok(accepted) = tcp.accept().await {
                open(accepted).await;
            }
        };
        let _ = tokio::time::timeout(LAST_CALL, take_them).await;
        drop(tcp);
        // A connection whose first request was not read yet would be closed with it.
        let asked = async {
            while !places.all_asked() {
                tokio::time::sleep(LAST_CALL / 10).await;
            }
        };
        let _ = tokio::time::timeout(FIRST_REQUEST, asked).await;
        if tokio::time::timeout(bounds.stop, graceful.shutdown()).await.is_err() {
            tracing::warn!("some requests did not finish in time");
        }
    }
}

struct Connection<S> {
    service: S,
    peer: SocketAddr,
    bounds: Bounds,
    stopping: Arc<AtomicBool>,
    watcher: Watcher,
    place: Place,
}

impl<S> Connection<S>
where
    S: Service<Request<Body>, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    async fn run(self, stream: TcpStream, tls: Option<TlsAcceptor>) {
        let _ = stream.set_nodelay(true);
        let Some(tls) = tls else { return self.talk(stream).await };
        let handshake = tokio::time::timeout(self.bounds.handshake, tls.accept(stream));
        let shaken = tokio::select! {
            shaken = handshake => shaken,
            () = self.place.wanted() => return,
        };
        match shaken {
            Ok(Ok(stream)) => self.talk(stream).await,
            Ok(Err(error)) => tracing::debug!(%error, peer = %self.peer, "the TLS handshake failed"),
            Err(_) => tracing::debug!(peer = %self.peer, "the TLS handshake took too long"),
        }
    }

    async fn talk(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let Self { service, peer, bounds, stopping, watcher, place } = self;
        let desk = place.desk();
        let answers = service_fn(move |mut request: Request<Incoming>| {
            let http2 = request.version() == Version::HTTP_2;
            let busy = desk.busy(http2);
            let refused = refuse(&request, bounds.header_lines);
            request.extensions_mut().insert(Peer(peer.ip()));
            let answer = match refused {
                None => Either::Left(service.clone().call(request.map(|body| in_time(body, bounds.body)))),
                Some(status) => Either::Right(ready(Ok(status.into_response()))),
            };
            let (stopping, begun) = (stopping.clone(), Instant::now());
            async move {
                let mut answer = answer.await?;
                if begun.elapsed() < QUICK {
                    tokio::task::yield_now().await;
                }
                let over = refused.is_some() || UNREAD.contains(&answer.status()) || stopping.load(Ordering::Relaxed);
                if over && !http2 {
                    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                drop(busy);
                Ok::<_, Infallible>(answer)
            }
        });
        let mut builder = Builder::new(TokioExecutor::new());
        // The time for a head is kept by the place: hyper would set a timer for each request, and none for the first.
        builder
            .http1()
            .header_read_timeout(None)
            // Answers are small: copied behind their heads they cost one plain write.
            .writev(false)
            .max_headers(bounds.header_lines)
            .max_buf_size(bounds.largest_head as usize);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(bounds.streams)
            .max_header_list_size(bounds.largest_head)
            .max_pending_accept_reset_streams(bounds.resets)
            .keep_alive_interval(bounds.ping)
            .keep_alive_timeout(bounds.pong);
        let connection = builder.serve_connection(TokioIo::new(stream), answers).into_owned();
        tokio::select! {
            // First, so that an answer which is ready goes out before the connection makes room.
            biased;
            ended = watcher.watch(connection) => if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended early");
            },
            () = place.wanted() => tracing::debug!(%peer, "an idle connection made room for another"),
            () = place.quiet_for(bounds.head) => tracing::debug!(%peer, "no request came in time"),
        }
    }
}

/// Heads that hyper lets pass and that are answered like those that it does not: RFC 9112 §3.2 wants one Host, §6.1 no
/// coding that is not undone, and HTTP/2 has no bound on lines of its own.
fn refuse(request: &Request<Incoming>, header_lines: usize) -> Option<StatusCode> {
    let headers = request.headers();
    if headers.len() > header_lines {
        Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
    } else if request.version() == Version::HTTP_11 && !is_one(headers.get_all(HOST), is_host) {
        Some(StatusCode::BAD_REQUEST)
    } else if headers.contains_key(TRANSFER_ENCODING) && !is_one(headers.get_all(TRANSFER_ENCODING), is_chunked) {
        Some(StatusCode::NOT_IMPLEMENTED)
    } else {
        None
    }
}

fn is_one(lines: GetAll<'_, HeaderValue>, right: impl Fn(&[u8]) -> bool) -> bool {
    let mut lines = lines.iter();
    lines.next().is_some_and(|line| right(line.as_bytes())) && lines.next().is_none()
}

/// The characters of host and port (RFC 3986 §3.2).
fn is_host(value: &[u8]) -> bool {
    value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(byte))
}

fn is_chunked(value: &[u8]) -> bool {
    value.eq_ignore_ascii_case(b"chunked")
}
