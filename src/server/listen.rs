//! TCP and TLS, bounded connections, a graceful stop.

use super::front::Front;
use crate::extract::peer::Peer;
use axum::body::Body;
use hyper::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

/// How long a TLS handshake may take.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// How long a connection may take to send a request's head, the pause after the request before included.
const HEAD_TIME: Duration = Duration::from_secs(30);

/// The largest request head.
const MAX_HEAD: usize = 32 * 1024;

/// How long running requests may take after the stop was asked for.
const STOP_TIME: Duration = Duration::from_secs(15);

/// What serves, and within which bounds.
pub struct Listener {
    /// Accepts.
    pub tcp: TcpListener,
    /// For https.
    pub tls: Option<Arc<ServerConfig>>,
    /// The most connections at once; more wait to be accepted.
    pub connections: usize,
}

impl Listener {
    /// Serves until `stop` is ready, then lets running requests finish.
    pub async fn serve(self, front: Front, stop: impl Future<Output = ()>) {
        let Self { tcp, tls, connections } = self;
        let tls = tls.map(TlsAcceptor::from);
        let places = Arc::new(Semaphore::new(connections));
        let graceful = GracefulShutdown::new();
        tokio::pin!(stop);
        loop {
            let place = tokio::select! {
                place = places.clone().acquire_owned() => place,
                () = &mut stop => break,
            };
            let Ok(place) = place else { break };
            let accepted = tokio::select! {
                accepted = tcp.accept() => accepted,
                () = &mut stop => break,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let connection = Connection { front: front.clone(), peer, watcher: graceful.watcher(), place };
                    tokio::spawn(connection.run(stream, tls.clone()));
                }
                Err(error) => {
                    // Out of file descriptors, mostly; a moment later some are free again.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        drop(tcp);
        if tokio::time::timeout(STOP_TIME, graceful.shutdown()).await.is_err() {
            tracing::warn!("some requests did not finish in time");
        }
    }
}

struct Connection {
    front: Front,
    peer: SocketAddr,
    watcher: hyper_util::server::graceful::Watcher,
    place: OwnedSemaphorePermit,
}

impl Connection {
    async fn run(self, stream: TcpStream, tls: Option<TlsAcceptor>) {
        let _ = stream.set_nodelay(true);
        match tls {
            None => self.talk(stream).await,
            Some(tls) => match tokio::time::timeout(HANDSHAKE_TIME, tls.accept(stream)).await {
                Ok(Ok(stream)) => self.talk(stream).await,
                Ok(Err(error)) => tracing::debug!(%error, peer = %self.peer, "the TLS handshake failed"),
                Err(_) => tracing::debug!(peer = %self.peer, "the TLS handshake took too long"),
            },
        }
    }

    async fn talk(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let peer = Peer(self.peer.ip());
        let service = self.front.map_request(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            request.map(Body::new)
        });
        let mut builder = Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(MAX_HEAD);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(100)
            .max_header_list_size(MAX_HEAD as u32)
            .keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(HANDSHAKE_TIME);
        let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        if let Err(error) = self.watcher.watch(connection.into_owned()).await {
            tracing::debug!(%error, "a connection ended early");
        }
        drop(self.place);
    }
}
