//! What every response goes through: identifiers, the body of an error and its one log line, headers, a time limit.

use crate::error::{OAuthError, Rendering, reason};
use crate::extract::peer::Peer;
use crate::pages::error::ErrorPage;
use crate::pages::layout::Frame;
use crate::telemetry::Responses;
use crate::types::clock::{Clock, format_time};
use crate::types::network::Network;
use crate::types::random::Random;
use crate::types::redaction::{holds_secret, redacted};
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, PRAGMA, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::borrow::Cow;
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use url::form_urlencoded;
use uuid::Uuid;

/// The longest a request may take.
const REQUEST_TIME: Duration = Duration::from_secs(30);

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const FORWARDED_FOR: &str = "x-forwarded-for";
const CLIENT_REQUEST_ID: &str = "client-request-id";

/// What every response is finished with.
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
    /// Responses by class.
    pub responses: Responses,
}

impl Finish {
    /// Counts a response.
    pub fn count(&self, status: StatusCode) {
        self.responses.count(status.as_u16());
    }

    /// Gives a response an identifier of its own.
    pub fn identify(&self, response: &mut Response) -> Uuid {
        let trace_id = self.random.uuid_v4();
        put_id(response, trace_id);
        trace_id
    }
}

fn put_id(response: &mut Response, trace_id: Uuid) {
    let id = HeaderValue::from_str(trace_id.as_hyphenated().encode_lower(&mut Uuid::encode_buffer()));
    if let Ok(id) = id {
        response.headers_mut().insert(REQUEST_ID, id);
    }
}

/// Has a request answered and finishes the response.
pub async fn finish<F>(with: &Finish, mut request: Request, answer: impl FnOnce(Request) -> F) -> Response
where
    F: Future<Output = Response>,
{
    if let Some(peer) = behind_proxies(&with.trusted_proxies, &request) {
        request.extensions_mut().insert(peer);
    }
    let trace_id = with.random.uuid_v4();
    // Kept for an error, and cheap to keep.
    let about = About {
        method: request.method().clone(),
        uri: request.uri().clone(),
        named: request.headers().get(CLIENT_REQUEST_ID).cloned(),
        trace_id,
    };
    let mut response = match tokio::time::timeout(REQUEST_TIME, answer(request)).await {
        Ok(response) => response,
        Err(_) => OAuthError::from(reason::OVERLOADED).because("the request took too long").into_response(),
    };
    if let Some(error) = response.extensions_mut().remove::<Arc<OAuthError>>() {
        let (trace_id, path) = (trace_id.to_string(), loggable(about.uri.path()));
        log(&error, response.status(), &trace_id, format_args!("{} {path}", about.method));
        let rendering = response.extensions_mut().remove::<Rendering>();
        if rendering != Some(Rendering::Sent) {
            // The router has written down the length of the blank that is replaced here.
            response.headers_mut().remove(CONTENT_LENGTH);
        }
        match rendering {
            Some(Rendering::Sent) => {}
            Some(Rendering::Page) => show(with, &mut response, &error, &trace_id),
            None => {
                *response.body_mut() = Body::from(body(with, &error, &trace_id, &about.correlation_id()));
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            }
        }
    }
    with.count(response.status());
    put_headers(with, &mut response);
    put_id(&mut response, trace_id);
    response
}

/// What the error of a request is told with.
struct About {
    method: Method,
    uri: Uri,
    named: Option<HeaderValue>,
    trace_id: Uuid,
}

impl About {
    /// MSAL sends an identifier of its own, in a header or in the query; it is given back so that both logs can be
    /// joined.
    fn correlation_id(&self) -> String {
        let header = self.named.as_ref().and_then(|value| value.to_str().ok());
        let query = || {
            self.uri
                .query()
                .into_iter()
                .flat_map(|query| query.split('&'))
                .find_map(|pair| pair.strip_prefix(CLIENT_REQUEST_ID).and_then(|rest| rest.strip_prefix('=')))
        };
        let fine =
            |id: &&str| (1..=64).contains(&id.len()) && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        header.or_else(query).filter(fine).map_or_else(|| self.trace_id.to_string(), str::to_owned)
    }
}

/// Where a request comes from that a proxy of ours brings: the last address that no proxy of ours has. What stands before
/// it in the header was written by others.
fn behind_proxies(proxies: &[Network], request: &Request) -> Option<Peer> {
    if proxies.is_empty() {
        return None;
    }
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

/// A path without secrets. One in which they are percent-encoded is not logged at all.
fn loggable(path: &str) -> Cow<'_, str> {
    let encoded = |(name, value): (Cow<'_, str>, Cow<'_, str>)| holds_secret(&name) || holds_secret(&value);
    if path.contains('%') && form_urlencoded::parse(path.as_bytes()).any(encoded) {
        return "(a secret)".into();
    }
    redacted(path)
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

fn put_headers(with: &Finish, response: &mut Response) {
    let headers = response.headers_mut();
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
