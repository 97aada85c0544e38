//! What every request goes through first: public answers are repeated from memory, token requests are known again, everything
//! else is routed, and every response is finished.
//!
//! Published keys, metadata and status lists are the same bytes for everybody, and resource servers ask for them without
//! end. An endpoint that says [`Repeatable`] has its answer given again until the second or the directory changes.

use super::layers::{Finish, finish};
use super::recognition::{self, Recognition};
use crate::app::App;
use crate::endpoints::{Recognizable, Repeatable};
use crate::store::cache::Applied;
use crate::types::clock::UnixTime;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header::ORIGIN;
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Response};
use axum::{BoxError, Router};
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use moka::sync::Cache;
use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower::Service;

/// Bytes of published answers in memory.
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
pub struct Front(Arc<Inner>);

struct Inner {
    router: Router,
    with: Finish,
    memory: Option<Memory>,
}

struct Memory {
    /// Published answers by path, good for as long as the directory stands at the same revision.
    published: Cache<String, Arc<Published>>,
    recognition: Recognition,
    applied: Arc<Applied>,
}

impl Front {
    /// Routes and finishes.
    pub fn new(router: Router, with: Finish) -> Self {
        Self(Arc::new(Inner { router, with, memory: None }))
    }

    /// Also answers from memory what may be answered from it.
    pub fn remembering(router: Router, with: Finish, app: Arc<App>) -> Self {
        let weigh = |path: &String, answer: &Arc<Published>| {
            (path.len() + answer.body.len() + 1024).try_into().unwrap_or(u32::MAX)
        };
        let published = Cache::builder().weigher(weigh).max_capacity(MEMORY).build();
        let applied = app.directory.applied().clone();
        let memory = Some(Memory { published, recognition: Recognition::new(app), applied });
        Self(Arc::new(Inner { router, with, memory }))
    }
}

impl Inner {
    fn repeated(&self, memory: &Memory, request: &Request) -> Option<Response> {
        if !is_published(request) {
            return None;
        }
        let answer = memory.published.get(request.uri().path())?;
        let same = answer.at == self.with.clock.now() && answer.settled == memory.applied.settled();
        if !same || memory.applied.check().is_err() {
            return None;
        }
        let mut response = Response::new(Body::from(answer.body.clone()));
        *response.headers_mut() = answer.headers.clone();
        Some(self.again(response))
    }

    /// Finishes a response whose headers are those of one that was finished before.
    fn again(&self, mut response: Response) -> Response {
        self.with.count(response.status());
        self.with.identify(&mut response);
        response
    }

    /// Routes and finishes.
    async fn routed(&self, request: Request) -> Response {
        let mut router = self.router.clone();
        finish(&self.with, request, async |request| router.call(request).await.unwrap_or_else(|never| match never {}))
            .await
    }

    async fn recognized(&self, memory: &Memory, request: Request) -> Response {
        // Where nothing was answered yet nothing can be known, and a body that nobody will read is not waited for.
        if !memory.recognition.has_answered(request.uri().path()) {
            let path = request.uri().path().to_owned();
            let response = self.routed(request).await;
            if response.extensions().get::<Recognizable>().is_some() {
                memory.recognition.note_path(path);
            }
            return response;
        }
        let (parts, body) = request.into_parts();
        let body = match body.collect().await {
            Ok(body) => body.to_bytes(),
            // Told by whoever reads it: the path may lead nowhere.
            Err(error) => {
                let failed: Result<Frame<Bytes>, BoxError> = Err(error.into_inner());
                let body = Body::new(StreamBody::new(stream::iter([failed])));
                return self.routed(Request::from_parts(parts, body)).await;
            }
        };
        let fingerprint = memory.recognition.fingerprint(&parts, &body);
        let settled = memory.applied.settled();
        let request = Request::from_parts(parts, Body::from(body));
        match memory.recognition.answer(&fingerprint).await {
            Some(Ok(response)) => return self.again(response),
            // What was waited for once is not tried a second time.
            Some(Err(error)) => return finish(&self.with, request, |_| ready(error.into_response())).await,
            None => {}
        }
        let mut response = self.routed(request).await;
        if let Some(answered) = response.extensions_mut().remove() {
            memory.recognition.learn(fingerprint, answered, response.headers(), settled);
        }
        response
    }

    async fn published(&self, memory: &Memory, request: Request) -> Response {
        let (path, settled) = (request.uri().path().to_owned(), memory.applied.settled());
        let at = self.with.clock.now();
        let mut response = self.routed(request).await;
        if response.extensions_mut().remove::<Repeatable>().is_none() {
            return response;
        }
        let (parts, body) = response.into_parts();
        // It is a whole buffer already, so nothing is waited for.
        let Ok(body) = body.collect().await.map(|body| body.to_bytes()) else {
            return Response::from_parts(parts, Body::empty());
        };
        let headers = parts.headers.clone();
        memory.published.insert(path, Arc::new(Published { headers, body: body.clone(), at, settled }));
        Response::from_parts(parts, Body::from(body))
    }

    async fn answer(&self, request: Request) -> Response {
        match &self.memory {
            Some(memory) if recognition::is_plain(&request) => self.recognized(memory, request).await,
            Some(memory) if is_published(&request) => self.published(memory, request).await,
            _ => self.routed(request).await,
        }
    }
}

/// A request whose answer depends on nothing but its path.
fn is_published(request: &Request) -> bool {
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
        let memory = self.0.memory.as_ref();
        if let Some(response) = memory.and_then(|memory| self.0.repeated(memory, &request)) {
            return Answer::Now(ready(Ok(response)));
        }
        let inner = self.0.clone();
        Answer::Working(Box::pin(async move { Ok(inner.answer(request).await) }))
    }
}

/// An answer that is there, or one that is worked for.
pub enum Answer {
    /// From memory.
    Now(Ready<Result<Response, Infallible>>),
    /// By recognition or the router.
    Working(Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>),
}

impl Future for Answer {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Now(ready) => Pin::new(ready).poll(context),
            Self::Working(working) => working.as_mut().poll(context),
        }
    }
}
