//! What all pages have in common: the frame that the layout template fills, and the headers.
//!
//! The content security policy (CSP level 3) lets nothing in but the one style of the layout. Cross-Origin-Opener-Policy
//! is left out on purpose: a client that signs people in by a popup loses the popup when it is there.

use crate::error::{OAuthError, reason};
use crate::pages::texts::{ENGLISH, Texts};
use crate::types::random::Random;
use askama::Template;
use axum::http::header::{CONTENT_SECURITY_POLICY, HeaderName, X_FRAME_OPTIONS};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use url::Url;

const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");

/// What every page has.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The words.
    pub t: &'static Texts,
    /// What the page's own style and script carry so that the browser takes them.
    pub nonce: String,
}

impl Frame {
    /// A frame in English with a nonce of 128 random bits.
    pub fn new(random: &Random) -> Self {
        Self { t: &ENGLISH, nonce: URL_SAFE_NO_PAD.encode(random.bytes::<16>()) }
    }
}

/// How a page is answered.
#[derive(Debug, Clone)]
pub struct Page {
    /// HTTP status.
    pub status: StatusCode,
    /// URIs that a form of the page may lead to besides ourselves. Browsers check redirects after a form too, so the
    /// client's redirect URI belongs here wherever a form ends at the client. Chromium checks the client's own redirects
    /// as well: a bare scheme (`https:`) lets those through.
    pub form_targets: Vec<String>,
    /// True where the page has a script of its own.
    pub script: bool,
}

impl Default for Page {
    /// A page without a script, whose forms lead to ourselves.
    fn default() -> Self {
        Self { status: StatusCode::OK, form_targets: Vec::new(), script: false }
    }
}

/// Renders a template with the headers that every page has. Those that every response has come from the outer layer.
///
/// # Errors
/// The template failed, which a test excludes.
pub fn respond(page: Page, frame_nonce: &str, template: &impl Template) -> Result<Response, OAuthError> {
    let failed = |error: String| OAuthError::from(reason::INTERNAL).because(error);
    let html = template.render().map_err(|error| failed(error.to_string()))?;
    let policy = HeaderValue::from_str(&policy(&page, frame_nonce)).map_err(|error| failed(error.to_string()))?;
    let mut response = (page.status, Html(html)).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    // For browsers that do not know frame-ancestors.
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers
        .insert(PERMISSIONS_POLICY, HeaderValue::from_static("camera=(), geolocation=(), microphone=(), payment=()"));
    Ok(response)
}

fn policy(page: &Page, nonce: &str) -> String {
    let script = if page.script { format!("; script-src 'nonce-{nonce}'") } else { String::new() };
    let mut targets = String::from("'self'");
    for target in page.form_targets.iter().filter_map(|target| source(target)) {
        targets.push(' ');
        targets.push_str(&target);
    }
    format!(
        "default-src 'none'; style-src 'nonce-{nonce}'{script}; form-action {targets}; base-uri 'none'; \
         frame-ancestors 'none'"
    )
}

/// The source expression (CSP §2.3.1) for a URI: its origin, or its scheme alone where the grammar has no word for the
/// host, as for the schemes of native applications and for IPv6. A bare scheme (`https:`) stays what it is. Nothing that
/// could end the directive comes through.
fn source(target: &str) -> Option<String> {
    let bare = target.strip_suffix(':').filter(|scheme| scheme.starts_with(|c: char| c.is_ascii_alphabetic()));
    if bare.is_some_and(|scheme| scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))) {
        return Some(target.to_ascii_lowercase());
    }
    let url = Url::parse(target).ok()?;
    let scheme = url.scheme();
    let host = url.host_str().filter(|_| matches!(scheme, "http" | "https"));
    let plain = |host: &&str| host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'));
    Some(match (host.filter(plain), url.port()) {
        (Some(host), Some(port)) => format!("{scheme}://{host}:{port}"),
        (Some(host), None) => format!("{scheme}://{host}"),
        (None, _) => format!("{scheme}:"),
    })
}
