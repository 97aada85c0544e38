//! Token requests that are known again before anything of them is read.
//!
//! A service asks for the same token with the same credentials all its life. Once a request was answered from a decision that
//! memory holds, a keyed fingerprint of all that the answer depends on stands for parsing, authentication and decision, as
//! long as nothing in the directory changes. What is not known to the last byte goes the whole way.

use crate::app::App;
use crate::endpoints::Recognizable;
use crate::error::OAuthError;
use crate::telemetry;
use crate::tokens::issue;
use crate::types::clock::is_before;
use crate::types::secret::Fingerprints;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, Request};
use axum::response::Response;
use moka::sync::Cache;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Longer requests are not remembered: scopes and credentials are short.
const LONGEST: usize = 4096;

/// Paths at which requests were answered: about one for each tenant at work.
const TENANTS: u64 = 10_000;

/// Bytes of what is remembered, with what it holds on to; about so many are headers.
const MEMORY: u64 = 8 << 20;
const HEADERS: usize = 1024;

/// A keyed hash of a whole request.
pub(super) type Fingerprint = [u8; 32];

/// A request that was answered.
struct Known {
    answered: Recognizable,
    headers: HeaderMap,
    // The settled revision of the directory before it was answered.
    settled: i64,
    // When the use of its secret was noted last.
    noted_at: AtomicI64,
}

/// Requests by their fingerprints.
pub(super) struct Recognition {
    app: Arc<App>,
    fingerprints: Fingerprints,
    known: Cache<Fingerprint, Arc<Known>>,
    paths: Cache<String, ()>,
}

/// True for a request that may be known: a form of bounded length, with nothing that its answer could depend on but path,
/// credentials and form.
pub(super) fn is_plain(request: &Request<Body>) -> bool {
    let (headers, path) = (request.headers(), request.uri().path());
    let is_form = headers.get(CONTENT_TYPE).is_some_and(|said| said.as_bytes() == b"application/x-www-form-urlencoded");
    request.method() == Method::POST
        && is_form
        && request.body().size_hint().exact().is_some_and(|length| length <= LONGEST as u64)
        && path.len() <= LONGEST
        && !headers.contains_key(ORIGIN)
        && !headers.contains_key(CONTENT_ENCODING)
        && is_single(headers, CONTENT_TYPE)
        && is_single(headers, AUTHORIZATION)
}

fn is_single(headers: &HeaderMap, name: axum::http::HeaderName) -> bool {
    headers.get_all(name).iter().nth(1).is_none()
}

impl Recognition {
    /// Knows nothing yet.
    pub(super) fn new(app: Arc<App>) -> Self {
        let weigh = |_: &Fingerprint, known: &Arc<Known>| {
            (known.answered.decision.weight() + HEADERS).try_into().unwrap_or(u32::MAX)
        };
        let known = Cache::builder().weigher(weigh).max_capacity(MEMORY).build();
        Self { fingerprints: Fingerprints::new(&app.random), app, known, paths: Cache::new(TENANTS) }
    }

    /// Of all that the answer to a plain request depends on.
    pub(super) fn fingerprint(&self, parts: &Parts, body: &Bytes) -> Fingerprint {
        let authorization = parts.headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
        // An empty header is not the same as none.
        let sent = [u8::from(authorization.is_some())];
        let path = parts.uri.path().as_bytes();
        self.fingerprints.of_parts(&[path, &sent, authorization.unwrap_or_default(), body])
    }

    /// True when a request at this path was answered in a way that can be known again.
    pub(super) fn has_answered(&self, path: &str) -> bool {
        self.paths.contains_key(path)
    }

    /// Remembers that one was.
    pub(super) fn note_path(&self, path: String) {
        self.paths.insert(path, ());
    }

    /// The answer to a request that is known; without one it has to be worked for.
    ///
    /// # Errors
    /// The signing key or the database cannot be used.
    pub(super) async fn answer(&self, fingerprint: &Fingerprint) -> Option<Result<Response, OAuthError>> {
        let known = self.known.get(fingerprint)?;
        let (app, applied) = (&self.app, self.app.directory.applied());
        let Recognizable { tenant, decision, proof } = &known.answered;
        let now = app.clock.now();
        if known.settled != applied.settled() || applied.check().is_err() || !is_before(proof.expires_at, now) {
            return None;
        }
        if known.noted_at.swap(now, Ordering::Relaxed) != now {
            app.note_secret_use(proof.secret, now);
        }
        let issued = issue::mint_decided(app, *tenant, decision).await;
        match &issued {
            Ok(_) => app.issued.increment(1),
            Err(error) => telemetry::count_refused_token(error.reason().error),
        }
        Some(issued.map(|issued| {
            let mut response = Response::new(Body::from(issued.json));
            *response.headers_mut() = known.headers.clone();
            response
        }))
    }

    /// Remembers a request with what it was answered. `settled` is the revision that was settled before.
    pub(super) fn learn(&self, fingerprint: Fingerprint, answered: Recognizable, headers: &HeaderMap, settled: i64) {
        let mut headers = headers.clone();
        // The next token may be longer.
        headers.remove(CONTENT_LENGTH);
        let known = Known { answered, headers, settled, noted_at: AtomicI64::default() };
        self.known.insert(fingerprint, Arc::new(known));
    }
}
