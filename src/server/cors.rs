//! Cross-origin requests (Fetch §3.2, RFC 9700 §2.6): web pages of origins that clients registered may call the token,
//! UserInfo, revocation, JWKS and metadata endpoints; never the authorization endpoint. No cookie ever counts there.

use crate::app::App;
use crate::extract::tenant::TenantPath;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// Seconds for which a browser may remember what it was allowed.
const REMEMBERED: &str = "600";

/// Longer lists of headers are not repeated.
const LONGEST: usize = 1024;

/// Answers preflight requests, and lets pages of registered origins read answers.
pub async fn share(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let Some(origin) = request.headers().get(ORIGIN).cloned() else { return vary(next.run(request).await) };
    let (mut parts, body) = request.into_parts();
    let path = TenantPath::from_request_parts(&mut parts, &app).await;
    let request = Request::from_parts(parts, body);
    let allowed = match (&path, origin.to_str()) {
        // When it is not known whether the page may read the answer, it may not; that it failed is said by what is asked.
        (Ok(path), Ok(origin)) => app.directory.knows_origin(path.tenant.id, origin).await.unwrap_or(false),
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
        next.run(request).await
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
