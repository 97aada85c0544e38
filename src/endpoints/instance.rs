//! Instance discovery: what MSAL asks before OpenID Connect Discovery, with the authorization endpoint that it would use.
//!
//! All that is answered comes from configuration: an address of somebody else is unknown, whatever the Host header says.

use crate::app::App;
use crate::error::{OAuthError, reason};
use crate::types::form::Form;
use crate::types::name::TenantName;
use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::header::CACHE_CONTROL;
use axum::response::IntoResponse;
use serde_json::json;
use std::sync::Arc;

/// The newer of the two versions. They differ in `metadata`, which those who ask for the older one overlook.
const API_VERSION: &str = "1.1";

/// Says where the document of the tenant is that the `authorization_endpoint` names.
///
/// # Errors
/// `invalid_instance`: it is no tenant of ours; or the database does not answer.
pub async fn get(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
) -> Result<impl IntoResponse + use<>, OAuthError> {
    let form = Form::parse(query.unwrap_or_default().as_bytes()).map_err(|_| reason::BODY_UNREADABLE)?;
    let asked = form.get("authorization_endpoint");
    let asked = asked.ok_or_else(|| OAuthError::from(reason::PARAMETER_MISSING).about("authorization_endpoint"))?;
    let unknown = || OAuthError::from(reason::INSTANCE_UNKNOWN).about(asked);
    let word = tenant_word(&app.public_url.path_below(asked).ok_or_else(unknown)?).ok_or_else(unknown)?;
    app.directory.tenant(&word).await?.ok_or_else(unknown)?;
    let host = app.public_url.authority();
    let document = json!({
        "tenant_discovery_endpoint": format!("{}/{word}/v2.0/.well-known/openid-configuration", app.public_url),
        "api-version": API_VERSION,
        "metadata": [{ "preferred_network": host, "preferred_cache": host, "aliases": [host] }],
    });
    Ok(([(CACHE_CONTROL, "public, max-age=300")], Json(document)))
}

/// The tenant that the path of an authorization endpoint names. An authority that ends in a slash leaves a doubled one.
fn tenant_word(path: &str) -> Option<String> {
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    match segments.as_slice() {
        ["oauth2", "authorize"] | ["oauth2", "v2.0", "authorize"] => Some(TenantName::DEFAULT.to_owned()),
        [word, "oauth2", "authorize"] | [word, "oauth2", "v2.0", "authorize"] => Some((*word).to_owned()),
        _ => None,
    }
}
