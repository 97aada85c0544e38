//! What every request goes through first: public answers are repeated from memory, everything else is routed, and every
//! response is finished.
//!
//! Published keys, metadata and status lists are the same bytes for everybody, and resource servers ask for them without
//! end. An endpoint that says [`Repeatable`] has its answer given again until the second or the directory changes.

use super::layers::{Finish, finish};
use crate::endpoints::Repeatable;
use crate::store::cache::Applied;
use crate::types::clock::UnixTime;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header::ORIGIN;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use http_body_util::BodyExt;
use moka::sync::Cache;
use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower::Service;

/// Bytes of answers in memory.
const MEMORY: u64 = 8 << 20;

/// Longer paths are no tenant's.
const LONGEST_PATH: usize = 256;

/// An answer as it may be given again.
struct Published {
    headers: HeaderMap,
    body: Bytes,
    at: UnixTime,
    settled: i64,
}

/// The service as a connection sees it.
#[derive(Clone)]
pub struct Front {
    router: Router,
    with: Arc<Finish>,
    memory: Option<Memory>,
}

/// Answers by path, good for as long as the directory stands at the same revision.
#[derive(Clone)]
struct Memory {
    answers: Cache<String, Arc<Published>>,
    applied: Arc<Applied>,
}

impl Front {
    /// Routes and finishes.
    pub fn new(router: Router, with: Finish) -> Self {
        Self { router, with: Arc::new(with), memory: None }
    }

    /// Also repeats what may be repeated, as long as the directory is at the same revision.
    #[must_use]
    pub fn repeating(self, applied: Arc<Applied>) -> Self {
        let weigh = |path: &String, answer: &Arc<Published>| {
            (path.len() + answer.body.len() + 1024).try_into().unwrap_or(u32::MAX)
        };
        let answers = Cache::builder().weigher(weigh).max_capacity(MEMORY).build();
        Self { memory: Some(Memory { answers, applied }), ..self }
    }

    fn repeated(&self, request: &Request) -> Option<Response> {
        let Memory { answers, applied } = self.memory.as_ref()?;
        if !is_plain(request) {
            return None;
        }
        let answer = answers.get(request.uri().path())?;
        let same = answer.at == self.with.clock.now() && answer.settled == applied.settled();
        if !same || applied.check().is_err() {
            return None;
        }
        let mut response = Response::new(Body::from(answer.body.clone()));
        *response.headers_mut() = answer.headers.clone();
        self.with.count(StatusCode::OK);
        self.with.identify(&mut response);
        Some(response)
    }
}

/// A request whose answer depends on nothing but its path.
fn is_plain(request: &Request) -> bool {
    let headers = request.headers();
    request.method() == Method::GET
        && request.uri().query().is_none()
        && request.uri().path().len() <= LONGEST_PATH
        && !headers.contains_key(ORIGIN)
}

impl Service<Request> for Front {
    type Response = Response;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // A router is always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Answer {
        if let Some(response) = self.repeated(&request) {
            return Answer::Now(ready(Ok(response)));
        }
        Answer::Routed(Box::pin(self.clone().route(request)))
    }
}

impl Front {
    async fn route(self, request: Request) -> Result<Response, Infallible> {
        let memory = self.memory.as_ref().filter(|_| is_plain(&request));
        let place = memory.map(|memory| (memory, request.uri().path().to_owned(), memory.applied.settled()));
        let at = self.with.clock.now();
        let mut response = finish(&self.with, request, self.router.clone()).await;
        let repeatable = response.extensions_mut().remove::<Repeatable>().is_some();
        let Some((memory, path, settled)) = place.filter(|_| repeatable) else { return Ok(response) };
        let (parts, body) = response.into_parts();
        // It is a whole buffer already, so nothing is waited for.
        let Ok(body) = body.collect().await.map(|body| body.to_bytes()) else {
            return Ok(Response::from_parts(parts, Body::empty()));
        };
        let headers = parts.headers.clone();
        memory.answers.insert(path, Arc::new(Published { headers, body: body.clone(), at, settled }));
        Ok(Response::from_parts(parts, Body::from(body)))
    }
}

/// An answer that is there, or one that is worked for.
pub enum Answer {
    /// From memory.
    Now(Ready<Result<Response, Infallible>>),
    /// By the router.
    Routed(Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>),
}

impl Future for Answer {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Now(ready) => Pin::new(ready).poll(context),
            Self::Routed(routed) => routed.as_mut().poll(context),
        }
    }
}
