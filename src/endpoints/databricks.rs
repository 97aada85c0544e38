//! Where the SDKs of Databricks look: the configuration of a host, and the metadata document (RFC 8414) below `/oidc`,
//! whose well-known suffix stands behind the path, not in front of it.

use super::metadata;
use crate::app::App;
use crate::extract::tenant::TenantPath;
use axum::Json;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::response::IntoResponse;
use serde_json::json;
use std::sync::Arc;

/// The configuration of a host: below which address its metadata document is.
pub async fn config(State(app): State<Arc<App>>, path: TenantPath) -> impl IntoResponse {
    let document = json!({ "oidc_endpoint": format!("{}/oidc", path.url(&app)) });
    ([(CACHE_CONTROL, "public, max-age=300")], Json(document))
}

/// The document of a workspace.
pub async fn workspace(State(app): State<Arc<App>>, path: TenantPath) -> impl IntoResponse {
    let entrance = format!("{}/oidc/v1", path.url(&app));
    metadata::document(&app, &path, &entrance)
}

/// The document of an account: what Databricks calls an account is a tenant here.
pub async fn account(State(app): State<Arc<App>>, path: TenantPath) -> impl IntoResponse {
    let account = path.segment.as_deref().unwrap_or_default();
    let entrance = format!("{}/oidc/accounts/{account}/v1", app.public_url);
    metadata::document(&app, &path, &entrance)
}
