//! What gateways ask about each request (RFC 6750 §3, §3.1 for the answers): nginx `auth_request`, Traefik ForwardAuth, Envoy
//! `ext_authz`, Kong. Only 200, 401, 403 and 503 are answered: anything else would be a failure to some of them.

use crate::app::App;
use crate::error::{OAuthError, reason};
use crate::extract::json::PostedJson;
use crate::extract::tenant::TenantPath;
use crate::gateway::{self, Requirement, Shown};
use crate::store::tenants::Tenant;
use crate::tokens::{claims, verify};
use crate::types::secret::ACCESS_TOKEN_PREFIX;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};
use std::sync::Arc;

/// Any method, with whatever follows in the path; the body is never read.
///
/// # Errors
/// 401 without a token that is valid here, 403 without what the route requires, 503 when nobody can say.
pub async fn check(
    State(app): State<Arc<App>>,
    path: Result<TenantPath, OAuthError>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, OAuthError> {
    let (headers, query) = (headers_of(&headers), uri.query().unwrap_or_default());
    let shown = Shown { headers: &headers, path: uri.path(), query };
    decide(&app, path, shown).await.map_err(for_gateways)
}

/// The same for the middleman plugin of Kong, which posts the original request as JSON.
///
/// # Errors
/// As [`check`].
pub async fn middleman(
    State(app): State<Arc<App>>,
    path: Result<TenantPath, OAuthError>,
    uri: Uri,
    posted: Result<PostedJson, OAuthError>,
) -> Result<Response, OAuthError> {
    let posted = posted.map_err(for_gateways)?;
    let headers = gateway::middleman(&posted.0);
    let query = uri.query().unwrap_or_default();
    let shown = Shown { headers: &headers, path: uri.path(), query };
    decide(&app, path, shown).await.map_err(for_gateways)
}

async fn decide(app: &App, path: Result<TenantPath, OAuthError>, shown: Shown<'_>) -> Result<Response, OAuthError> {
    let path = path?;
    let tenant = path.enabled()?;
    let token = shown.token()?;
    let mut answer = allow(app, tenant, &token, shown).await;
    // What an operator allowed a moment ago counts for a token that is worked out anew: one that stood for nothing too.
    let may_have_changed = |error: &OAuthError| error.reason().status == 403 || token.starts_with(ACCESS_TOKEN_PREFIX);
    if answer.as_ref().is_err_and(may_have_changed) && app.catch_up().await? {
        answer = allow(app, tenant, &token, shown).await;
    }
    let outcome = answer.as_ref().map_or_else(|error| error.reason().error, |_| "allowed");
    metrics::counter!("grantor_gateway_checks_total", "outcome" => outcome).increment(1);
    answer
}

async fn allow(app: &App, tenant: &Tenant, token: &str, shown: Shown<'_>) -> Result<Response, OAuthError> {
    let mut token = verify::active(app, tenant, token).await?.ok_or(reason::TOKEN_INVALID)?;
    let required = Requirement::of(&shown)?;
    if required.lacks_groups(&token.claims) {
        let resources = app.directory.resources(tenant.id).await?;
        if let Some(resource) = resources.iter().find(|resource| resource.identifier.as_str() == token.audience) {
            let membership = app.directory.membership(tenant.id, token.subject).await?;
            token.claims.insert("groups".into(), claims::group_values(resource, &membership.1).into());
        }
    }
    required.check(&token.claims)?;
    Ok(allowed(&token.claims))
}

/// The headers of a request by lower-case name.
pub fn headers_of(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

/// Exactly 200 with a length, and who it is in headers.
pub fn allowed(claims: &Map<String, Value>) -> Response {
    let mut response = ([(CONTENT_TYPE, "application/json")], "{}").into_response();
    for (name, value) in gateway::identity(claims) {
        if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    response
}

/// What may be wrong with a body; only the middleman plugin sends one that is read.
const UNREADABLE: [u32; 3] = [reason::BODY_TOO_LARGE.code, reason::BODY_UNREADABLE.code, reason::BODY_TIMEOUT.code];

/// The same refusal in one of the words that every gateway knows.
pub fn for_gateways(error: OAuthError) -> OAuthError {
    let because = |reason: &'static crate::error::Reason| {
        let cause = error.cause().unwrap_or(error.reason().text).to_owned();
        OAuthError::from(reason).because(cause)
    };
    match error.reason().status {
        401 | 403 | 503 => error,
        500.. => because(reason::GATEWAY_FAILED),
        _ if UNREADABLE.contains(&error.reason().code) => because(reason::GATEWAY_BODY),
        _ => because(reason::GATEWAY_ADDRESS),
    }
}
