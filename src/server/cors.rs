//! Cross-origin requests (Fetch §3.2, RFC 9700 §2.6): web pages of origins that clients registered may call the token,
//! UserInfo, revocation, JWKS and metadata endpoints; never the authorization endpoint. No cookie ever counts there.

use crate::app::App;
use crate::extract::tenant::TenantPath;
use axum::extract::{FromRequestParts, Request};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::TryFutureExt;
use futures_util::future::{Either, MapOk};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower::{Layer, Service};

/// Seconds for which a browser may remember what it was allowed.
const REMEMBERED: &str = "600";

/// Longer lists of headers are not repeated.
const LONGEST: usize = 1024;

/// Answers preflight requests, and lets pages of registered origins read answers.
#[derive(Clone)]
pub struct Share(pub Arc<App>);

impl<S> Layer<S> for Share {
    type Service = Shared<S>;

    fn layer(&self, inner: S) -> Shared<S> {
        Shared { app: self.0.clone(), inner }
    }
}

/// A route with it. Requests of programs, which have no origin, cost nothing more.
#[derive(Clone)]
pub struct Shared<S> {
    app: Arc<App>,
    inner: S,
}

impl<S> Service<Request> for Shared<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Either<
        MapOk<S::Future, fn(Response) -> Response>,
        Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>,
    >;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let Some(origin) = request.headers().get(ORIGIN).cloned() else {
            return Either::Left(self.inner.call(request).map_ok(vary as fn(Response) -> Response));
        };
        let (app, inner) = (self.app.clone(), self.inner.clone());
        Either::Right(Box::pin(async move { Ok(share(&app, inner, origin, request).await) }))
    }
}

async fn share<S>(app: &Arc<App>, mut inner: S, origin: HeaderValue, request: Request) -> Response
where
    S: Service<Request, Response = Response, Error = Infallible>,
{
    let (mut parts, body) = request.into_parts();
    let path = TenantPath::from_request_parts(&mut parts, app).await;
    let request = Request::from_parts(parts, body);
    let allowed = match (&path, origin.to_str()) {
        // When the database is away nobody knows; that it is away is said by what is asked.
        (Ok(path), Ok(origin)) => app.directory.knows_origin(path.tenant.id, origin).await.unwrap_or_default(),
        _ => false,
    };
    let asked = |name| request.headers().get(name).filter(|value| value.len() <= LONGEST).cloned();
    let preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if preflight {
        let headers = asked(ACCESS_CONTROL_REQUEST_HEADERS);
        let mut response = StatusCode::NO_CONTENT.into_response();
        if allowed {
            let answer = response.headers_mut();
            answer.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
            answer.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(REMEMBERED));
            answer.extend(headers.map(|headers| (ACCESS_CONTROL_ALLOW_HEADERS, headers)));
        }
        response
    } else {
        inner.call(request).await.unwrap_or_else(|never| match never {})
    };
    if allowed {
        response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        let readable = HeaderValue::from_static("www-authenticate, x-request-id, retry-after");
        response.headers_mut().insert(ACCESS_CONTROL_EXPOSE_HEADERS, readable);
    }
    vary(response)
}

/// A cache must not give one origin the answer to another.
fn vary(mut response: Response) -> Response {
    response.headers_mut().append(VARY, HeaderValue::from_static("Origin"));
    response
}
