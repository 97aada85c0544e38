//! How long a peer may take, and how much of the server one connection may hold.

use std::time::Duration;

/// Bounds on every connection. The default is what is served with; tests pass shorter times.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// A TLS handshake.
    pub handshake: Duration,
    /// From the connection or the last answer to the end of the next request's head. The pause before the request and
    /// the reading of the answer are part of it, so it ends idle connections and those whose answers nobody reads.
    pub head: Duration,
    /// From the first wait for a body to its end.
    pub body: Duration,
    /// The largest request head, in bytes.
    pub largest_head: u32,
    /// The most header lines of a request.
    pub header_lines: usize,
    /// The most requests at once on an HTTP/2 connection.
    pub streams: u32,
    /// Requests that a peer may begin and take back before they were looked at, on an HTTP/2 connection.
    pub resets: usize,
    /// The pause between two questions whether the peer of an HTTP/2 connection is still there.
    pub ping: Duration,
    /// How long it may take to answer one.
    pub pong: Duration,
    /// Running requests, after the server stopped accepting.
    pub stop: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(30),
            body: Duration::from_secs(10),
            largest_head: 32 * 1024,
            header_lines: 100,
            streams: 100,
            resets: 20,
            ping: Duration::from_secs(30),
            pong: Duration::from_secs(10),
            stop: Duration::from_secs(15),
        }
    }
}
