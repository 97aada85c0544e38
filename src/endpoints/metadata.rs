//! Authorization server metadata (RFC 8414) and OpenID Connect Discovery: one document at every address.

use super::Repeatable;
use crate::app::App;
use crate::authorization::{PROMPTS, ResponseMode};
use crate::client_auth::METHODS;
use crate::extract::tenant::TenantPath;
use crate::grants::GRANTS;
use crate::tokens::claims::ACR;
use axum::Extension;
use axum::Json;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::response::IntoResponse;
use serde_json::json;
use std::sync::Arc;

/// What ID tokens and UserInfo can say.
const CLAIMS: &[&str] = &[
    "iss",
    "sub",
    "aud",
    "exp",
    "iat",
    "auth_time",
    "nonce",
    "at_hash",
    "acr",
    "amr",
    "sid",
    "oid",
    "tid",
    "preferred_username",
    "name",
    "email",
    "groups",
];

/// The document. Its endpoints stand below the path that it was fetched from: MSAL replaces the first segment of
/// each by its own. The issuer is the tenant's, wherever the document was fetched.
pub async fn get(State(app): State<Arc<App>>, path: TenantPath) -> impl IntoResponse {
    let entrance = format!("{}/oauth2/v2.0", path.url(&app));
    document(&app, &path, &entrance)
}

/// The document for those who come in below `entrance`: there are `authorize` and `token`.
pub(super) fn document(app: &App, path: &TenantPath, entrance: &str) -> impl IntoResponse + use<> {
    let base = path.url(app);
    let grants: Vec<_> = GRANTS.iter().map(|grant| grant.name).collect();
    let proving: Vec<_> = METHODS.iter().filter(|method| method.authenticates).map(|method| method.name).collect();
    let every: Vec<_> = METHODS.iter().map(|method| method.name).collect();
    // RFC 8414 §3.2: members without a value are left out. scopes_supported is left out on purpose: some clients
    // replace their configured scope by it.
    let document = json!({
        "issuer": app.issuer(&path.tenant),
        "authorization_endpoint": format!("{entrance}/authorize"),
        "token_endpoint": format!("{entrance}/token"),
        "device_authorization_endpoint": format!("{base}/oauth2/v2.0/devicecode"),
        "jwks_uri": format!("{base}/discovery/v2.0/keys"),
        "introspection_endpoint": format!("{base}/oauth2/v2.0/introspect"),
        "userinfo_endpoint": format!("{base}/oauth2/v2.0/userinfo"),
        "end_session_endpoint": format!("{base}/oauth2/v2.0/logout"),
        "revocation_endpoint": format!("{base}/oauth2/v2.0/revoke"),
        "response_types_supported": ["code"],
        "response_modes_supported": ResponseMode::WORDS,
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "prompt_values_supported": PROMPTS,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
        "claims_parameter_supported": false,
        "acr_values_supported": [ACR],
        "claims_supported": CLAIMS,
        "grant_types_supported": grants,
        "token_endpoint_auth_methods_supported": every,
        "introspection_endpoint_auth_methods_supported": proving,
        "revocation_endpoint_auth_methods_supported": every,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    });
    (Extension(Repeatable), [(CACHE_CONTROL, "public, max-age=300")], Json(document))
}
