//! What every response goes through: identifiers, the body of an error and its one log line, headers, a time limit.

use crate::error::{OAuthError, Rendering, reason};
use crate::extract::peer::Peer;
use crate::pages::error::ErrorPage;
use crate::pages::layout::Frame;
use crate::types::clock::{Clock, format_time};
use crate::types::network::Network;
use crate::types::random::Random;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_TYPE, HeaderName, PRAGMA, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// The longest a request may take.
const REQUEST_TIME: Duration = Duration::from_secs(30);

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const FORWARDED_FOR: &str = "x-forwarded-for";
const CLIENT_REQUEST_ID: &str = "client-request-id";

/// What the outermost layer works with.
#[derive(Debug, Clone)]
pub struct Finish {
    /// Time.
    pub clock: Clock,
    /// Randomness.
    pub random: Random,
    /// Browsers are told to come back over https alone.
    pub strict_transport: bool,
    /// Proxies whose word is taken for where a request comes from.
    pub trusted_proxies: Arc<[Network]>,
}

/// The outermost layer.
pub async fn finish(State(with): State<Finish>, mut request: Request, next: Next) -> Response {
    if let Some(peer) = behind_proxies(&with.trusted_proxies, &request) {
        request.extensions_mut().insert(peer);
    }
    let trace_id = with.random.uuid_v4().to_string();
    let correlation_id = correlation_id(&request).unwrap_or_else(|| trace_id.clone());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = match tokio::time::timeout(REQUEST_TIME, next.run(request)).await {
        Ok(response) => response,
        Err(_) => OAuthError::from(reason::OVERLOADED).because("the request took too long").into_response(),
    };
    if let Some(error) = response.extensions_mut().remove::<Arc<OAuthError>>() {
        let status = response.status();
        log(&error, status, &trace_id, format_args!("{method} {path}"));
        match response.extensions_mut().remove::<Rendering>() {
            Some(Rendering::Sent) => {}
            Some(Rendering::Page) => show(&with, &mut response, &error, &trace_id),
            None => {
                *response.body_mut() = Body::from(body(&with, &error, &trace_id, &correlation_id));
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            }
        }
    }
    let class = match response.status().as_u16() {
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    };
    metrics::counter!("grantor_http_responses_total", "class" => class).increment(1);
    put_headers(&with, &mut response, &trace_id);
    response
}

/// Where a request comes from that a proxy of ours brings: the last address that no proxy of ours has. What stands before
/// it in the header was written by others.
fn behind_proxies(proxies: &[Network], request: &Request) -> Option<Peer> {
    let ours = |address: IpAddr| proxies.iter().any(|network| network.contains(address));
    let peer = request.extensions().get::<Peer>().filter(|peer| ours(peer.0))?;
    let headers = request.headers().get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
    let named: Vec<&str> = headers.flat_map(|value| value.split(',')).map(str::trim).collect();
    let mut last = *peer;
    for address in named.iter().rev().map_while(|text| text.parse().ok()) {
        last = Peer(address);
        if !ours(address) {
            break;
        }
    }
    Some(last)
}

/// Marks the errors of a route that people see.
pub async fn for_people(mut response: Response) -> Response {
    if response.extensions().get::<Arc<OAuthError>>().is_some() && response.extensions().get::<Rendering>().is_none() {
        response.extensions_mut().insert(Rendering::Page);
    }
    response
}

/// Makes a page of an error, with the headers that the error has already.
fn show(with: &Finish, response: &mut Response, error: &OAuthError, trace_id: &str) {
    match error_page(with, error, trace_id).respond(response.status()) {
        Ok(page) => {
            let (parts, body) = page.into_parts();
            *response.body_mut() = body;
            response.headers_mut().extend(parts.headers);
        }
        Err(failed) => log(&failed, response.status(), trace_id, format_args!("the error page")),
    }
}

fn error_page(with: &Finish, error: &OAuthError, trace_id: &str) -> ErrorPage {
    let frame = Frame::new(&with.random);
    let t = &frame.t.error;
    let text = error.reason().text;
    let (title, hint) = match error.reason().status {
        404 => (t.title_not_found, t.hint_application),
        500.. => (t.title_unavailable, t.hint_retry),
        _ => (t.title, t.hint_application),
    };
    ErrorPage {
        title: title.to_owned(),
        message: error.detail().map_or_else(|| text.to_owned(), |detail| format!("{text} ({detail})")),
        error: error.reason().error.to_owned(),
        code: error.reason().code,
        trace_id: trace_id.to_owned(),
        timestamp: format_time(with.clock.now()),
        hint: Some(hint.to_owned()),
        frame,
    }
}

/// The body of an error: RFC 6749 §5.2, with the members that Entra's clients show to people.
fn body(with: &Finish, error: &OAuthError, trace_id: &str, correlation_id: &str) -> String {
    json!({
        "error": error.reason().error,
        "error_description": error.description(),
        "error_codes": [error.reason().code],
        "timestamp": format_time(with.clock.now()),
        "trace_id": trace_id,
        "correlation_id": correlation_id,
    })
    .to_string()
}

fn log(error: &OAuthError, status: StatusCode, trace_id: &str, request: std::fmt::Arguments<'_>) {
    let (code, cause) = (error.reason().code, error.cause());
    if status.is_server_error() {
        tracing::error!(code, status = status.as_u16(), trace_id, %request, cause, "{}", error.description());
    } else if error.reason().code == reason::AUTHORIZATION_PENDING.code {
        // Every device hears this every few seconds, and nothing is wrong.
        tracing::debug!(code, status = status.as_u16(), trace_id, %request, cause, "{}", error.description());
    } else {
        tracing::info!(code, status = status.as_u16(), trace_id, %request, cause, "{}", error.description());
    }
}

/// MSAL sends an identifier of its own, in a header or in the query; it is given back so that both logs can be joined.
fn correlation_id(request: &Request) -> Option<String> {
    let header = request.headers().get(CLIENT_REQUEST_ID).and_then(|value| value.to_str().ok());
    let query = || {
        request
            .uri()
            .query()
            .into_iter()
            .flat_map(|query| query.split('&'))
            .find_map(|pair| pair.strip_prefix(CLIENT_REQUEST_ID).and_then(|rest| rest.strip_prefix('=')))
    };
    let fine = |id: &&str| (1..=64).contains(&id.len()) && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    header.or_else(query).filter(fine).map(str::to_owned)
}

fn put_headers(with: &Finish, response: &mut Response, trace_id: &str) {
    let headers = response.headers_mut();
    headers.extend(HeaderValue::from_str(trace_id).ok().map(|id| (REQUEST_ID, id)));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    // RFC 6749 §5.1: nothing is stored unless an endpoint says for how long.
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    }
    if with.strict_transport {
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
}
